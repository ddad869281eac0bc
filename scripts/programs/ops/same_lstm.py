"""A seeded LSTM with AdamW and clipped gradients."""

import torch
from common import save, start

start()
model = torch.nn.LSTM(8, 16, num_layers=2, dropout=0.1, batch_first=True)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(5):
    optimizer.zero_grad()
    model(torch.randn(4, 12, 8))[0].square().mean().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
save(model)
