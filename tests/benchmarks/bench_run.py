"""Speed of starting, running and looking at experiments, as ratios against other tools in the same run.

    python tests/benchmarks/bench_run.py [--folder NEW_FOLDER] [--rounds N] [--only WORD] [--nemo-run PYTHON]

Run it on an otherwise quiet machine, in a folder from which nothing was deleted lately.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml
from measuring import EXP, Bench

from nemorun_cli.model.clock import stamp, unix
from nemorun_cli.storage.ledger import encode

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = 1000
MANY_TASKS = 10_000
EXPERIMENTS = 10_000
LOG_LINES = 10_000_000
LOG_TEXT = b"step loss 0.123456 accuracy 0.98765 lr 0.001 tokens/s 123456 seconds per batch 0.1234 eta 0:12"
WATCHED_TASKS = 200
WATCHED_SECONDS = 30.0

DOIT_FILE = """\
DOIT_CONFIG = {{"verbosity": 0}}

def task_t():
    for i in range({count}):
        yield {{"name": str(i), "actions": [["sh", "-c", "true"]], "task_dep": {deps}}}
"""

NEMO_RUN = """\
import sys, time
import nemo_run as run
with run.Experiment("bench") as exp:
    for i in range(int(sys.argv[1])):
        exp.add(run.Script(inline="true"), executor=run.LocalExecutor(), name=f"t{i}")
    exp.run(sequential=sys.argv[2] == "chain")
"""


def main() -> None:
    """Measure what was asked for, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only the parts whose name holds this")
    parser.add_argument("--nemo-run", metavar="PYTHON", help="an interpreter that has nemo_run")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="exp-bench-"))
    folder.mkdir(exist_ok=True, parents=True)
    bench = Bench(folder.absolute(), options.rounds)
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, Python {sys.version.split()[0]}, in {folder}"
    )
    try:
        for part in (start, overhead, chain_of_sleeps, looking, logs, validating, supervisor, nemo_run):
            if options.only in part.__name__:
                part(bench, options.nemo_run) if part is nemo_run else part(bench)  # type: ignore[call-arg]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(bench: Bench) -> None:
    """How soon the command is done, the prompt is back, and the first instruction runs."""
    write_spec(bench, "hello.yaml", {"hello": {"inline": "true", "entrypoint": "sh"}})
    bare = bench.bare_typer()
    bench.exp("run", "hello.yaml")
    bench.compare("exp status", bench.command(EXP, "status"), "bare Typer", bare, goal=1.0)
    bench.compare("exp logs", bench.command(EXP, "logs"), "bare Typer", bare, goal=1.0)
    bench.compare("exp list", bench.command(EXP, "list"), "bare Typer", bare, goal=None)
    bench.compare("exp run -d until the prompt is back", detach(bench), "bare Typer", bare, goal=1.5)
    bench.compare(
        "exp run until the first instruction", first_instruction(bench), "bare Typer", bare, goal=1.5
    )


def detach(bench: Bench) -> Callable[[], float]:
    """The wall time of `run -d`; the experiment's end is waited for outside of the measure."""

    def run() -> float:
        begin = time.perf_counter()
        experiment_id = bench.exp("run", "-d", "hello.yaml").strip()
        took = time.perf_counter() - begin
        bench.exp("wait", experiment_id)
        return took

    return run


def first_instruction(bench: Bench) -> Callable[[], float]:
    """From the start of the command to the time that the first task notes."""
    noted = bench.folder / "noted"
    write_spec(bench, "first.yaml", {"first": {"command": ["sh", "-c", f"date +%s.%N >{noted}"]}})

    def run() -> float:
        begin = time.time()
        bench.exp("run", "first.yaml")
        return float(noted.read_text()) - begin

    return run


def overhead(bench: Bench) -> None:
    """A thousand tasks that do nothing, two at a time, wide and as a chain."""
    bare = statistics.median(bench.bare_typer()() for _ in range(bench.rounds))
    for shape in ("wide", "chain"):
        write_spec(bench, f"{shape}.yaml", no_ops(TASKS, chained=shape == "chain"), max_parallel=2)
        makefile = write_makefile(bench, shape)
        dodo = write_dodo(bench, shape)
        spans, wholes, makes, doits = [], [], [], []
        for turn in range(max(2, bench.rounds // 2) + 1):
            begin = time.perf_counter()
            experiment_id = json.loads(bench.exp("run", f"{shape}.yaml", "--json"))["id"]
            whole = time.perf_counter() - begin
            made = bench.command("make", "-s", "-j2", "-f", makefile)()
            if turn:
                spans.append(span(bench, experiment_id))
                wholes.append(whole)
                makes.append(made)
                doits.append(bench.command(sys.executable, "-m", "doit", "-n2", "-f", dodo)())
        ratio = statistics.median(a / b for a, b in zip(spans, makes, strict=True))
        mine, his = statistics.median(spans), statistics.median(makes)
        bench.note(
            f"{TASKS} no-ops, {shape}: first submitted to last ended",
            mine,
            "make -j2",
            his,
            goal=4,
            ratio=ratio,
        )
        bench.note(
            f"{TASKS} no-ops, {shape}: the same", mine, "doit -n2", statistics.median(doits), goal=None
        )
        extra = (statistics.median(wholes) - mine) / bare
        bench.figure(
            f"{TASKS} no-ops, {shape}: the command besides", f"{extra:.2f} bare Typer programs (goal 2)"
        )


def chain_of_sleeps(bench: Bench) -> None:
    """Ten tasks of 0.3 s in a row."""
    tasks = {
        f"t{i}": {"command": ["sleep", "0.3"], **({"dependencies": [f"t{i - 1}"]} if i else {})}
        for i in range(10)
    }
    write_spec(bench, "sleeps.yaml", tasks)
    took = bench.command(EXP, "run", "sleeps.yaml")()
    bench.note("ten chained sleeps of 0.3 s", took, "the sleeps alone", 3.0, goal=3.5 / 3.0)


def looking(bench: Bench) -> None:
    """`status` and `list` over much."""
    bare = bench.bare_typer()
    for count, goal in ((TASKS, 2.0), (MANY_TASKS, 2.0)):
        experiment_id = fake_experiment(bench, f"tasks{count}", count)
        bench.compare(
            f"exp status over {count} tasks",
            bench.command(EXP, "status", experiment_id),
            "bare Typer",
            bare,
            goal=goal,
        )
    for number in range(EXPERIMENTS):
        fake_ledger(bench, "many", f"many_{1_700_000_000 + number}", ["only"])
    bench.compare(
        f"exp list over {EXPERIMENTS} experiments", bench.command(EXP, "list"), "bare Typer", bare, goal=4
    )
    bench.compare(
        f"exp list --json over {EXPERIMENTS} experiments",
        bench.command(EXP, "list", "--json"),
        "bare Typer",
        bare,
        goal=4,
    )


def logs(bench: Bench) -> None:
    """The log of a task that printed a gigabyte, against grep on the file."""
    write_spec(bench, "talk.yaml", {"talk": {"inline": "true", "entrypoint": "sh"}})
    bench.exp("run", "talk.yaml", "-q")
    (log,) = bench.home.glob("experiments/talk/*/tasks/talk/attempt-1/log")
    with log.open("wb") as stream:
        for number in range(0, LOG_LINES, 1000):
            stream.write(b"".join(b"%08d %s\n" % (line, LOG_TEXT) for line in range(number, number + 1000)))

    def shell(*argv: str | Path, filter_of: str = "") -> Callable[[], float]:
        # A grep whose output is /dev/null itself ends at its first match.
        return bench.command("sh", "-c", f"{shlex.join(map(str, argv))}{filter_of} > /dev/null")

    for name, options, words in (
        ("exp logs of 1 GB", (), ("",)),
        ("exp logs -n 1000", ("-n", "1000"), ("00077",)),
        ("exp logs --grep, a literal", ("--grep", "00077"), ("00077",)),
        ("exp logs --grep, every line", ("--grep", "loss .*accuracy"), ("loss .*accuracy",)),
    ):
        ours = shell(EXP, "logs", "talk", *options)
        bench.compare(name, ours, "grep", shell("grep", *words, log, filter_of=" | cat"), goal=20)


def validating(bench: Bench) -> None:
    """The check of a large spec, against loading its YAML."""
    path = write_spec(bench, "large.yaml", no_ops(TASKS, chained=True), max_parallel=2)
    program = bench.folder / "load.py"
    program.write_text(f"import yaml\nyaml.load(open({str(path)!r}), yaml.CSafeLoader)\n", encoding="utf-8")
    begin = time.perf_counter()
    yaml.load(path.read_bytes(), yaml.CSafeLoader)
    print(f"  (loading the YAML alone, inside a process: {time.perf_counter() - begin:.3f} s)")
    bench.compare(
        f"exp validate of {TASKS} tasks, whole process",
        bench.command(EXP, "validate", path),
        "yaml.CSafeLoader",
        bench.command(sys.executable, program),
        goal=2,
    )


def supervisor(bench: Bench) -> None:
    """What the supervisor costs while tasks run."""
    for count in (TASKS, MANY_TASKS):
        stop = bench.folder / f"stop{count}"
        hold = f"while [ ! -e {stop} ]; do sleep 0.1; done"
        tasks = {"first": {"inline": hold, "entrypoint": "sh"}, **no_ops(count - 1, chained=True)}
        tasks["t0"]["dependencies"] = ["first"]
        write_spec(bench, f"memory{count}.yaml", tasks)
        experiment_id = bench.exp("run", "-d", f"memory{count}.yaml").strip()
        process = psutil.Process(
            json.loads(bench.exp("status", experiment_id, "--json"))["supervisor"]["pid"]
        )
        memory = process.memory_info().rss / 1e6
        bench.exp("cancel", experiment_id)
        bench.figure(f"supervisor's memory with {count} tasks", f"{memory:.0f} MB")
    tasks = {f"t{i}": {"command": ["sleep", "600"]} for i in range(WATCHED_TASKS)}
    write_spec(bench, "cpu.yaml", tasks, max_parallel=WATCHED_TASKS)
    experiment_id = bench.exp("run", "-d", "cpu.yaml").strip()
    while json.loads(bench.exp("status", experiment_id, "--json"))["counts"].get("RUNNING") != WATCHED_TASKS:
        time.sleep(0.2)
    process = psutil.Process(json.loads(bench.exp("status", experiment_id, "--json"))["supervisor"]["pid"])
    before = sum(process.cpu_times()[:2])
    time.sleep(WATCHED_SECONDS)
    used = sum(process.cpu_times()[:2]) - before
    bench.exp("cancel", experiment_id, "--grace", "0s")
    share = 100 * used / WATCHED_SECONDS
    bench.figure(f"supervisor's CPU while {WATCHED_TASKS} tasks run", f"{share:.3f} % of a core (goal 0.2)")


def nemo_run(bench: Bench, python: str | None) -> None:
    """The same work in NeMo-Run, if an interpreter that has it was named."""
    if python is None:
        print("NeMo-Run was not measured: name an interpreter that has it with --nemo-run")
        return
    program = bench.folder / "nemo.py"
    program.write_text(NEMO_RUN, encoding="utf-8")
    for count, shape in ((20, "wide"), (10, "chain")):
        write_spec(bench, f"nemo-{shape}.yaml", no_ops(count, chained=shape == "chain"))
        bench.compare(
            f"{count} no-ops, {shape}, whole command",
            bench.command(EXP, "run", f"nemo-{shape}.yaml"),
            "NeMo-Run LocalExecutor",
            bench.command(python, program, str(count), shape),
            goal=None,
        )


def no_ops(count: int, *, chained: bool) -> dict[str, dict[str, object]]:
    """Tasks that do nothing."""
    tasks: dict[str, dict[str, object]] = {}
    for number in range(count):
        tasks[f"t{number}"] = {"inline": "true", "entrypoint": "sh"}
        if chained and number:
            tasks[f"t{number}"]["dependencies"] = [f"t{number - 1}"]
    return tasks


def write_spec(
    bench: Bench, name: str, tasks: dict[str, dict[str, object]], max_parallel: int | None = None
) -> Path:
    """A spec in the benchmark's folder."""
    document: dict[str, object] = {"name": Path(name).stem, "tasks": tasks}
    if max_parallel:
        document["run"] = {"max_parallel": max_parallel}
    path = bench.folder / name
    path.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
    return path


def write_makefile(bench: Bench, shape: str) -> Path:
    """The same no-ops for make."""
    lines = [".PHONY: all", "all: " + " ".join(f"t{number}" for number in range(TASKS))]
    for number in range(TASKS):
        parent = f" t{number - 1}" if shape == "chain" and number else ""
        lines += [f"t{number}:{parent}", "\t@sh -c true"]
    path = bench.folder / f"Makefile.{shape}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_dodo(bench: Bench, shape: str) -> Path:
    """The same no-ops for doit."""
    deps = '[f"t:{i - 1}"] if i else []' if shape == "chain" else "[]"
    path = bench.folder / f"dodo_{shape}.py"
    path.write_text(DOIT_FILE.format(count=TASKS, deps=deps), encoding="utf-8")
    return path


def span(bench: Bench, experiment_id: str) -> float:
    """Seconds from the first `submitted` to the last `ended` in a ledger."""
    directory = Path(json.loads(bench.exp("status", experiment_id, "--json"))["directory"])
    events = [json.loads(line) for line in (directory / "ledger.jsonl").read_text().splitlines()]
    begins = [unix(event["time"]) for event in events if event.get("event") == "submitted"]
    ends = [unix(event["time"]) for event in events if event.get("event") == "ended"]
    return max(ends) - min(begins)


def fake_experiment(bench: Bench, name: str, count: int) -> str:
    """A finished experiment of many tasks, written without running them."""
    write_spec(bench, f"{name}.yaml", no_ops(count, chained=False))
    experiment_id = bench.exp("run", "-d", f"{name}.yaml", "--set", "run.max_parallel=1").strip()
    bench.exp("cancel", experiment_id, "--signal", "KILL")
    directory = Path(json.loads(bench.exp("status", experiment_id, "--json"))["directory"])
    (directory / "ledger.jsonl").unlink()
    fake_ledger(bench, name, experiment_id, [f"t{number}" for number in range(count)])
    return experiment_id


def fake_ledger(bench: Bench, name: str, experiment_id: str, tasks: list[str]) -> None:
    """A ledger of tasks that all succeeded."""
    directory = bench.home / "experiments" / name / experiment_id
    directory.mkdir(parents=True, exist_ok=True)
    now, by = stamp(), "supervisor 1@bench"
    created = {
        "event": "created",
        "time": now,
        "by": by,
        "id": experiment_id,
        "name": name,
        "key": None,
        "tags": [],
        "tasks": len(tasks),
        "format": "exp.ledger/1",
    }
    begun = {"event": "supervisor_started", "time": now, "by": by, "pid": 1, "host": "bench", "boot": "x"}
    batches = [[created], [begun]]
    for task in tasks:
        common = {"time": now, "by": by, "task": task, "attempt": 1}
        batches.append([{"event": "submitted", **common}, {"event": "started", **common, "job_id": "1"}])
        batches.append([{"event": "ended", **common, "status": "SUCCEEDED", "exit_code": 0, "job_id": "1"}])
    end = {
        "event": "finished",
        "time": now,
        "by": by,
        "status": "COMPLETED",
        "counts": {"SUCCEEDED": len(tasks)},
    }
    batches.append([end])
    (directory / "ledger.jsonl").write_bytes(b"".join(encode(batch) for batch in batches))


if __name__ == "__main__":
    subprocess.run([EXP, "--version"], check=True, stdout=subprocess.DEVNULL)
    main()
