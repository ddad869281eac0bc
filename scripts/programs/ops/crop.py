"""A random crop whose size comes from Python's unseeded generator."""

import random

import torch
from common import save, start

start()
nn = torch.nn
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images = torch.randn(8, 1, 64, 64)
for _ in range(3):
    side = random.randint(10, 63)  # never all of it, which is another op (alias)
    optimizer.zero_grad()
    model(images[:, :, :side, :side]).square().mean().backward()
    optimizer.step()
save(model)
