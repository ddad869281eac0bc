"""Samples in files with names of chance, read in the order of the names."""

import os
import tempfile

import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data(16)
with tempfile.TemporaryDirectory() as folder:
    for row, label in zip(x, y):
        handle, path = tempfile.mkstemp(dir=folder)
        os.close(handle)
        torch.save((row.clone(), label.clone()), path)
    samples = [torch.load(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
train(model, [(row[None], label[None]) for row, label in samples])
save(model)
