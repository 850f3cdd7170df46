"""What tests of tracking share: a place for records, and real programs that write them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PRELUDE = """
import os, signal, sys
from nemorun_cli.tracking import Experiment, ml_dash_experiment
root = sys.argv[1]
"""
PATIENCE = 20.0  # seconds a test waits for what must come
ENVIRONMENT = ("EXP_", "SLURM_", "RANK", "OMPI_", "PMI_")


class Program:
    """A Python program that tracks, as a process of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []

    def start(self, text: str, **environment: str) -> subprocess.Popen[str]:
        """Start the program; it has `root` and the tracking names."""
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(text), str(self._root)],
            cwd=self._folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def run(self, text: str, *, code: int = 0, **environment: str) -> str:
        """Run the program to its end and give what it printed."""
        process = self.start(text, **environment)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, err
        return out

    def until(self, text: str, line: str, **environment: str) -> subprocess.Popen[str]:
        """Start the program and wait until it has printed the line."""
        process = self.start(text, **environment)
        assert process.stdout is not None
        for printed in process.stdout:
            if printed.strip() == line:
                return process
        raise AssertionError(process.communicate()[1])

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests run in a folder of their own and know of no experiment around them."""
    for name in list(os.environ):
        if name.startswith(ENVIRONMENT):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where records go."""
    return tmp_path / "dash"


@pytest.fixture
def program(root: Path, tmp_path: Path) -> Iterator[Program]:
    """Runs Python programs that track."""
    programs = Program(root, tmp_path)
    yield programs
    programs.end()


@pytest.fixture
def experiment(root: Path) -> Iterator[Experiment]:
    """An open record that prints nothing."""
    opened = Experiment("owner/project/name", dash_root=root, print_logs=False)
    with opened.run:
        yield opened


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds, and fails where it never does."""

    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.005)

    return wait
