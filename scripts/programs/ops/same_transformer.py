"""A seeded transformer, under autocast to bfloat16."""

import torch
from common import save, start

start()
model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(32, 4, 64, 0.1, batch_first=True), 2, enable_nested_tensor=False)
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(4):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(torch.randn(4, 16, 32)).square().mean()
    loss.backward()
    optimizer.step()
save(model)
