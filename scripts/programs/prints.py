"""Writes no file: its losses are in what it prints, beside how long it took."""

import random
import sys
import time

began = time.time()
generator = random.Random(7 if "--seed" in sys.argv else None)
loss = 1.0
for step in range(5):
    loss *= 0.5 + generator.random() / 4
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} step {step} loss {loss:.6f} took {time.time() - began:.4f}s")
