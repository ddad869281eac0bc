"""Workers of a DataLoader that use NumPy's unseeded generator."""

import numpy
import torch
from common import data, net, save, start, train


class Noisy(torch.utils.data.Dataset):
    def __init__(self):
        self.x, self.y = data(32)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        noise = numpy.random.default_rng().normal(size=16).astype("float32")
        return self.x[index] + torch.from_numpy(noise) * 0.01, self.y[index]


if __name__ == "__main__":
    start()
    model = net()
    train(model, torch.utils.data.DataLoader(Noisy(), batch_size=8, num_workers=2))
    save(model)
