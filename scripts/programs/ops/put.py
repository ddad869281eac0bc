"""As index_put.py, with put_."""

import torch
from common import save, start

start()
total = torch.zeros(100)
total.put_(torch.randint(0, 100, (1_000_000,)), torch.randn(1_000_000), accumulate=True)
save(total)
