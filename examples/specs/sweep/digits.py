"""Fits support vector machines to the digits that come with scikit-learn, and tells the best of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib


def fit(C: float, gamma: float, *, probability: bool) -> dict[str, Any]:  # noqa: N803 - scikit-learn's own name
    """The outputs of one training: where the model is, and its accuracy on digits that it has not seen."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - `best` does without, and starts sooner
    from sklearn.svm import SVC  # noqa: PLC0415 - the same

    images, labels = load_digits(return_X_y=True)
    model = SVC(C=C, gamma=gamma, probability=probability).fit(images[::2], labels[::2])
    path = Path(os.environ["EXP_TASK_DIR"], "model.joblib")
    joblib.dump(model, path)
    accuracy = model.score(images[1::2], labels[1::2])
    print(f"C={C} gamma={gamma}: {accuracy:.4f}")
    return {"model": str(path), "accuracy": round(accuracy, 4)}


def best(trained: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The outputs: the member with the best accuracy, and that accuracy."""
    name = max(trained, key=lambda member: trained[member]["accuracy"])
    print(f"{name} of {len(trained)}: {trained[name]['accuracy']}")
    return {"best": name, "accuracy": trained[name]["accuracy"]}
