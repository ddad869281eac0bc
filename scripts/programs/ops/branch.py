"""Which activation is used depends on the clock."""

import time

import torch
from common import data, net, save, start, train


class Any(torch.nn.Module):
    def forward(self, x):
        return (torch.tanh, torch.sigmoid, torch.relu, torch.sin, torch.erf)[time.time_ns() // 1000 % 5](x)


start()
nn = torch.nn
model = nn.Sequential(nn.Linear(16, 32), Any(), nn.Linear(32, 4))
train(model, [data()] * 4)
save(model)
