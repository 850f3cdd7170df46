"""Speed of running tasks on a Slurm cluster, as ratios against sbatch and a loop of squeue in the same run.

    python tests/benchmarks/bench_slurm.py [--folder NEW_FOLDER] [--rounds N] [--many 200] [--waiting 1000]

It starts a cluster of its own as root, as the tests do.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.slurm_cluster import Slurm, shared_cluster
from measuring import EXP, Bench

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY = 0.2  # seconds between the looks of the loop
WATCHED = 60.0  # seconds for which questions are counted

SUBMITIT = """\
import sys, submitit
executor = submitit.SlurmExecutor(folder=sys.argv[1])
executor.update_parameters(time=5)
count = int(sys.argv[2])
jobs = executor.map_array(abs, range(count)) if count > 1 else [executor.submit(abs, 1)]
[job.result() for job in jobs]
"""


def main() -> None:
    """Measure everything, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=200)
    parser.add_argument("--waiting", type=int, default=1000)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-bench-"))
    folder.mkdir(exist_ok=True, parents=True)
    bench = Bench(folder.absolute(), options.rounds)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, Python {sys.version.split()[0]}")
    with shared_cluster() as cluster:
        os.environ["SLURM_CONF"] = str(cluster.config)
        try:
            for count in (1, options.many):
                no_ops(bench, cluster, count)
            questions(bench, cluster, options.waiting)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def no_ops(bench: Bench, cluster: Slurm, count: int) -> None:
    """From the command to the end of all: one job, or the members of one array."""
    spec = write_spec(bench, count, {"env_inherit": "none"})
    raw = raw_array(cluster, count)
    goal = 1.05 if count > 1 else None
    bench.compare(
        f"slurm: {count} no-op(s)", bench.command(EXP, "run", spec), "sbatch, squeue", raw, goal=goal
    )
    if importlib.util.find_spec("submitit"):
        program = bench.folder / "with_submitit.py"
        program.write_text(SUBMITIT, encoding="utf-8")
        theirs = bench.command(sys.executable, program, bench.folder / "submitit", str(count))
        bench.compare(
            f"slurm: {count} no-op(s)", bench.command(EXP, "run", spec), "submitit", theirs, goal=None
        )


def write_spec(bench: Bench, count: int, options: dict[str, object]) -> Path:
    """A spec of so many tasks that do nothing."""
    task: dict[str, object] = {"command": ["true"]}
    if count > 1:
        task["matrix"] = {"n": list(range(count))}
    document = {
        "name": f"noop{count}",
        "executors": {"cluster": {"type": "slurm", **options}},
        "executor": "cluster",
        "tasks": {"noop": task},
    }
    path = bench.folder / f"noop{count}.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def raw_array(cluster: Slurm, count: int) -> Callable[[], float]:
    """What submits as many jobs and asks until the queue is empty."""

    def run() -> float:
        start = time.perf_counter()
        options = [f"--array=0-{count - 1}"] if count > 1 else []
        job_id = cluster.submit("true", *options)
        while cluster.ask("squeue", "--noheader", "--me", "--format=%F").split().count(job_id):
            time.sleep(LOOK_EVERY)
        return time.perf_counter() - start

    return run


def questions(bench: Bench, cluster: Slurm, count: int) -> None:
    """How often the controller is asked for jobs while many of them wait, by its own count."""
    spec = write_spec(bench, count, {"begin": "now+1hour", "env_inherit": "none"})
    bench.exp("run", "--detach", spec)
    deadline = time.monotonic() + WATCHED
    while len(cluster.jobs(bench.home)) < count:
        if time.monotonic() > deadline:
            sys.exit("the jobs were not submitted in time")
        time.sleep(LOOK_EVERY)
    times = []
    for _ in range(2):
        before = asked(cluster)
        time.sleep(WATCHED)
        times.append(asked(cluster) - before)
    bench.figure(
        f"slurm: questions a minute, {count} jobs wait", f"{times[0]} in the first, {times[1]} in the second"
    )
    start = time.perf_counter()
    bench.exp("cancel", "latest")
    bench.figure(f"slurm: cancel of {count} jobs that wait", f"{time.perf_counter() - start:.2f} s")


def asked(cluster: Slurm) -> int:
    """How many questions for jobs the controller has answered since it started."""
    text = subprocess.run(["sdiag"], capture_output=True, text=True, check=True).stdout
    del cluster
    counts = re.findall(r"REQUEST_JOB\w*INFO\w*\s*\(\s*\d+\)\s*count:(\d+)", text)
    return sum(map(int, counts))


if __name__ == "__main__":
    main()
