"""Python programs that track, as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = """
import os, signal, sys
from nemorun_cli.tracking import Experiment, ml_dash_experiment
root = sys.argv[1]
"""
PATIENCE = 20.0  # seconds that a program may take


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
