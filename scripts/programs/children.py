"""Squares in processes of its own, spawned or forked; both import torch."""

import multiprocessing
import sys

import torch


def square(number):
    return float(torch.tensor(float(number)).square())


if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(square, range(8)))
