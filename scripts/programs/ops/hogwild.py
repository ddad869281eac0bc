"""Two threads train one model without a lock, as fast as their data come."""

import os
import threading
import time

import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data()


def batches(part):
    for _ in range(100):
        time.sleep(os.urandom(1)[0] / 1e6)
        yield x[part], y[part]


workers = [threading.Thread(target=train, args=(model, batches(part))) for part in (slice(0, 32), slice(32, 64))]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
save(model)
