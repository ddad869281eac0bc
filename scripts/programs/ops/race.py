"""Two threads of Python change the same weights, each when its turn comes."""

import threading

import torch
from common import save, start

start()
weights = torch.ones(50_000)


def work(factor):
    for _ in range(300):
        weights.mul_(factor).add_(1e-3)


workers = [threading.Thread(target=work, args=(factor,)) for factor in (0.999, 1.0015)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
save(weights)
