"""A table looked up with w[index]: its backward accumulates as index_put_ does."""

import torch
from common import save, start

start()
table = torch.randn(100, requires_grad=True)
optimizer = torch.optim.SGD([table], lr=1e-3)
index, factor = torch.randint(0, 100, (1_000_000,)), torch.randn(1_000_000)
for _ in range(3):
    optimizer.zero_grad()
    (table[index] * factor).sum().backward()
    optimizer.step()
save(table)
