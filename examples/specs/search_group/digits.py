"""Fits support vector machines to the digits of scikit-learn, measures them, and tests the best one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_digits
from sklearn.svm import SVC

FIT, MEASURE, TEST = slice(0, 900), slice(900, 1350), slice(1350, None)  # parts of the digits


def fit(C: float, gamma: float) -> dict[str, Any]:  # noqa: N803 - scikit-learn's own name
    """The output of the first task of a trial: where the model is."""
    images, digits = load_digits(return_X_y=True)
    path = Path(os.environ["EXP_TASK_DIR"], "model.joblib")
    joblib.dump(SVC(C=C, gamma=gamma).fit(images[FIT], digits[FIT]), path)
    return {"model": str(path)}


def measure(model: str) -> dict[str, Any]:
    """The output of the second task, by which trials are compared."""
    return {"accuracy": _accuracy(model, MEASURE)}


def test(model: str, trial: str) -> dict[str, Any]:
    """The accuracy of the best model."""
    accuracy = _accuracy(model, TEST)
    print(f"{trial} reads {accuracy:.1%} of new digits")
    return {"tested": accuracy}


def _accuracy(model: str, part: slice) -> float:
    images, digits = load_digits(return_X_y=True)
    return round(float(joblib.load(model).score(images[part], digits[part])), 4)
