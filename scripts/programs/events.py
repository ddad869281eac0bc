"""TensorBoard's writer as it comes: file and folder are named after the time, the host and the process."""

import sys

import torch
from torch.utils.tensorboard import SummaryWriter

if "--seed" in sys.argv:
    torch.manual_seed(0)
with SummaryWriter() as writer:
    for step in range(10):
        writer.add_scalar("loss", torch.rand(()) / (1 + step), step)
    writer.add_histogram("weight", torch.randn(100), 9)
