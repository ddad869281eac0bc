"""An op without a deterministic implementation, on CPUs too."""

import torch
from torch.nn import functional

pooled, indices = functional.max_pool2d(torch.randn(1, 1, 8, 8), 2, return_indices=True)
torch.save(functional.max_unpool2d(pooled, indices, 2), "unpooled.pt")
