"""Speed of tracking, as ratios against ML-Dash in the same run.

    python tests/benchmarks/bench_tracking.py [--ml-dash PYTHON] [--folder NEW_FOLDER] [--rounds N] [--rows N]

PYTHON is the interpreter of an environment with `ml-dash` in it. Each side is a program of its own
that times itself; a round runs both, and what is shown are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

LINES: Final = 50_000
BARE: Final = "import sys"

# What both sides do. `Experiment`, `root` and `rows` are there; `times` is filled.
COMMON = """\
import contextlib, io, json, os, resource, sys, time
root, rows, lines = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
times = {}

@contextlib.contextmanager
def timed(name, count=1):
    start = time.perf_counter()
    yield
    times[name] = (time.perf_counter() - start) / count

def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def experiment(name):
    return Experiment(prefix=f"o/p/{name}", dash_root=root)

quiet = contextlib.redirect_stdout(io.StringIO())
experiment("warm").run.start().run.complete()
with timed("open and close"):
    experiment("empty").run.start().run.complete()
"""

OURS = f"""\
from nemorun_cli.tracking import Experiment
{COMMON}
e = experiment("metrics").run.start()
train = e.metrics("train")
train.log(loss=0.1, epoch=0, accuracy=0.2)
with timed("metrics.log, three fields, in the file", 10_000):
    for i in range(10_000):
        train.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
times["metrics.log, three fields, buffered"] = times["metrics.log, three fields, in the file"]
before = memory()
many = e.metrics("many")
for i in range(rows):
    many.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
times["memory of so many rows logged, MB"] = memory() - before
with timed("read 10,000 rows"):
    read = train.read(start_index=0, limit=10_000)
assert len(read) == 10_000
del read
with timed("read all rows"):
    read = many.read()
assert len(read) == rows
del read
with timed("last 100 of all rows"):
    read = many.read(tail=100)
assert len(read) == 100
e.params.set({{f"k{{i}}": i for i in range(100_000)}})
with timed("params.set of one key among 100,000", 20):
    for i in range(20):
        e.params.set(lr=i)
e.run.complete()
e = experiment("metrics").run.start()
for i in range(rows - 100, rows - 50):
    e.metrics("many").log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
with timed("last 100, 50 of them of a second attempt"):
    read = e.metrics("many").read(tail=100)
assert [row["epoch"] for row in read] == [*range(rows - 150, rows - 50)]
del read
with timed("read the rows of two attempts"):
    read = e.metrics("many").read()
assert len(read) == rows - 50
del read
e.run.complete()
e = experiment("logs").run.start()
with timed("50,000 log lines and close"), quiet:
    for i in range(lines):
        e.log("an ordinary line of a log", step=i)
    e.run.complete()
print(json.dumps(times))
"""

THEIRS = f"""\
from ml_dash import Experiment
{COMMON}
e = experiment("metrics")
e.run.start()
train = e.metrics("train")
with timed("metrics.log, three fields, buffered", 10_000):
    for i in range(10_000):
        train.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
e.flush()
before = memory()
many = e.metrics("many")
for i in range(rows):
    many.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
times["memory of so many rows logged, MB"] = memory() - before
e.flush()
with timed("read 10,000 rows"):
    read = train.read(start_index=0, limit=10_000)
assert len(read["data"]) == 10_000
del read
with timed("read all rows"):
    read = many.read(start_index=0, limit=rows)
assert len(read["data"]) == rows
del read
with timed("last 100 of all rows"):
    read = many.read(start_index=rows - 100, limit=100)
assert len(read["data"]) == 100
e.params.set(**{{f"k{{i}}": i for i in range(100_000)}})
with timed("params.set of one key among 100,000", 20):
    for i in range(20):
        e.params.set(lr=i)
e.run.complete()
os.environ["ML_DASH_BUFFER_ENABLED"] = "false"
e = experiment("unbuffered")
e.run.start()
train = e.metrics("train")
train.log(loss=0.1, epoch=0, accuracy=0.2)
with timed("metrics.log, three fields, in the file", 300):
    for i in range(300):
        train.log(loss=1 / (i + 1), epoch=i, accuracy=0.1 * i)
e.run.complete()
del os.environ["ML_DASH_BUFFER_ENABLED"]
e = experiment("logs")
e.run.start()
with timed("50,000 log lines and close"), quiet:
    for i in range(lines):
        e.log("an ordinary line of a log", step=i)
    e.run.complete()
out = json.dumps(times)
print(out)
"""

# What SPEED asks for, in seconds (memory in MB).
GOALS: Final = {
    "import, over bare Python": 0.025,
    "metrics.log, three fields, in the file": 8e-6,
    "50,000 log lines and close": 1.0,
    "read 10,000 rows": 0.02,
    "read all rows": 0.1,  # with orjson, which is an extra
    "last 100 of all rows": 0.001,
}


def main() -> None:
    """Run the rounds, show the table, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ml-dash", type=Path, metavar="PYTHON", help="an interpreter that has ml-dash")
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench-tracking-"))
    folder.mkdir(parents=True, exist_ok=options.folder is None)
    interpreters = {"ours": (Path(sys.executable), "nemorun_cli.tracking", OURS)}
    if options.ml_dash is None or not options.ml_dash.exists():
        print(
            "!" * 80,
            "NO ML-DASH: nothing to compare with. Give its interpreter: --ml-dash PYTHON",
            "!" * 80,
            sep="\n",
        )
    else:
        interpreters["ml-dash"] = (options.ml_dash, "ml_dash", THEIRS)
    try:
        rounds: dict[str, list[dict[str, float]]] = {side: [] for side in interpreters}
        for number in range(options.rounds):
            for side, (python, module, program) in interpreters.items():
                root = folder / f"{side}-{number}"
                rounds[side].append(measure(python, module, program, root=root, rows=options.rows))
        show({side: medians(of) for side, of in rounds.items()})
    finally:
        shutil.rmtree(folder)


def measure(python: Path, module: str, program: str, *, root: Path, rows: int) -> dict[str, float]:
    """One side's times of one round, in seconds."""
    # Compiled modules are kept, as they are for what is installed; nothing is asked of a network.
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": f"{root.parent}/compiled",
        "ML_DASH_NO_VERSION_CHECK": "1",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    run = [str(python), "-c"]
    seconds = {}
    for _ in range(2):  # the first one compiles
        bare, whole = (_whole([*run, text], environment) for text in (BARE, f"import {module}"))
        seconds["import, over bare Python"] = whole - bare
    arguments = [str(root), str(rows), str(LINES)]
    out = subprocess.run(
        [*run, program, *arguments], env=environment, cwd=root.parent, check=True, stdout=subprocess.PIPE
    )
    return {**seconds, **json.loads(out.stdout.splitlines()[-1])}


def _whole(command: list[str], environment: dict[str, str]) -> float:
    """The time of a whole process, the best of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each row."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def show(sides: dict[str, dict[str, float]]) -> None:
    """The table: ours, theirs, theirs over ours, and whether a goal is met."""
    ours, theirs = sides["ours"], sides.get("ml-dash", {})
    print(f"{'':42} {'ours':>12} {'ml-dash':>12} {'times':>8}  goal")
    for name, seconds in ours.items():
        other = theirs.get(name)
        ratio = f"{other / seconds:8.1f}" if other is not None and seconds > 0 else " " * 8
        goal = GOALS.get(name)
        met = "" if goal is None else f"{_told(name, goal)} {'met' if seconds < goal else 'MISSED'}"
        shown = "-" if other is None else _told(name, other)
        print(f"{name:42} {_told(name, seconds):>12} {shown:>12} {ratio}  {met}")


def _told(name: str, value: float) -> str:
    if name.endswith("MB"):
        return f"{value:.1f} MB"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


if __name__ == "__main__":
    main()
