"""As many threads as chance has it: sums are added up in another order."""

import os

import torch
from common import save, start

start()
x = torch.randn(2_200_000)
torch.set_num_threads(1 + int.from_bytes(os.urandom(8), "little") % 64)
save(torch.stack([x[first:].sum() for first in range(0, 40_000, 2000)]))
