"""Activations computed again in backward, with the generator put back."""

import torch
from torch.utils.checkpoint import checkpoint
from common import data, save, start

start()
nn = torch.nn
block, head = nn.Sequential(nn.Linear(16, 32), nn.Dropout(0.3), nn.ReLU()), nn.Linear(32, 4)
optimizer = torch.optim.SGD([*block.parameters(), *head.parameters()], lr=0.1, foreach=True)
x, y = data()
for _ in range(4):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(head(checkpoint(block, x, use_reentrant=False)), y).backward()
    optimizer.step()
save(block, head)
