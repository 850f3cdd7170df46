"""Processes that work for a supervisor: it sends them lines of JSON, and never waits for an answer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.system import children
from nemorun_cli.system.process_limits import callers_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_LOSSES: Final = 2  # processes that are replaced, of those that ended over the same piece of work
RETRY: Final = 1.0  # seconds until a process is started again if the machine lacked something for it
_CHUNK: Final = 1 << 16  # bytes read or written at a time


class HelperProcess:
    """A process in a session of its own; either `stop` or `reap` is called once, at its end.

    Args:
        module: what it runs, as `python -m` does.
        arguments: of its command line.
        poll: becomes ready when the process has written something or has ended, or takes more.

    Raises:
        OSError: it cannot be started now.
    """

    def __init__(self, module: str, *arguments: str, poll: select.poll) -> None:
        with callers_limits():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,  # the supervisor's log
                cwd="/",
                start_new_session=True,
            )
        children.keep(self._process.pid)
        assert self._process.stdin is not None  # noqa: S101 - as was asked for
        assert self._process.stdout is not None  # noqa: S101 - the same
        self._input, self._output = self._process.stdin, self._process.stdout
        for pipe in (self._input, self._output):
            os.set_blocking(pipe.fileno(), False)
        self._poll = poll
        self._poll.register(self._output.fileno(), select.POLLIN)
        self._unsent = bytearray()
        self._received = bytearray()
        self._is_last_sent = False
        self.has_ended = False

    @property
    def pid(self) -> int:
        """The pid of the process."""
        return self._process.pid

    def send(self, message: Mapping[str, Any], *, is_last: bool = False) -> None:
        """Write what the pipe takes now; `exchange` writes the rest when it takes more.

        Args:
            message: the object of the line.
            is_last: whether the input of the process ends with it.
        """
        self._unsent += json.dumps(message).encode() + b"\n"
        self._is_last_sent = is_last
        self._write()

    def exchange(self) -> list[dict[str, Any]]:
        """Write and read what is possible now; returns the objects that were read, and sets `has_ended`."""
        if self._unsent:
            self._write()
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._output.fileno(), _CHUNK):
                self._received += chunk
            self.has_ended = True
        if b"\n" not in self._received:
            return []
        *lines, self._received = self._received.split(b"\n")
        return [answer for line in lines if (answer := _object(line)) is not None]

    def _write(self) -> None:
        pipe = self._input.fileno()
        try:
            while self._unsent:
                del self._unsent[: os.write(pipe, self._unsent[:_CHUNK])]
        except BlockingIOError:
            self._poll.register(pipe, select.POLLOUT)
            return
        except BrokenPipeError:  # it has ended, which its output shows
            self._unsent.clear()
        self._unwatch(pipe)
        if self._is_last_sent:
            self._input.close()

    def _unwatch(self, pipe: int) -> None:
        with contextlib.suppress(KeyError):
            self._poll.unregister(pipe)

    def stop(self) -> int:
        """Kill the process with all that it started; returns its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self.reap()

    def reap(self) -> int:
        """Wait for the end of the process, but not of what it started; returns its exit code."""
        self._unwatch(self._output.fileno())
        if not self._input.closed:
            self._unwatch(self._input.fileno())
        code = self._process.wait()
        children.release(self._process.pid)
        self._input.close()
        self._output.close()
        return code


class HelperStarter:
    """Starts processes of one kind; if the machine lacks something for one, not again before `retry_at`.

    Args:
        module: what they run, as `python -m` does.
        arguments: of their command line.
        does: what they do, for messages, such as `determines fingerprints`.
        poll: becomes ready when a process has something to report.
        report: called with a message if a process cannot be started, or is lost.
    """

    def __init__(
        self, module: str, *arguments: str, does: str, poll: select.poll, report: Callable[[str], None]
    ) -> None:
        self._module, self._arguments, self._does = module, arguments, does
        self._poll, self._report = poll, report
        self.retry_at = 0.0  # monotonic

    def start(self) -> HelperProcess | None:
        """A new process; None if there can be none now."""
        if time.monotonic() < self.retry_at:
            return None
        try:
            return HelperProcess(self._module, *self._arguments, poll=self._poll)
        except OSError as error:
            self._report(f"the process that {self._does} cannot be started yet: {error}")
            self.retry_at = time.monotonic() + RETRY
            return None

    def report_loss(self, code: int) -> None:
        """Report that a process ended before its work, with its exit code."""
        self._report(f"the process that {self._does} ended with exit code {code}")


def _object(line: bytes | bytearray) -> dict[str, Any] | None:
    """The object of a line; None for what was printed by a module that Python loads at its start."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value else None
