"""Memory that is not initialised by the allocator, but filled before it is read, in several ways."""

import numpy
import torch
from common import save, start

start()
cache = torch.empty(64, 16)
total = torch.zeros(16)
for row in range(64):
    cache[row] = torch.randn(16)
    total += cache[: row + 1].mean(0)
buffer = torch.empty(1000)
buffer.numpy()[:] = numpy.arange(1000)
out = torch.empty(0)
torch.add(total, 1, out=out)
save(cache, total, buffer * 2, out)
