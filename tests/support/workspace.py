"""Experiments started from Python, whose tasks note that they ran and end when a test lets them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from patience import eventually

from nemorun_cli.experiment import launch
from nemorun_cli.storage.ledger import LedgerReader
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Exp

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.paths import AttemptFiles
    from nemorun_cli.views.snapshot import Snapshot

NOTE = 'echo "$EXP_TASK $EXP_ATTEMPT" >>ran'
"""Notes in the working folder that this attempt ran; so that running twice is seen."""


def until(name: str) -> str:
    """Shell text that waits for a file."""
    return f"until [ -e {name} ]; do sleep 0.02; done"


@dataclass(frozen=True)
class Bench:
    """A home, a working folder, and what tests do with them."""

    exp: Exp

    @property
    def folder(self) -> Path:
        """Where specs lie and tasks run."""
        return self.exp.folder

    @property
    def home(self) -> Home:
        """The home of all experiments of this test."""
        return Home(self.exp.home)

    def spec(self, tasks: dict[str, Any], **header: Any) -> Path:
        """Write a spec; a task that is a text is an inline one."""
        entries = {name: {"inline": task} if isinstance(task, str) else task for name, task in tasks.items()}
        document = {"version": 1, "name": "tried", **header, "tasks": entries}
        text = json.dumps(document, ensure_ascii=False)  # which YAML can read, if it is escaped a little more
        return self.exp.spec(text.replace("\x7f", "\\u007f"))

    def start(self, tasks: dict[str, Any], **header: Any) -> Run:
        """Start an experiment in a supervisor of its own."""
        return launch.run(self.spec(tasks, **header), home=self.home)

    def run(self, tasks: dict[str, Any], **header: Any) -> Snapshot:
        """Run an experiment to its end."""
        return self.start(tasks, **header).wait(timeout=60)

    def touch(self, name: str) -> None:
        """Let the tasks go on that wait for this file."""
        (self.folder / name).touch()

    def lines(self, name: str = "ran") -> list[str]:
        """The lines that tasks wrote into a file of the working folder."""
        path = self.folder / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def kill_supervisor(run: Run) -> None:
    """End the supervisor as a crash would, and wait until it is gone."""
    holder = run.status(observe=False).holder
    assert holder is not None
    kill(holder.pid)
    # What it was just starting has its descriptors, its lock among them, until that has begun.
    eventually(lambda: not locks.is_held_by_name(run.files.supervisor_lock))


def kill(pid: int) -> None:
    """Send KILL and wait until the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    """Whether a process is there and does something; what only waits to be collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def status(run: Run, task: str) -> str:
    """A task's status as it is looked up now."""
    return str(run.status().history.tasks[task].status)


def statuses(snapshot: Snapshot) -> dict[str, str]:
    """Every task's status."""
    return {name: str(state.status) for name, state in snapshot.history.tasks.items()}


def attempt(run: Run, task: str, number: int = 1) -> AttemptFiles:
    """The files of one attempt."""
    return run.files.attempt(task, number)


def log(run: Run, task: str, number: int = 1) -> str:
    """What an attempt wrote."""
    return attempt(run, task, number).log.read_text(encoding="utf-8")


def events(run: Run) -> list[dict[str, Any]]:
    """All events of the ledger."""
    return LedgerReader(run.files.ledger).read()


def shim_pid(run: Run, task: str, number: int = 1) -> int:
    """The pid of the shim, once it has claimed its attempt."""
    path = attempt(run, task, number).claim
    return int(eventually(lambda: path.exists() and path.read_text().strip()))
