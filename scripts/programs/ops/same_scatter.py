"""Sums by index that are deterministic on a CPU: scatter_add_, index_add_, an embedding's backward."""

import torch
from common import save, start

start()
rows, values = torch.randint(0, 100, (300_000,)), torch.randn(300_000)
table = torch.nn.Embedding(100, 4)
table(rows[:50_000]).square().sum().backward()
save(torch.zeros(100).scatter_add_(0, rows, values), torch.zeros(100).index_add_(0, rows, values), table.weight.grad)
