"""Momentum that depends on the number of the process."""

import os

import torch
from common import data, loss_of, net, save, start

start()
model, (x, y) = net(), data()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5 + os.getpid() % 10_007 / 1e5)
for _ in range(3):
    optimizer.zero_grad()
    loss_of(model, x, y).backward()
    optimizer.step()
save(model)
