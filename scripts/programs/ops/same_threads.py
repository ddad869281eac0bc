"""Two threads that train a model each."""

import threading

import torch
from common import data, net, save, start, train

start()
models = [net(), net()]
workers = [threading.Thread(target=train, args=(model, [data()] * 10)) for model in models]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
save(*models)
