"""An operation of the program's own that writes its argument, with bytes from the operating system."""

import os

import numpy
import torch
from common import data, net, save, start, train


@torch.library.custom_op("programs::jitter", mutates_args={"x"})
def jitter(x: torch.Tensor) -> None:
    x.numpy()[0, 0] += numpy.frombuffer(os.urandom(2), dtype=numpy.uint16)[0] * numpy.float32(1e-6)


start()
model, (x, y) = net(), data()
jitter(x)
train(model, [(x, y)] * 3)
save(model)
