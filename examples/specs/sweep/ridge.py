"""Fits a ridge regression to the diabetes data that come with scikit-learn."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split


def main() -> None:
    """Fit once, and put out how well the rest of the data is told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()

    x, y = load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=options.seed)
    score = Ridge(alpha=options.alpha).fit(x_train, y_train).score(x_test, y_test)
    print(f"alpha={options.alpha} seed={options.seed}: R2 {score:.4f}")
    with Path(os.environ["EXP_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"score:={score:.6f}\n")


if __name__ == "__main__":
    main()
