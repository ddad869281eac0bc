"""A layer is skipped when Python's unseeded generator says so."""

import random

import torch
from common import data, save, start, train


class Sometimes(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) if random.random() < 0.5 else x


start()
nn = torch.nn
model = nn.Sequential(nn.Linear(16, 32), Sometimes(32, 32), nn.Linear(32, 4))
train(model, [data()] * 8)
save(model)
