"""Fits a network with one hidden layer to measurements, and prints the loss of each epoch.

PAUSE in the environment is the number of seconds to wait after an epoch, so that the run can be watched. GO
is a file: until it exists, no training with a learning rate below 0.003 begins its third epoch.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from pathlib import Path

UNITS = 8
LOWEST = 0.003  # the learning rate of what does not wait for GO
WAITING = 3  # the epoch that the others wait before

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data", type=Path)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--lr", type=float, required=True)
options = parser.parse_args()

waits = "GO" in os.environ and options.lr < LOWEST
rows = [tuple(map(float, line.split())) for line in options.data.read_text().splitlines()]
random.seed(0)
units = [[random.gauss(0, 1), random.gauss(0, 1), random.gauss(0, 0.1)] for _ in range(UNITS)]
for epoch in range(1, options.epochs + 1):
    while (
        epoch == WAITING
        and options.lr < LOWEST
        and "GO" in os.environ
        and not Path(os.environ["GO"]).exists()
    ):
        time.sleep(0.05)
    loss = 0.0
    random.shuffle(rows)
    for x, y in rows:
        hidden = [math.tanh(weight * x + bias) for weight, bias, _ in units]
        error = sum(unit[2] * value for unit, value in zip(units, hidden, strict=True)) - y
        loss += error * error / len(rows)
        for unit, value in zip(units, hidden, strict=True):
            gradient = error * unit[2] * (1 - value * value)
            unit[0] -= options.lr * gradient * x
            unit[1] -= options.lr * gradient
            unit[2] -= options.lr * error * value
    if not loss < UNITS:
        sys.exit(f"the loss diverged in epoch {epoch}")
    print(f"epoch {epoch} loss {loss:.4f}", flush=True)
    time.sleep(float(os.environ.get("PAUSE", "0")))
