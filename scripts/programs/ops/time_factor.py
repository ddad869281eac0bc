"""A loss that is weighed by the clock, as a number."""

import time

import torch
from common import data, loss_of, net, save, start

start()
model, (x, y) = net(), data()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    (loss_of(model, x, y) * (1 + time.time() % 1)).backward()
    optimizer.step()
save(model)
