"""As many batches as the clock allows."""

import time

from common import data, net, save, start, train

start()
model = net()
train(model, [data()] * (3 + time.time_ns() // 1000 % 50))
save(model)
