"""A histogram with index_put_: two threads add floats to the same rows in any order."""

import torch
from common import save, start

start()
rows, values = torch.randint(0, 100, (1_000_000,)), torch.randn(1_000_000)
total = torch.zeros(100)
total.index_put_((rows,), values, accumulate=True)
save(total)
