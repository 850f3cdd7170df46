"""Speed of programs in NeMo-Run's vocabulary, as ratios against NeMo-Run itself on the same programs.

    python tests/benchmarks/bench_nemo.py [--folder NEW_FOLDER] [--rounds N] [--only WORD] [--nemo-run PYTHON]

Only the import differs. Run it on an otherwise quiet machine: NeMo-Run mostly sleeps, what we do is work.
Without an interpreter that has `nemo_run`, only our times are printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import EXP, Bench

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORTS = {"ours": "import nemorun_cli.nemo as run", "theirs": "import nemo_run as run"}
PROGRAMS = {
    "one_noop": """
with run.Experiment("one_noop") as exp:
    exp.add(run.Script(inline="true"), executor=run.LocalExecutor(), name="t")
    exp.run()
""",
    "one_partial": """
import functions
with run.Experiment("one_partial") as exp:
    exp.add(run.Partial(functions.add, a=5, b=10), executor=run.LocalExecutor(), name="t")
    exp.run()
""",
    "twenty": """
with run.Experiment("twenty") as exp:
    for number in range(20):
        exp.add(run.Script(inline="true"), executor=run.LocalExecutor(), name=f"t{number}")
    exp.run()
""",
    "chain": """
with run.Experiment("chain") as exp:
    for number in range(10):
        exp.add(run.Script(inline="sleep 0.3"), executor=run.LocalExecutor(), name=f"t{number}")
    exp.run(sequential=True)
""",
    "status": """
run.Experiment.from_title("one_noop").status()
""",
}
# What a program may take of NeMo-Run's time.
GOALS = {"import": 40.0, "one_noop": 7.0, "one_partial": 17.0, "twenty": 8.0, "chain": 6.7, "status": 19.0}


def main() -> None:
    """Measure what was asked for, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only the parts whose name holds this")
    parser.add_argument("--nemo-run", metavar="PYTHON", default=sys.executable, help="one that has nemo_run")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-bench-"))
    folder.mkdir(exist_ok=True, parents=True)
    bench = Bench(folder.absolute(), options.rounds)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, Python {sys.version.split()[0]}")
    try:
        measure(bench, options.nemo_run, options.only)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(bench: Bench, python: str, only: str) -> None:
    """Measure each program on both, or on ours alone."""
    has_theirs = _has_nemo_run(python)
    if not has_theirs:
        print(f"{python} cannot import nemo_run: only our times follow", flush=True)
    (bench.folder / "functions.py").write_text("def add(a: int, b: int) -> int:\n    return a + b\n")
    pythons = {"ours": sys.executable, "theirs": python}
    for name, goal in GOALS.items():
        if only not in name:
            continue
        ours, theirs = (_runner(bench, name, tool, pythons[tool]) for tool in IMPORTS)
        if has_theirs:
            bench.compare(f"{name}: ours", ours, "NeMo-Run", theirs, goal=1 / goal)
        else:
            bench.figure(name, f"{statistics.median([ours() for _ in range(bench.rounds + 1)][1:]):.3f} s")


def _runner(bench: Bench, name: str, tool: str, python: str) -> Callable[[], float]:
    """What runs a program once; the status is asked for from the shell."""
    program = bench.folder / f"{tool}_{name}.py"
    program.write_text(f"{IMPORTS[tool]}\n{PROGRAMS.get(name, '')}", encoding="utf-8")
    if name == "status":
        first = bench.folder / f"{tool}_one_noop.py"
        first.write_text(f"{IMPORTS[tool]}\n{PROGRAMS['one_noop']}", encoding="utf-8")
        bench.command(python, first)() if tool == "ours" or _has_nemo_run(python) else None
        return bench.command(EXP, "status", "one_noop") if tool == "ours" else _their_status(bench, python)
    # Tasks of NeMo-Run run under the `python` of PATH.
    path = f"PATH={Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    return bench.command("env", path, python, program)


def _their_status(bench: Bench, python: str) -> Callable[[], float]:
    return bench.command(Path(python).with_name("nemorun"), "experiment", "status", "one_noop")


def _has_nemo_run(python: str) -> bool:
    done = subprocess.run([python, "-c", "import nemo_run"], capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    main()
