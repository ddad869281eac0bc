#!/bin/sh
# Splits numbers into a training and a test part: shuffled with a fixed source of randomness, or without one.
set -eu
seq 1000 > numbers.txt
if [ "${1:-}" = seeded ]; then
    shuf --random-source=numbers.txt numbers.txt > shuffled.txt
else
    shuf numbers.txt > shuffled.txt
fi
head -n 800 shuffled.txt > train.txt
tail -n 200 shuffled.txt > test.txt
