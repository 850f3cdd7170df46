"""What a sweep of ten thousand members costs: to check, to start, to look at, to resume; in time and memory.

    python tests/benchmarks/bench_sweep.py [--folder NEW_FOLDER] [--rounds N] [--members N] [--whole]

Run it on an otherwise quiet machine, in a folder from which nothing was deleted lately. CPU seconds
are told beside the wall time, for they stay the same on a busy one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from measuring import EXP, Bench

SPEC = """\
name: sweep
run: {{max_parallel: 2}}
tasks:
  gate: {{inline: "{gate}", entrypoint: sh}}
  train:
    inline: 'if [ "$1" = 0 ] && [ "$2" = 0 ]; then date +%s.%N >{noted}; fi'
    entrypoint: sh
    args: ["${{{{ matrix.lr }}}}", "${{{{ matrix.seed }}}}", "--twice=${{{{ matrix.lr * 2 }}}}"]
    env: {{SEED: "${{{{ matrix.seed }}}}", SAME: "1"}}
    matrix: {{lr: [{values}], seed: [{values}], max_parallel: 2}}
    dependencies: [gate]
"""
# Of ten thousand and of a hundred thousand members: MB of a supervisor, `exp status` against a bare Typer
# program, seconds until the prompt is back, seconds of a cancel.
FEW, MANY = 10_000, 100_000
GOALS = {FEW: (120, 1.5, None, None), MANY: (150, 4.0, 3.0, 4.0)}


def main() -> None:
    """Measure, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--whole", action="store_true", help="also run all members to their end")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-sweep-"))
    folder.mkdir(exist_ok=True, parents=True)
    bench = Bench(folder.absolute(), options.rounds)
    side = math.isqrt(options.members)
    print(f"{side * side} members, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, in {folder}")
    try:
        planning(bench, side)
        waiting(bench, side)
        starting(bench, side, runs_all=options.whole)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(bench: Bench, side: int, *, waits: bool) -> Path:
    """A spec whose sweep begins behind a task that does nothing, or that waits for ever."""
    values = ", ".join(map(str, range(side)))
    gate = f"until [ -e {bench.folder}/gate ]; do sleep 0.05; done" if waits else "true"
    path = bench.folder / f"sweep-{waits}.yaml"
    text = SPEC.format(gate=gate, noted=bench.folder / "noted", values=values)
    path.write_text(text, encoding="utf-8")
    return path


def verdict(value: float, goal: float | None, unit: str) -> str:
    """Whether a goal was reached; empty without one."""
    return "" if goal is None else f" (goal {goal:g} {unit}: {'reached' if value <= goal else 'MISSED'})"


def told(bench: Bench, name: str, *argv: str | Path, goal: float | None = None) -> None:
    """Print the wall time and the CPU seconds of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    bench.output([str(part) for part in argv])
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    bench.figure(name, f"{wall:.2f} s, {used:.2f} s of CPU{verdict(wall, goal, 's')}")


def planning(bench: Bench, side: int) -> None:
    """The check of the spec, and the dry run."""
    path = write(bench, side, waits=False)
    bare = bench.bare_typer()
    bench.compare("exp validate", bench.command(EXP, "validate", path), "bare Typer", bare, goal=None)
    told(bench, "exp validate", EXP, "validate", path)
    told(bench, "exp run --dry-run --json", EXP, "run", path, "--dry-run", "--json")


def waiting(bench: Bench, side: int) -> None:
    """A sweep that waits: what its plan, its supervisor and looking at it cost."""
    path = write(bench, side, waits=True)
    begin = time.perf_counter()
    which = bench.exp("run", "-d", path).strip()
    took = time.perf_counter() - begin
    most_memory, status_ratio, prompt, cancel = GOALS[FEW if side * side <= FEW else MANY]
    bench.figure("exp run -d until the prompt is back", f"{took:.2f} s{verdict(took, prompt, 's')}")
    document = json.loads(bench.exp("status", which, "--json"))
    process = psutil.Process(document["supervisor"]["pid"])
    memory = process.memory_info().rss / 1e6
    bench.figure("supervisor's memory", f"{memory:.0f} MB{verdict(memory, most_memory, 'MB')}")
    size = (Path(document["directory"]) / "resolved.json").stat().st_size
    bench.figure("resolved.json", f"{size / 1e6:.2f} MB, {size / side / side:.0f} bytes a member")
    bare = bench.bare_typer()
    bench.compare("exp status", bench.command(EXP, "status", which), "bare Typer", bare, goal=status_ratio)
    for arguments in (["status", which], ["status", which, "train"], ["status", which, "--json"]):
        told(bench, " ".join(["exp", *arguments[:1], *arguments[2:]]), EXP, *arguments)
    process.kill()
    process.wait()
    told(bench, "exp resume -d after kill -9", EXP, "resume", which, "-d")
    told(bench, "exp cancel", EXP, "cancel", which, goal=cancel)


def starting(bench: Bench, side: int, *, runs_all: bool) -> None:
    """How soon the first member begins, and on demand how long all of them take."""
    path = write(bench, side, waits=False)
    begin, wall = time.time(), time.perf_counter()
    which = bench.exp("run", "-d", path).strip()
    noted = bench.folder / "noted"
    while not (noted.exists() and noted.read_text()):
        time.sleep(0.005)
    first = float(noted.read_text()) - begin
    bench.figure("exp run -d until the first instruction", f"{first:.2f} s")
    if not runs_all:
        bench.exp("cancel", which)
        return
    process = psutil.Process(json.loads(bench.exp("status", which, "--json"))["supervisor"]["pid"])
    memory = 0.0
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        memory = max(memory, process.memory_info().rss / 1e6)
        time.sleep(0.5)
    took = time.perf_counter() - wall
    bench.figure("all members, two at a time", f"{took:.1f} s, {1000 * took / side / side:.2f} ms a member")
    bench.figure("supervisor's memory at its most", f"{memory:.0f} MB")
    for arguments in (["status", which], ["why", which, "train"], ["resume", which]):
        told(bench, " ".join(["exp", *arguments[:1], *arguments[2:], "afterwards"]), EXP, *arguments)


if __name__ == "__main__":
    sys.exit(main())
