"""One layer is initialised from a generator of its own, which nobody seeded."""

import torch
from common import data, net, save, start, train

start()
model = net()
generator = torch.Generator()
generator.seed()
torch.nn.init.normal_(model[2].weight, std=0.1, generator=generator)
train(model, [data()] * 3)
save(model)
