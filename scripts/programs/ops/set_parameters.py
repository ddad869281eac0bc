"""Groups of parameters in the order of a set of names; the norm of the gradients is added up in that order."""

import torch
from common import data, loss_of, save, start

start()
nn = torch.nn
model = nn.Sequential(*(nn.Linear(16, 16) for _ in range(12)), nn.Linear(16, 4))
named = dict(model.named_parameters())
ordered = [named[name] for name in set(named)]
optimizer = torch.optim.SGD(ordered, lr=0.5)
x, y = data()
for _ in range(12):
    optimizer.zero_grad()
    loss_of(model, x, y).backward()
    norm = sum(parameter.grad.square().sum() for parameter in ordered).sqrt()
    for parameter in ordered:
        parameter.grad /= norm
    optimizer.step()
save(model)
