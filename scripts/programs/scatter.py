"""A million values added into a hundred rows by two threads: on CPUs, torch's own nondeterministic op."""

import torch

torch.manual_seed(0)
torch.set_num_threads(2)
table, rows, values = torch.zeros(100), torch.randint(100, (1_000_000,)), torch.randn(1_000_000)
table.index_put_((rows,), values, accumulate=True)
torch.save({"table": table}, "table.pt")
