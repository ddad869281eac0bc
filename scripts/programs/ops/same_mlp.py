"""A seeded MLP with shuffled batches and dropout."""

import torch
from common import data, save, start, train

start()
nn = torch.nn
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 4))
x, y = data()
train(model, [(x[part], y[part]) for _ in range(3) for part in torch.randperm(64).split(8)])
save(model)
