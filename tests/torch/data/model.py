# Makes model.pt and batch.safetensors beside it, for tests/workloads.rs. Wants torch 2.11 and safetensors.
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(0)
here = Path(__file__).parent
norm = torch.nn.BatchNorm1d(8)
layers = torch.nn.Sequential(torch.nn.Linear(4, 8), norm, torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 3))
torch.jit.script(layers).save(str(here / "model.pt"))
x = torch.randn(30, 4)
y = x[:, :3].argmax(1)
save_file({"input": x, "target": y}, str(here / "batch.safetensors"))
