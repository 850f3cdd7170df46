"""Trains a small network on scikit-learn's handwritten digits, epoch by epoch, and survives being killed."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nemorun_cli import Experiment

CHECKPOINT = Path(os.environ["EXP_TASK_DIR"], "checkpoint.pkl")  # of the task, so its next attempt finds it
BATCH = 100
MOMENTUM = 0.9
Network: TypeAlias = list[np.ndarray]  # the weights and biases of the hidden layer, then of the output


def train(data: str, hidden: int, lr: float, epochs: int, pause: float) -> dict[str, Any]:
    """The best accuracy on digits that were not trained on, and its epoch."""
    with np.load(data) as parts:
        x_train, y_train = parts["x_train"] / 16, parts["y_train"]
        x_eval, y_eval = parts["x_choose"] / 16, parts["y_choose"]
    with Experiment().run as experiment:
        begin, network, velocity, best = load() or new(hidden)
        experiment.log(f"begins with epoch {begin}")
        known = experiment.metrics("digits").last("epoch", default=-1)
        for epoch in range(begin, epochs):
            since = time.perf_counter()
            order = np.random.default_rng(epoch).permutation(len(x_train))  # the same after a resume
            for batch in np.split(order, range(BATCH, len(order), BATCH)):
                learn(network, velocity, x_train[batch], y_train[batch], lr)
            loss = float(-np.log(probabilities(network, x_train)[np.arange(len(y_train)), y_train]).mean())
            accuracy = float((probabilities(network, x_eval).argmax(axis=1) == y_eval).mean())
            if epoch > known:  # else it was killed between this and the checkpoint
                experiment.metrics("digits").log(loss=loss, accuracy=accuracy, epoch=epoch)
                print(f"epoch {epoch} took {time.perf_counter() - since:.4f} s", flush=True)
            if accuracy > best["accuracy"]:
                best = {"accuracy": accuracy, "epoch": epoch}
                experiment.files("models").save_pkl(network, to="best.pkl")
            save(epoch + 1, network, velocity, best)
            time.sleep(pause)
    return best


def new(hidden: int) -> tuple[int, Network, Network, dict[str, Any]]:
    """The first epoch, a network that has not learned anything, its velocity, and no result."""
    random = np.random.default_rng(0)
    network = []
    for inputs, outputs in ((64, hidden), (hidden, 10)):
        network += [random.normal(0, inputs**-0.5, (inputs, outputs)), np.zeros(outputs)]
    return 0, network, [np.zeros_like(part) for part in network], {"accuracy": 0.0}


def probabilities(network: Network, x: np.ndarray) -> np.ndarray:
    """The probability of each digit for each image."""
    scores = hidden_layer(network, x) @ network[2] + network[3]
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def hidden_layer(network: Network, x: np.ndarray) -> np.ndarray:
    """The outputs of the hidden layer for each image."""
    return np.maximum(x @ network[0] + network[1], 0)


def learn(network: Network, velocity: Network, x: np.ndarray, y: np.ndarray, lr: float) -> None:
    """Change the network by one step of gradient descent with momentum."""
    hidden = hidden_layer(network, x)
    error = (probabilities(network, x) - np.eye(10)[y]) / len(x)
    error_before = (error @ network[2].T) * (hidden > 0)
    gradients = [x.T @ error_before, error_before.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
    for part, speed, gradient in zip(network, velocity, gradients, strict=True):
        speed *= MOMENTUM  # noqa: PLW2901 - in place
        speed -= lr * gradient  # noqa: PLW2901 - in place
        part += speed  # noqa: PLW2901 - in place


def load() -> tuple[int, Network, Network, dict[str, Any]] | None:
    """The next epoch, the network, its velocity and the best result so far; None in the first attempt."""
    if not CHECKPOINT.exists():
        return None
    begin, network, velocity, best = pickle.loads(CHECKPOINT.read_bytes())  # noqa: S301 - it wrote this itself
    return begin, network, velocity, best


def save(begin: int, network: Network, velocity: Network, best: dict[str, Any]) -> None:
    """Replace the checkpoint whole, so that a kill leaves the old one or the new one."""
    aside = CHECKPOINT.with_suffix(".new")
    aside.write_bytes(pickle.dumps((begin, network, velocity, best)))
    aside.replace(CHECKPOINT)
