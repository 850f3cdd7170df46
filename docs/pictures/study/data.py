"""Prints noisy measurements of a sine, one per line."""

from __future__ import annotations

import math
import random

random.seed(0)
for _ in range(60):
    x = random.uniform(-3, 3)
    print(x, math.sin(x) + random.gauss(0, 0.1))
