"""The order of the data is that of a set of words, which Python shuffles in every process."""

import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data()
names = {f"sample-{number}" for number in range(64)}
order = torch.tensor([int(name.split("-")[1]) for name in names])
train(model, [(x[part], y[part]) for part in order.split(8)])
save(model)
