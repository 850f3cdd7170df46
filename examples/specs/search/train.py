"""Trains a small network to read handwritten digits, and logs its validation loss after each epoch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from network import Network, parts
from sklearn.metrics import log_loss

from nemorun_cli import Experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCHS = 12


def losses(network: Network, epochs: int = EPOCHS) -> Iterator[float]:
    """The loss on the validation part after each epoch."""
    data = parts()
    model = network.model()
    for _ in range(epochs):
        model.partial_fit(data.x_train, data.y_train, classes=range(10))
        yield float(log_loss(data.y_choose, model.predict_proba(data.x_choose), labels=range(10)))


def main() -> None:
    """Log each loss; `exp` compares the trials by them, and stops those that are hopeless."""
    parser = argparse.ArgumentParser(description=__doc__)
    Network.add_arguments(parser)
    network = Network.from_arguments(parser.parse_args())
    with Experiment().run as experiment:
        for epoch, loss in enumerate(losses(network), start=1):
            experiment.metrics.log(loss=loss, epoch=epoch)
            print(f"epoch {epoch}: loss {loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
