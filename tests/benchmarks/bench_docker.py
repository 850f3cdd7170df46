"""Overhead of containers, as ratios against a loop of `docker run` and the bare SDK in the same run.

    python tests/benchmarks/bench_docker.py [--folder NEW_FOLDER] [--rounds N] [--only WORD]

Run it on an otherwise quiet machine. It uses the Docker engine of the tests, which it starts as root.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

import docker
from engines.dockerd import shared_engine
from measuring import EXP, Bench

from nemorun_cli.model.clock import unix

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = "exp-test/busybox"
AT_ONCE = 2


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a word of the rows to measure")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-bench-"))
    folder.mkdir(exist_ok=True)
    bench = Bench(folder, rounds=options.rounds)
    rows: list[tuple[str, Callable[[], None]]] = [
        ("one", lambda: one(bench)),
        ("20 command", lambda: many(bench, 20, "command", goal=1.2)),
        ("20 inline", lambda: many(bench, 20, "inline", goal=1.2)),
        ("200 command", lambda: many(bench, 200, "command", goal=1.2)),
    ]
    with shared_engine() as engine:
        os.environ["DOCKER_HOST"] = engine.host
        for name, row in rows:
            if options.only in name:
                row()


def one(bench: Bench) -> None:
    """The whole command for one container, against `docker run` and a bare Typer program after it."""
    spec = spec_of(bench, 1, "command")
    typer = bench.bare_typer()

    def theirs() -> float:
        return docker_runs(bench, 1) + typer()

    ours = bench.command(EXP, "run", spec, "--quiet")
    bench.compare("one no-op: exp run", ours, "docker run + bare Typer", theirs, goal=1.0)


def many(bench: Bench, count: int, kind: str, *, goal: float) -> None:
    """No-op containers two at a time, from the first `submitted` to the last `ended`."""
    spec = spec_of(bench, count, kind)
    name = f"{count} no-ops, {kind}"
    rounds, bench.rounds = bench.rounds, bench.rounds if count < 100 else 1  # they take long
    bench.compare(name, lambda: run(bench, spec), "docker run", lambda: docker_runs(bench, count), goal=goal)
    bench.compare(name, lambda: run(bench, spec), "bare SDK", lambda: sdk_runs(count), goal=None)
    bench.rounds = rounds


def spec_of(bench: Bench, count: int, kind: str) -> Path:
    """A spec of so many no-ops."""
    task = {"command": ["true"]} if kind == "command" else {"inline": "true", "entrypoint": "sh"}
    document = {
        "name": "bench",
        "executors": {"box": {"type": "docker", "image": IMAGE, "network": "none"}},
        "executor": "box",
        "run": {"max_parallel": AT_ONCE},
        "tasks": {f"task-{index}": task for index in range(count)},
    }
    path = bench.folder / f"{kind}-{count}.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run(bench: Bench, spec: Path) -> float:
    """Seconds from the first `submitted` to the last `ended`."""
    which = bench.exp("run", spec, "--quiet").split()[0]
    events = [json.loads(line) for line in bench.exp("events", which, "--json").splitlines()]
    times = {event["event"]: event["time"] for event in reversed(events)}
    last = max(event["time"] for event in events if event["event"] == "ended")
    return unix(last) - unix(times["submitted"])


def docker_runs(bench: Bench, count: int) -> float:
    """Seconds that a loop of `docker run --rm --init` takes."""
    argv = ["docker", "run", "--rm", "--init", "--network", "none", IMAGE, "true"]
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: bench.output(argv), range(count)))
    return time.perf_counter() - start


def sdk_runs(count: int) -> float:
    """Seconds that the SDK takes to create, start, wait for and remove them."""
    client = docker.from_env(version="auto")

    def once(_: int) -> None:
        container = client.containers.create(IMAGE, "true", init=True, network_mode="none")
        container.start()
        container.wait()
        container.remove()

    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(once, range(count)))
    taken = time.perf_counter() - start
    client.close()
    return taken


if __name__ == "__main__":
    main()
