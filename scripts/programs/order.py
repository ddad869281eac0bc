"""Sums in the order of a set of words, which Python shuffles in every process unless told not to."""

import json

words = {f"sample-{number}" for number in range(1000)}
total, sums = 0.0, []
for word in words:
    total += 1.0 / (1 + int(word.split("-")[1]))
    sums.append(total)
with open("sums.json", "w", encoding="utf-8") as file:
    json.dump(sums, file)
