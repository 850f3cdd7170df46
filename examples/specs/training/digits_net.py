"""Trains a small network on scikit-learn's handwritten digits, epoch by epoch, and survives being killed."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from nemorun_cli import Experiment

CHECKPOINT = Path(os.environ["EXP_TASK_DIR"], "checkpoint.pkl")  # of the task, so its next attempt finds it


def train(hidden: int, lr: float, epochs: int, pause: float) -> dict[str, Any]:
    """The best accuracy on digits that were not trained on, and its epoch."""
    x, y = load_digits(return_X_y=True)
    x_train, x_eval, y_train, y_eval = train_test_split(x / 16, y, test_size=0.3, random_state=0)
    with Experiment().run as experiment:
        begin, model, best = load() or (0, new(hidden, lr), {"accuracy": 0.0})
        experiment.log(f"begins with epoch {begin}")
        known = experiment.metrics("digits").last("epoch", default=-1)
        for epoch in range(begin, epochs):
            since = time.perf_counter()
            model.partial_fit(x_train, y_train, classes=np.unique(y))
            accuracy = float(model.score(x_eval, y_eval))
            if epoch > known:  # else it was killed between this and the checkpoint
                experiment.metrics("digits").log(loss=model.loss_, accuracy=accuracy, epoch=epoch)
                print(f"epoch {epoch} took {time.perf_counter() - since:.4f} s", flush=True)
            if accuracy > best["accuracy"]:
                best = {"accuracy": accuracy, "epoch": epoch}
                experiment.files("models").save_pkl(model, to="best.pkl")
            save(epoch + 1, model, best)
            time.sleep(pause)
    return best


def new(hidden: int, lr: float) -> MLPClassifier:
    """A network that has not learned anything."""
    return MLPClassifier((hidden,), solver="sgd", learning_rate_init=lr, batch_size=100, random_state=0)


def load() -> tuple[int, MLPClassifier, dict[str, Any]] | None:
    """The next epoch, the network and the best result so far; None in the first attempt."""
    if not CHECKPOINT.exists():
        return None
    begin, model, best = pickle.loads(CHECKPOINT.read_bytes())  # noqa: S301 - it wrote this itself
    return begin, model, best


def save(begin: int, model: MLPClassifier, best: dict[str, Any]) -> None:
    """Replace the checkpoint whole, so that a kill leaves the old one or the new one."""
    aside = CHECKPOINT.with_suffix(".new")
    aside.write_bytes(pickle.dumps((begin, model, best)))
    aside.replace(CHECKPOINT)
