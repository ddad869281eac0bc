"""An augmentation with NumPy's generator, which nobody seeded."""

import numpy
import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data()
train(model, [(x + torch.from_numpy(numpy.random.randn(*x.shape).astype("float32")) * 0.01, y) for _ in range(3)])
save(model)
