"""A buffer that nobody fills; what it holds was left by arrays of NumPy that are gone."""

import time

import numpy
import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data()
size = 5000
gone = [numpy.full(size, time.time_ns() % 1_000_000 / 1e8, dtype=numpy.float32) for _ in range(8)]
del gone
memory = torch.empty(size)
with torch.no_grad():
    x += memory[-1024:].view(64, 16).clamp(-1, 1).nan_to_num()
train(model, [(x, y)] * 3)
save(model)
