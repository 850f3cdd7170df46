"""Logs numbered rows, lines and entries. In the middle, it waits until the test lets it continue.

python steady_run.py URL PREFIX WRITER COUNT FOLDER [HYBRID_ROOT]
"""

import sys
import time
from pathlib import Path

from ml_dash import Experiment

url, prefix, writer, count, folder, *root = sys.argv[1:]
exp = Experiment(prefix=prefix, dash_url=url, dash_root=root[0] if root else None)
with exp.run:
    for i in range(int(count)):
        if i == int(count) // 2:
            (Path(folder) / f"half-{writer}").touch()
            while not (Path(folder) / "go").exists():
                time.sleep(0.01)
        exp.metrics("m").log(w=writer, i=i)
        exp.log(f"{writer} {i}")
        if not writer.startswith("0.6"):  # it loses entries that are appended while it flushes
            exp.tracks(f"t/{writer}").append(w=writer, i=i)
