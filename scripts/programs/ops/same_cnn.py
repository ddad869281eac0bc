"""A seeded convolutional network with batch norm and Adam."""

import torch
from common import save, start

start()
nn = torch.nn
model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 49, 4))
optimizer = torch.optim.Adam(model.parameters())
for _ in range(5):
    optimizer.zero_grad()
    model(torch.randn(16, 1, 16, 16)).square().mean().backward()
    optimizer.step()
save(model)
