"""What a second run of a pipeline costs whose steps have not changed: a task, and compared with others.

    python tests/benchmarks/bench_cache.py [--folder NEW_FOLDER] [--rounds N] [--tasks N] [--peers BIN]

`--peers` is a folder of programs with `dvc` and `snakemake`; without it, only `exp` is measured. Each round
runs all programs, one after the other, so that the ratios are those of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from measuring import EXP, Bench

GOAL = 10.0  # milliseconds per task that has an earlier result
STEPS = 10  # of the pipeline that is run with others, too


def spec(count: int, *, is_chain: bool) -> str:
    """Tasks that write a file each, one after the other or independent of each other."""
    tasks = {}
    for number in range(count):
        before = f"f{number - 1}"
        reads = [before] if is_chain and number else []
        tasks[f"t{number}"] = {
            "inline": f"cat {' '.join(reads) or '/dev/null'} >f{number}; echo {number} >>f{number}",
            "entrypoint": "sh",
            "cache": {"inputs": reads, "outputs": [f"f{number}"]},
            "dependencies": [f"t{number - 1}"] if reads else [],
        }
    return json.dumps({"version": 1, "name": "steps", "tasks": tasks})


def per_task(bench: Bench, count: int, *, is_chain: bool) -> list[float]:
    """Milliseconds per task of runs in which all results are earlier ones, from the first one to the end."""
    folder = bench.folder / ("chain" if is_chain else "wide")
    folder.mkdir()
    path = folder / "steps.yaml"
    path.write_text(spec(count, is_chain=is_chain), encoding="utf-8")
    bench.exp("run", path, "-q")
    found = []
    for _ in range(bench.rounds):
        bench.exp("run", path, "-q")
        events = [json.loads(line) for line in bench.exp("events", "latest", "--json").splitlines()]
        reasons = [event.get("reason") for event in events if event["event"] == "ended"]
        if reasons != ["cached"] * count:
            sys.exit(f"not all results were earlier ones: {set(reasons)}")
        times = [
            datetime.fromisoformat(event["time"]).timestamp()
            for event in events
            if event["event"] in ("supervisor_started", "finished")
        ]
        found.append((times[-1] - times[0]) * 1000 / count)
    return found


def peers(folder: Path, programs: Path) -> dict[str, list[str]]:
    """The same pipeline for the others, in folders of their own, run once; the commands of a second run."""
    dvc, snake = folder / "dvc", folder / "snakemake"
    for place in (dvc, snake):
        place.mkdir()
    stages = "".join(
        f"  t{n}:\n    cmd: cat {f'f{n - 1}' if n else '/dev/null'} >f{n}; echo {n} >>f{n}\n"
        + (f"    deps: [f{n - 1}]\n" if n else "")
        + f"    outs: [f{n}]\n"
        for n in range(STEPS)
    )
    (dvc / "dvc.yaml").write_text(f"stages:\n{stages}", encoding="utf-8")
    rules = f'rule all:\n    input: "f{STEPS - 1}"\n' + "".join(
        f"rule t{n}:\n"
        + (f'    input: "f{n - 1}"\n' if n else "")
        + f'    output: "f{n}"\n    shell: "cat {f"f{n - 1}" if n else "/dev/null"} >f{n}; echo {n} >>f{n}"\n'
        for n in range(STEPS)
    )
    (snake / "Snakefile").write_text(rules, encoding="utf-8")
    commands = {
        "dvc repro": ["sh", "-c", f"cd {dvc} && {programs}/dvc repro -q"],
        "snakemake": ["sh", "-c", f"cd {snake} && {programs}/snakemake -q all --cores 2"],
    }
    return {"dvc init": ["sh", "-c", f"cd {dvc} && {programs}/dvc init -q --no-scm"], **commands}


def seconds(bench: Bench, argv: list[str]) -> float:
    """The wall time of a command."""
    start = time.perf_counter()
    bench.output(argv)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--peers", type=Path, help="a folder with dvc and snakemake")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-cache-"))
    folder.mkdir(exist_ok=True, parents=True)
    bench = Bench(folder.absolute(), options.rounds)
    print(f"{options.tasks} tasks, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, in {folder}")
    try:
        for is_chain in (False, True):
            costs = per_task(bench, options.tasks, is_chain=is_chain)
            kind = "one after the other" if is_chain else "independent"
            print(f"{kind:>20}: {statistics.median(costs):6.2f} ms a task (goal: {GOAL:g})")
        if options.peers is not None:
            beside(bench, options.peers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def beside(bench: Bench, programs: Path) -> None:
    """Second runs of one pipeline, by each program in turn."""
    own = bench.folder / "own"
    own.mkdir()
    path = own / "steps.yaml"
    path.write_text(spec(STEPS, is_chain=True).replace('"steps"', '"pipeline"'), encoding="utf-8")
    commands = {"exp run": [EXP, "run", str(path), "-q"], **peers(bench.folder, programs)}
    bench.output(commands.pop("dvc init"))
    found: dict[str, list[float]] = {}
    for number in range(bench.rounds + 1):
        for name, argv in commands.items():
            measured = seconds(bench, argv)
            if number:  # the first run makes everything
                found.setdefault(name, []).append(measured)
    for name, values in found.items():
        ratios = [other / own_time for other, own_time in zip(values, found["exp run"], strict=True)]
        print(f"{name:>20}: {statistics.median(values):6.2f} s, {statistics.median(ratios):5.2f} x exp")


if __name__ == "__main__":
    main()
