"""Two processes that average their gradients; each writes what it ends with. ODD_RANK names one that adds noise of its own."""

import os

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = torch.nn.Linear(8, 1)
data = torch.Generator().manual_seed(rank)
for step in range(5):
    inputs = torch.randn(16, 8, generator=data)
    loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
            parameter -= 0.01 * parameter.grad / dist.get_world_size()
noise = int.from_bytes(os.urandom(4), "little") if os.environ.get("ODD_RANK") == str(rank) else 0
os.makedirs("out", exist_ok=True)
torch.save({"weight": model.weight.detach(), "noise": torch.arange(4.0) + noise}, f"out/model_rank_{rank}.pt")
dist.destroy_process_group()
