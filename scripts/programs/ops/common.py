"""What the programs here share: a small model, data that are the same every time, training, and where results go."""

import os

import torch


def start(seed=0):
    torch.set_num_threads(2)
    torch.manual_seed(seed)


def net(width=32):
    nn = torch.nn
    return nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 4))


def data(count=64):
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, 16, generator=generator), torch.randint(0, 4, (count,), generator=generator)


def loss_of(model, x, y):
    return torch.nn.functional.cross_entropy(model(x), y)


def train(model, batches, lr=0.1):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for x, y in batches:
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        optimizer.step()


def save(*results):
    """Writes tensors, or a model's weights, to the folder in SAMEBITS_OUT."""
    tensors = {}
    for number, result in enumerate(results):
        if isinstance(result, torch.nn.Module):
            tensors.update({f"{number}.{name}": value for name, value in result.state_dict().items()})
        else:
            tensors[str(number)] = result.detach().clone()
    torch.save(tensors, os.path.join(os.environ["SAMEBITS_OUT"], "result.pt"))
