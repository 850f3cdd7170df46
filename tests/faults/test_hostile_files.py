"""Files that tasks, containers and other users can replace: no reader waits, grows or shows another file."""

from __future__ import annotations

import itertools
import random
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support import hostile_files
from support.extent import IS_LONG, amount
from support.home_copies import put_back
from support.hostile_files import HUGE, KINDS, limited

from nemorun_cli.contract.fixtures import eventually
from nemorun_cli.supervisor.tracker import REST_TIME
from nemorun_cli.system import trees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

FOREIGN: Final = "hunter2-of-another-user"
SPEC: Final = """
name: victim
env_file: variables.env
tasks:
  track:
    command: [python3, track.py]
    metrics: {train: 'loss=(?P<loss>[0-9.]+)'}
    secrets: {TOKEN: {file: token}}
  sweep: {inline: 'echo "n=${{ matrix.n }}" >> "$EXP_OUTPUT"; exit 1', matrix: {n: [1, 2]}}
  script: {script: run.sh}
"""
TRACK: Final = """
from nemorun_cli import Experiment
print("loss=0.5", flush=True)
with Experiment().run as record:
    record.metrics("own").log(loss=0.25)
    record.params.set(lr=0.1)
    record.logs.info("a line")
    record.files.save_text("text", to="notes.txt")
"""
COMMANDS: Final = (
    ("status", "victim"), ("status", "victim", "--json"), ("show", "victim"), ("show", "victim", "--json"),
    ("logs", "victim", "-n", "5"), ("why", "victim"), ("why", "victim", "--json"), ("graph", "victim"),
    ("events", "victim"), ("events", "victim", "--json"), ("metrics", "victim"), ("params", "victim"),
    ("metrics", "victim", "--json"), ("files", "victim"), ("files", "victim", "--json"), ("records",),
    ("records", "--json"), ("compare", "victim", "other"), ("diff", "victim", "other"), ("fsck", "victim"),
    ("fsck", "victim", "--json"), ("resume", "victim", "--dry-run"), ("rerun", "victim", "--dry-run"),
    ("gc", "--dry-run"), ("cancel", "victim"), ("wait", "victim"),
)  # fmt: skip
INTERNAL: Final = 70
SOME: Final = 8  # replaced files in a short run
IN_TASKS: Final = (
    "backend-output",
    "outputs",
    "exit.json",
    "usage",
    "failed-line",
    "records",
    "log",
    "timed-out",
)


@dataclass(frozen=True)
class Victim:
    """A home whose files are replaced, a copy of it as it was, and a file that nobody else may see."""

    exp: Exp
    template: Path
    secret: Path

    def renew(self) -> None:
        """Put back the home as it was."""
        put_back(self.exp.home, self.template)

    def interrupt(self) -> None:
        """Cut the ledger where the first task was about to end, as a supervisor leaves it that is killed."""
        (ledger,) = (self.exp.home / "experiments" / "victim").glob("*/ledger.jsonl")
        data = ledger.read_bytes()
        mark = data.rindex(b'{"mark"', 0, data.index(b'"event":"ended"'))
        ledger.write_bytes(data[: data.index(b"\n", mark) + 1])

    def paths(self) -> list[Path]:
        """All files and folders of the experiment and its records, also those that a task may add."""
        roots = [self.exp.home / name for name in ("experiments/victim", "dash", "keys", "slots")]
        paths = {path for root in roots for path in root.rglob("*") if "other" not in str(path)}
        paths |= {path.parent / name for path in paths if path.name == "claim" for name in IN_TASKS}
        return sorted(paths)


@pytest.fixture(scope="module")
def victim(shared: Exp, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """An experiment with all kinds of files, another one, and a foreign file."""
    for name, text in {"track.py": TRACK, "token": "a-token", "run.sh": "true\n"}.items():
        (shared.folder / name).write_text(text)
    (shared.folder / "variables.env").write_text("COLOUR=blue\n")
    secret = tmp_path_factory.mktemp("foreign") / "secret"
    secret.write_text(f'{{"{FOREIGN}": 1}}\n{FOREIGN}={FOREIGN}\n')
    shared("run", shared.spec("name: other\ntasks: {one: {inline: 'true'}}"), "-q")
    shared("run", shared.spec(SPEC), "-q", "--key", "k", code=1)
    eventually(lambda: not list(shared.home.rglob("wake")))
    template = tmp_path_factory.mktemp("template") / "home"
    shutil.copytree(shared.home, template, symlinks=True)
    return Victim(shared, template, secret)


def replacements(victim: Victim) -> Iterator[tuple[Path, str, bool]]:
    """Every path with every kind, in both states, if tests may take long; else the same few in each run."""
    cases = list(itertools.product(victim.paths(), KINDS, (False, True)))
    yield from cases if IS_LONG else random.Random(20).sample(cases, SOME)  # noqa: S311 - not for secrets


def test_no_file_of_an_experiment_or_record_stops_a_reader(victim: Victim) -> None:
    """Whatever has its place: each command ends, shows no foreign line, and lists the other experiments."""
    for argv in COMMANDS if IS_LONG else ():
        assert victim.exp(*argv, code=None).code != 2, f"exp {' '.join(argv)} is no command"
    draw = random.Random(21)  # noqa: S311 - the same
    for path, kind, is_interrupted in replacements(victim):
        victim.renew()
        if is_interrupted:
            victim.interrupt()
        hostile_files.put(path, kind, secret=victim.secret)
        commands = [
            argv for argv in COMMANDS if argv[0] != "logs" or kind != HUGE
        ]  # a log of any size is shown
        for argv in (("list",), *draw.sample(commands, amount(4, long=8))):
            what = f"exp {' '.join(argv)}, with {kind} at {path.relative_to(victim.exp.home)}"
            # The first look after a kill searches the rest of an output for metrics, within its own limit.
            with limited(what, more=REST_TIME if kind == HUGE and path.name == "log" else 0.0):
                done = victim.exp(*argv, code=None)
            text = done.stdout + done.stderr
            assert done.code != INTERNAL, f"{what}\n{text}"
            assert FOREIGN not in text, f"{what}\n{text}"
            assert argv != ("list",) or ("other_" in text and done.code == 0), f"{what}\n{text}"
    victim.renew()


def test_no_depth_of_folders_stops_a_reader(exp: Exp) -> None:
    """A task leaves folders that are deeper than the recursion limit, in all folders that are searched."""
    exp("run", exp.spec("name: deep\ntasks: {one: {inline: 'false'}}"), "-q", code=1)
    folder = exp.directory("deep")
    tops = [folder / "shared/d", folder / "scripts", folder / "tasks/one/attempt-1/d", exp.home / "dash/d"]
    for top in tops:
        hostile_files.deep(top, 1010)
    try:
        for argv in (("records",), ("rerun", "deep", "--dry-run"), ("gc", "--older", "0s", "--dry-run")):
            with limited(f"exp {argv[0]} with deep folders"):
                exp(*argv)
        exp("resume", "deep", "-q", code=1)
        eventually(lambda: not list(folder.glob("wake")))
        assert exp("gc", "--older", "0s", "--json").json["removed"][0]["kind"] == "experiment"
        assert not folder.exists()
    finally:  # pytest cannot remove them
        for top in tops:
            if top.exists():
                trees.remove(top)


def test_no_file_that_a_task_leaves_stops_its_supervisor(victim: Victim) -> None:
    """A task can make its own files anything: its experiment ends, and no foreign line is in the home."""
    lines = ["name: hostile", "tasks:"]
    for number, name in enumerate(IN_TASKS):
        target = f'"${{EXP_OUTPUT%/*}}/{name}"'
        for kind, command in (("fifo", f"mkfifo {target}"), ("link", f"ln -s {victim.secret} {target}")):
            lines += [
                f"  t{number}{kind}:",
                "    inline: |",
                f"      rm -f {target}; {command}; exit {number % 2}",
            ]
            lines += ["    metrics: {m: '(?P<x>[0-9])'}", "    retry: {limit: 1, on: {log: hunter2}}"]
    with limited("exp run"):
        done = victim.exp("run", victim.exp.spec("\n".join(lines), "hostile.yaml"), "-q", code=None)
    assert done.code != INTERNAL, done.stderr
    states = {task["id"]: task for task in victim.exp.status("hostile")["tasks"]}
    assert all(task["status"] in {"SUCCEEDED", "FAILED"} for task in states.values()), states
    folder = victim.exp.directory("hostile")
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert FOREIGN.encode() not in b"".join(texts) + (done.stdout + done.stderr).encode()
