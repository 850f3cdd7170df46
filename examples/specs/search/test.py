"""Trains the best network of the search on all digits but the last part, and tests it on that part."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from network import Network, parts
from train import EPOCHS


def main() -> None:
    """Write the accuracy as an output."""
    parser = argparse.ArgumentParser(description=__doc__)
    Network.add_arguments(parser)
    network = Network.from_arguments(parser.parse_args())
    data, model = parts(), network.model()
    images = np.concatenate([data.x_train, data.x_choose])
    digits = np.concatenate([data.y_train, data.y_choose])
    for _ in range(EPOCHS):
        model.partial_fit(images, digits, classes=range(10))
    accuracy = model.score(data.x_test, data.y_test)
    print(f"{network}: reads {accuracy:.1%} of {len(data.y_test)} new digits")
    with Path(os.environ["EXP_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.write(f"accuracy:={accuracy:.4f}\n")


if __name__ == "__main__":
    main()
