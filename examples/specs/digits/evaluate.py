"""Picks the best of the trained models, and tells how all of them do on digits that none has seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np


def compare(data: str, trained: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The outputs: the best model by the validation part, its test accuracy, and a table of all."""
    with np.load(data) as parts:
        x_test, y_test = parts["x_test"], parts["y_test"]
    ranked = sorted(trained, key=lambda name: trained[name]["accuracy"], reverse=True)
    scores = {name: float(joblib.load(trained[name]["model"]).score(x_test, y_test)) for name in ranked}
    lines = [f"{'model':<10} {'validation':>10} {'test':>8} {'seconds':>8}"]
    for name, test in scores.items():
        outputs = trained[name]
        lines.append(f"{name:<10} {outputs['accuracy']:>10.4f} {test:>8.4f} {outputs['seconds']:>8.2f}")
    table = Path(os.environ["EXP_TASK_DIR"], "table.txt")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    best = ranked[0]
    return {"best": best, "accuracy": round(scores[best], 4), "test": scores, "table": str(table)}
