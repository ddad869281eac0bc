"""Two threads train one model without a lock, as fast as their data come. Each has gradients of its own: shared ones would be
freed under the other's hands."""

import os
import threading
import time

import torch
from common import data, loss_of, net, save, start

start()
model, (x, y) = net(), data()


def train(part):
    for _ in range(100):
        time.sleep(os.urandom(1)[0] / 1e6)
        gradients = torch.autograd.grad(loss_of(model, x[part], y[part]), list(model.parameters()))
        for weight, gradient in zip(model.parameters(), gradients):
            weight.data.sub_(gradient, alpha=0.1)  # .data: torch refuses a backward whose weights changed meanwhile


workers = [threading.Thread(target=train, args=(part,)) for part in (slice(0, 32), slice(32, 64))]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
save(model)
