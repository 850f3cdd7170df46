"""Copies of output: what processes write goes to where this process writes, and to a file.

`tee` copies it, in a process of its own: code that fills the pipe while it holds Python's lock would wait for
a thread that cannot run. On a terminal the processes get a terminal of their own, so that they behave as on
the real one; its size is that of the real one when they start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import termios
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

COPIER: Final = "tee"
PATIENCE: Final = 2.0  # seconds to wait for the rest of the output, of which a left process may write more
_STEP: Final = 0.005  # seconds between looks whether a copier has ended
_SURVIVED: Final = (signal.SIGINT, signal.SIGQUIT)  # signals of a terminal, which end the writers first


@dataclass(slots=True)
class OutputCopies:
    """The descriptors that processes get as output and error, until `close`, and the copiers until `wait`."""

    output: int
    error: int
    _copiers: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close this process's ends, so that the copiers end with the last writer."""
        for descriptor in {self.output, self.error}:
            os.close(descriptor)
        self.output = self.error = -1

    def wait(self) -> None:
        """Wait until all output is copied; at most PATIENCE if a living process could write more."""
        deadline = time.monotonic() + PATIENCE
        while self._copiers:
            self._copiers = [pid for pid in self._copiers if not _has_ended(pid)]
            if time.monotonic() > deadline:
                return
            if self._copiers:
                time.sleep(_STEP)


def start(log: int, error_log: int) -> OutputCopies | None:
    """Copy output to the descriptor `log`, and errors to `error_log`; None without the program `tee`.

    Raises:
        OSError: a process or a descriptor cannot be had.
    """
    program = shutil.which(COPIER)
    if program is None:
        return None
    output, pid = _copied(program, 1, log)
    copies = OutputCopies(output, output, [pid])
    if error_log != log or not _is_same(1, 2):
        try:
            copies.error, pid = _copied(program, 2, error_log)
        except OSError:
            copies.close()
            raise
        copies._copiers.append(pid)  # noqa: SLF001 - the function that makes it
    return copies


def _copied(program: str, target: int, log: int) -> tuple[int, int]:
    """A descriptor whose output goes to a descriptor of this process and to a log, and the copier's pid."""
    read_end, write_end = _terminal(target) if os.isatty(target) else os.pipe()
    try:
        with _ignoring(_SURVIVED):
            pid = os.posix_spawn(
                program,
                [COPIER, "-a", f"/dev/fd/{_LOG}"],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read_end, 0),  # first: it may have the number of the log below
                    (os.POSIX_SPAWN_DUP2, target, 1),
                    (os.POSIX_SPAWN_DUP2, log, _LOG),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),  # the end of a terminal is an error
                ],
            )
    except OSError:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    return write_end, pid


_LOG: Final = 3  # the descriptor of the log in a copier


def _terminal(target: int) -> tuple[int, int]:
    """The two ends of a terminal like that of a descriptor, which changes nothing of what is written."""
    master, slave = os.openpty()
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    with contextlib.suppress(OSError, termios.error):
        termios.tcsetwinsize(slave, termios.tcgetwinsize(target))
    return master, slave


def _is_same(first: int, second: int) -> bool:
    one, other = os.fstat(first), os.fstat(second)
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


@contextlib.contextmanager
def _ignoring(numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Ignore signals inside of the block, as a process that is started in it does."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # reaped elsewhere
        return True
