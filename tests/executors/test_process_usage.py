"""What the processes of attempts use, measured of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from support.patience import eventually

from nemorun_cli.executors.process_usage import ProcessUsage
from nemorun_cli.model.usage_sample import UsageSample
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system.environment import SUPERVISOR_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BURN = "import time\nwhile time.process_time() < 0.25: pass\n"


class Tasks:
    """Processes that carry the markers of attempts."""

    def __init__(self, root: Path) -> None:
        self.files = ExperimentFiles(root / "e_1")
        self._started: list[subprocess.Popen[bytes]] = []

    def folder(self, task: str) -> Path:
        """The folder of an attempt, which exists."""
        folder = self.files.attempt(task, 1).directory
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def start(self, task: str, text: str, **env: str) -> subprocess.Popen[bytes]:
        """A shell of the attempt, the leader of its session."""
        self.folder(task)
        marker = {"EXP_DIR": str(self.files.directory), "EXP_TASK": task, "EXP_ATTEMPT": "1"}
        process = subprocess.Popen(
            ["/bin/sh", "-c", text],
            env={**os.environ, **marker, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def pids(self, process: subprocess.Popen[bytes], count: int) -> list[int]:
        """The pids that a shell prints."""
        assert process.stdout is not None
        return [int(process.stdout.readline()) for _ in range(count)]

    def end(self) -> None:
        """Let all of them end."""
        for process in self._started:
            process.communicate()


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Tasks]:
    """Processes that end with the test, when their standard input does."""
    tasks = Tasks(tmp_path)
    yield tasks
    tasks.end()


def test_each_process_of_a_task_counts_once(tasks: Tasks) -> None:
    """Children count, orphans in a session of their own, and those without a marker; never another task's."""
    leaving = "(setsid sh -c 'echo $$; read line' <&3 &)"
    cleared = "env -i sh -c 'echo $$; read line' <&3 &"
    process = tasks.start("a", f"exec 3<&0; echo $$; {leaving}; {cleared} wait; read line")
    own = tasks.pids(process, 3)
    others = tasks.pids(tasks.start("b", "echo $$; read line"), 1)
    supervisor = tasks.start("a", "sh -c 'echo $$; read line'; :", **{SUPERVISOR_VARIABLE: "1"})
    tasks.pids(supervisor, 1)
    eventually(lambda: {psutil.Process(pid).name() for pid in own} == {"sh"})
    usage = ProcessUsage()
    folders = {("a", 1): tasks.folder("a"), ("b", 1): tasks.folder("b"), ("c", 1): tasks.folder("c")}
    expected = {("a", 1): own, ("b", 1): others}
    assert usage.measure(folders).keys() == expected.keys()

    def memory() -> dict[tuple[str, int], int]:
        return {
            key: sum(psutil.Process(pid).memory_info().rss for pid in pids) for key, pids in expected.items()
        }

    eventually(lambda: {key: each.memory for key, each in usage.measure(folders).items()} == memory())


def test_cpu_time_of_ended_children_counts_once(tasks: Tasks) -> None:
    """Between two samples counts what was used between them, also by a child that has ended since."""
    python = f"'{sys.executable}' -S -c '{BURN}'"
    process = tasks.start("a", f"{python}; echo 1; read line; {python}; echo 2; read line; echo 3; read line")
    usage, folders = ProcessUsage(), {("a", 1): tasks.folder("a")}

    def cores() -> float:
        cpu = usage.measure(folders)["a", 1].cpu
        assert cpu is not None
        return cpu

    tasks.pids(process, 1)
    assert cores() > 0.1
    assert process.stdin is not None
    for least, most in ((0.1, 1.5), (0.0, 0.05)):
        process.stdin.write(b"\n")
        process.stdin.flush()
        tasks.pids(process, 1)
        assert least <= cores() <= most


def test_unknown_values_are_no_fields() -> None:
    """A row has the fields that were measured, and 0 is one of them."""
    assert UsageSample(time=1.0, cpu=0.0, memory=None).fields() == {"cpu": 0.0}
    assert UsageSample(time=1.0, cpu=None, memory=5).fields() == {"memory": 5}
