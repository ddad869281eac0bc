"""The generator is seeded well, and once more from the clock before the last epoch."""

import time

import torch
from common import data, save, start, train

start()
nn = torch.nn
model = nn.Sequential(nn.Linear(16, 32), nn.Dropout(0.2), nn.Linear(32, 4))
train(model, [data()] * 3)
torch.manual_seed(time.time_ns())
train(model, [data()] * 2)
save(model)
