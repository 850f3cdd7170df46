"""A clock that a test sets while programs run: that of these programs alone, by libfaketime.

Only the wall clock is faked. If the monotonic clock followed it, every test would pass for nothing, so the
fixture makes sure that it does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

INSTALL: Final = Path(__file__).parents[1] / "engines" / "install.sh"
INSTALL_WAIT: Final = 300.0  # seconds
HOUR: Final = 3600.0
# Python sleeps until a monotonic time, which this library refuses as an invalid argument.
SLEEP: Final = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
CLOCKS: Final = "import time; print(time.time(), time.monotonic())"


@dataclass(frozen=True)
class FakedClock:
    """The wall clock of programs that run with `env`."""

    library: Path
    file: Path
    site: Path  # where Python finds what it runs at its start

    @property
    def env(self) -> dict[str, str]:
        """The variables of a program that has this clock."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self.site),
        }

    def set(self, seconds: float) -> None:
        """Set the clock so many seconds ahead of the true time, for programs that already run too."""
        aside = self.file.with_suffix(".new")
        aside.write_text(f"{seconds:+g}\n", encoding="ascii")
        aside.replace(self.file)


def library() -> Path | None:
    """The library that fakes a clock, if this machine has it."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@pytest.fixture
def faked_clock(tmp_path: Path) -> FakedClock:
    """A clock that shows the true time until the test sets it."""
    if library() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([INSTALL, "faketime"], check=True, timeout=INSTALL_WAIT)
    if (path := library()) is None:
        pytest.skip(
            "A CLOCK THAT IS SET IS NOT TESTED: there is no libfaketime, which root on a Debian installs"
        )
    clock = FakedClock(path, tmp_path / "clock", tmp_path / "site")
    clock.site.mkdir()
    (clock.site / "sitecustomize.py").write_text(SLEEP)
    clock.set(HOUR)
    before = [float(text) for text in _clocks({})]
    faked = [float(text) for text in _clocks(clock.env)]
    assert faked[0] - before[0] > HOUR - 1, "the wall clock is not faked"
    assert faked[1] - before[1] < HOUR / 2, "the monotonic clock is faked, too"
    clock.set(0)
    return clock


def _clocks(env: dict[str, str]) -> list[str]:
    argv = [sys.executable, "-S", "-c", CLOCKS]
    return subprocess.run(
        argv, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
