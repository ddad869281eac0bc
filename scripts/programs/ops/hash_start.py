"""A bias that starts from the hash of a name."""

import torch
from common import data, net, save, start, train

start()
model = net()
torch.nn.init.constant_(model[2].bias, hash("bias") % 1_000_003 / 1e7)
train(model, [data()] * 3)
save(model)
