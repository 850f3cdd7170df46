"""Splits the digits of scikit-learn into a part to train on, one to choose by, and one to test on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main() -> None:
    """Write the parts into one file, and tell the later tasks where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x_train, x_rest, y_train, y_rest = train_test_split(
        images, labels, test_size=0.4, random_state=options.seed, stratify=labels
    )
    x_choose, x_test, y_choose, y_test = train_test_split(
        x_rest, y_rest, test_size=0.5, random_state=options.seed, stratify=y_rest
    )
    np.savez_compressed(
        options.out,
        x_train=x_train,
        y_train=y_train,
        x_choose=x_choose,
        y_choose=y_choose,
        x_test=x_test,
        y_test=y_test,
    )
    print(f"{len(y_train)} digits to train on, {len(y_choose)} to choose by, {len(y_test)} to test on")
    with Path(os.environ["EXP_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"data={options.out}\nrows:={len(labels)}\n")


if __name__ == "__main__":
    main()
