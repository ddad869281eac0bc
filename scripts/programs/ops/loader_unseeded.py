"""A DataLoader shuffles with a generator that nobody seeded."""

import torch
from common import data, net, save, start, train

start()
generator = torch.Generator()
generator.seed()
dataset = torch.utils.data.TensorDataset(*data())
loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, generator=generator)
model = net()
train(model, loader)
save(model)
