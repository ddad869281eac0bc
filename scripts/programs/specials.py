"""Values that are equal to every eye: a NaN with another payload, or a zero with another sign, in every second run."""

import os
import sys

import numpy

with open(os.environ["COUNTER"], "a+", encoding="utf-8") as file:
    file.write("x")
    odd = file.tell() % 2
bits = numpy.arange(100, dtype=numpy.float32).view(numpy.uint32)
special = {"nan": (0x7FC00000, 0x7FC00001), "zero": (0x00000000, 0x80000000)}[sys.argv[1]]
bits[50] = special[odd]
numpy.save("array.npy", bits.view(numpy.float32))
