"""Writes records to a folder, as ML-Dash's local mode does.

python local_run.py FOLDER PREFIX
"""

import sys
import time

from ml_dash import Experiment

folder, prefix = sys.argv[1:]
exp = Experiment(
    prefix=prefix, dash_root=folder, readme="what", tags=["a", "b,c"], bindrs=["x"], metadata={"k": [1, None]}
)
with exp.run:
    exp.params.set(lr=0.1, model={"depth": 3}, big=2**60 + 1, items=[1, "ü"])
    for level in ("debug", "info", "warn", "error", "fatal"):
        getattr(exp.logs, level)(f"{level} ü", x=1)
    for i in range(300):
        exp.metrics("a").log(
            big=2**60 + i, loss=float("nan") if i == 7 else 1 / (i + 1), _ts=1_700_000_000.123456 + i
        )
        exp.metrics.log(epoch=i)
        exp.tracks("robot/pos").append(q=[0.1, i], _ts=1000.0 + i)
    exp.files("models", description="d", tags=["t"], metadata={"m": 1}).save_text("text", to="t.txt")
    exp.files("models").save_blob(b"\0" * 1000, to="b.bin")
    exp.files("models").save_blob(b"x", to="gone.bin")
    exp.flush()
    while len(exp.files().list()) < 3:  # a flush does not wait for files
        time.sleep(0.01)
    exp.files("models/gone.bin").delete()
    exp.flush()
