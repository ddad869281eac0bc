"""Ten steps from wherever its own checkpoint stands. With --forget it does not restore the generator, and draws a new seed."""

import os
import sys

import torch

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
start = 0
if os.path.exists("checkpoint.pt"):
    saved = torch.load("checkpoint.pt")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    start = saved["step"]
    if "--forget" in sys.argv:
        torch.seed()
    else:
        torch.set_rng_state(saved["generator"])
else:
    torch.manual_seed(0)
    model.reset_parameters()
for step in range(start, start + 10):
    inputs = torch.randn(16, 8)
    loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "generator": torch.get_rng_state(), "step": start + 10}
torch.save(state, "checkpoint.pt")
torch.save(model.state_dict(), f"model-step-{start + 10}.pt")
