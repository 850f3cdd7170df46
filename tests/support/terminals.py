"""A command on a terminal of its own, with somebody who reads and types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CTRL_C = b"\x03"


class Terminal:
    """Runs a command as the foreground of a new terminal; `seen` is all that it drew so far."""

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, rows: int = 40, columns: int = 120
    ) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {name: value for name, value in env.items() if name not in {"NO_COLOR", "COLUMNS"}}
        self.process = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={"TERM": "xterm-256color", **kept},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one ioctl, and tests have no threads
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> None:
        """Read until this was drawn."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            if time.monotonic() > end or not self._read():
                pytest.fail(f"never saw {text!r} in:\n{self.seen}")

    def type(self, data: bytes) -> None:
        """Press keys."""
        os.write(self._own, data)

    def hang_up(self) -> int:
        """Close the terminal; gives how the command ended."""
        os.close(self._own)
        return self.process.wait(PATIENCE)

    def end(self) -> int:
        """Read to the end; gives the exit code."""
        while self._read():
            pass
        os.close(self._own)
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._own], [], [], PATIENCE)
        if not ready:
            pytest.fail(f"nothing more came after:\n{self.seen}")
        try:
            data = os.read(self._own, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
