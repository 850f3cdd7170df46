"""What a search costs next to a sweep of as many members that do the same.

    python tests/benchmarks/bench_trials.py [--folder NEW_FOLDER] [--rounds N] [--trials N] [--sampler NAME]

Run it on an otherwise quiet machine, in a folder from which nothing was deleted lately.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from measuring import EXP, Bench

SPEC = """\
name: trials
run: {{max_parallel: 2}}
tasks:
  train:
    inline: 'echo "loss:=$1" >>"$EXP_OUTPUT"'
    entrypoint: sh
    args: ["${{{{ {values}.x }}}}"]
    {key}
"""
SWEEP = "matrix: {{x: {{range: [1, {count}, 1]}}, max_parallel: 2}}"
SEARCH = (
    "search: {{params: {{x: {{type: float, low: 0, high: 1}}}}, metric: outputs.loss, goal: minimize,"
    " trials: {count}, sampler: {sampler}, seed: 1, max_parallel: 2}}"
)
GOAL = 1.5


def main() -> None:
    """Measure, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--sampler", default="random")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-trials-"))
    folder.mkdir(exist_ok=True, parents=True)
    bench = Bench(folder.absolute(), options.rounds)
    print(f"{options.trials} trials, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, in {folder}")
    given = {"count": options.trials, "sampler": options.sampler}
    paths = {
        "search": write(bench, "search", SEARCH.format(**given)),
        "matrix": write(bench, "matrix", SWEEP.format(**given)),
    }
    runs = {name: bench.command(EXP, "run", path, "-q") for name, path in paths.items()}
    try:
        bench.compare("a search", runs["search"], "a matrix", runs["matrix"], goal=GOAL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(bench: Bench, values: str, key: str) -> Path:
    """A spec whose members are made by a key."""
    path = bench.folder / f"{values}.yaml"
    path.write_text(SPEC.format(values=values, key=key), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
