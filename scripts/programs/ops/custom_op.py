"""An operation of the program's own that uses NumPy's unseeded generator inside."""

import numpy
import torch
from common import data, loss_of, net, save, start


@torch.library.custom_op("programs::noise", mutates_args=())
def noise(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(x.numpy() + numpy.random.default_rng().normal(size=x.shape).astype("float32") * 1e-3)


start()
model, (x, y) = net(), data()
optimizer = torch.optim.Adam(model.parameters())
for step in range(4):
    optimizer.zero_grad()
    loss_of(model, noise(x) if step == 2 else x, y).backward()
    optimizer.step()
save(model)
