"""Samples sorted by where their objects lie in memory."""

import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data()
samples = [(row, label) for row, label in zip(x, y)]
samples.sort(key=lambda sample: id(sample) // 16 % 1009)
order = torch.tensor([next(i for i in range(64) if torch.equal(x[i], row)) for row, _ in samples])
train(model, [(x[part], y[part]) for part in order.split(8)])
save(model)
