"""The network that is trained, and the digits that come with scikit-learn, in three parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Self

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

if TYPE_CHECKING:
    import argparse

    import numpy as np

SEED = 7  # of the parts and of the weights, so that trials differ in their params alone


@dataclass(frozen=True)
class Network:
    """What the search varies."""

    lr: float
    momentum: float
    decay: float
    hidden: int
    batch: int

    def model(self) -> MLPClassifier:
        """A network with random weights."""
        return MLPClassifier(
            hidden_layer_sizes=(self.hidden,),
            activation="tanh",
            solver="sgd",
            learning_rate_init=self.lr,
            momentum=self.momentum,
            alpha=self.decay,
            batch_size=self.batch,
            random_state=SEED,
        )

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """An option for each of its fields."""
        for each in fields(cls):
            parser.add_argument(f"--{each.name}", type=int if each.type == "int" else float, required=True)

    @classmethod
    def from_arguments(cls, options: argparse.Namespace) -> Self:
        """The network that the options describe."""
        return cls(**{each.name: getattr(options, each.name) for each in fields(cls)})

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.4g}" for name, value in asdict(self).items())


class Parts(NamedTuple):
    """Images of 8 by 8 pixels and the digits they show: to train on, to choose by, and to test on."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_choose: np.ndarray
    y_choose: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@cache
def parts() -> Parts:
    """The digits: 600 to train on, 400 to choose by, and the other 797 to test on."""
    images, digits = load_digits(return_X_y=True)
    x_train, x_rest, y_train, y_rest = train_test_split(
        images / 16, digits, train_size=600, random_state=SEED, stratify=digits
    )
    x_choose, x_test, y_choose, y_test = train_test_split(
        x_rest, y_rest, train_size=400, random_state=SEED, stratify=y_rest
    )
    return Parts(x_train, y_train, x_choose, y_choose, x_test, y_test)
