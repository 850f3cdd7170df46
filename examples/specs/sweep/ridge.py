"""Fits a polynomial with a ridge penalty to noisy measurements of a sine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

TERMS = 10
NOISE = 0.3


def main() -> None:
    """Fit once, and put out how well other measurements are predicted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()

    random = np.random.default_rng(options.seed)
    x = random.uniform(-1, 1, (2, 200))  # to fit and to test
    y = np.sin(3 * x) + random.normal(0, NOISE, x.shape)
    powers = np.vander(x.ravel(), TERMS).reshape(2, 200, TERMS)
    weights = fit(powers[0], y[0], options.alpha)
    score = 1 - np.sum((y[1] - powers[1] @ weights) ** 2) / np.sum((y[1] - y[1].mean()) ** 2)
    print(f"alpha={options.alpha} seed={options.seed}: R2 {score:.4f}")
    with Path(os.environ["EXP_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"score:={score:.6f}\n")


def fit(x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """The weights; with a negative penalty the matrix is not positive definite, which Cholesky refuses."""
    factor = np.linalg.cholesky(x.T @ x + alpha * np.eye(TERMS))
    return np.linalg.solve(factor.T, np.linalg.solve(factor, x.T @ y))


if __name__ == "__main__":
    main()
