"""A dropout whose mask comes from a generator that was seeded by the operating system."""

import torch
from common import data, save, start, train


class Drop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator()
        self.generator.seed()

    def forward(self, x):
        return x * torch.empty_like(x).bernoulli_(0.9, generator=self.generator)


start()
nn = torch.nn
model = nn.Sequential(nn.Linear(16, 32), Drop(), nn.Linear(32, 4))
train(model, [data()] * 3)
save(model)
