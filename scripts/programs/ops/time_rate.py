"""A learning rate that depends on the clock."""

import time

from common import data, net, save, start, train

start()
model = net()
train(model, [data()] * 2)
train(model, [data()] * 2, lr=0.1 * (1 + time.time() % 1))
save(model)
