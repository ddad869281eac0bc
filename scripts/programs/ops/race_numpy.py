"""A thread changes the input through NumPy while the model trains on it."""

import threading
import time

import torch
from common import data, net, save, start, train

start()
model, (x, y) = net(), data()
x = x * 1
alias, running = x.numpy(), True


def disturb():
    while running:
        alias[:, 0] += 1e-3
        time.sleep(1e-5)


thread = threading.Thread(target=disturb)
thread.start()
train(model, [(x, y)] * 200)
running = False
thread.join()
save(model)
