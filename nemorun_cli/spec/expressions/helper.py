"""Evaluates expressions in a process of their own, which limits the time and the memory that they take."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.spec.expressions import limits, wire
from nemorun_cli.spec.expressions.syntax import TemplateError
from nemorun_cli.system import children

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

_MODULE: Final = "nemorun_cli.spec.expressions.helper_process"
_CHUNK: Final = 1 << 16  # bytes read at a time
_KEPT: Final = ("HOME", "LD_LIBRARY_PATH", "PATH", "VIRTUAL_ENV")  # variables; no secret is among them


class Evaluated(NamedTuple):
    """The value of an expression, or why it has none."""

    value: Any = None
    error: str | None = None
    hint: str | None = None

    def get(self) -> Any:
        """Return the value; raises TemplateError if it has none."""
        if self.error is not None:
            raise TemplateError(self.error, hint=self.hint)
        return self.value


NO_ANSWER: Final = Evaluated(
    error="cannot be evaluated: the process that evaluates expressions does not answer"
)


class Helper:
    """The process, started with the first expression; it evaluates one expression at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._received = bytearray()
        self.due: float | None = None  # monotonic; when the process is killed unless it answers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def evaluate(self, code: str, names: Mapping[str, Any]) -> Any:
        """Return the value of an expression, and wait for it; raises TemplateError."""
        outcome = self._outcome_of(code, names)
        if outcome is NO_ANSWER:  # the process may have been killed
            outcome = self._outcome_of(code, names)
        return outcome.get()

    def _outcome_of(self, code: str, names: Mapping[str, Any]) -> Evaluated:
        try:
            if not self.send(code, names):
                return NO_ANSWER
            while (outcome := self.answer()) is None:
                self._wait()
        except OSError as error:
            return Evaluated(error=f"cannot be evaluated: no process can be started for it: {error}")
        except BaseException:
            self.close()  # such as Ctrl-C: its answer would be taken for the next one's
            raise
        return outcome

    def send(self, code: str, names: Mapping[str, Any]) -> bool:
        """Ask for the value of an expression; returns whether the process took the request.

        Raises OSError if the process cannot be started, and TemplateError if its names cannot be sent.
        """
        try:
            request = wire.encode({"code": code, "names": dict(names)})
        except RecursionError:
            raise TemplateError("cannot be evaluated: its names are nested too deeply") from None
        channel = self.start()
        self._drop_stale(channel)
        channel.settimeout(limits.SEND_TIME)
        try:
            channel.sendall(request)
        except OSError:
            self.close()
            return False
        channel.setblocking(False)
        self.due = time.monotonic() + limits.ANSWER_TIME
        return True

    def answer(self) -> Evaluated | None:
        """Return the outcome of the expression that was sent; None while it is evaluated."""
        if self._channel is None or self.due is None:
            return None
        try:
            while chunk := self._channel.recv(_CHUNK):
                self._received += chunk
                if chunk.endswith(b"\n"):
                    return self._outcome()
        except BlockingIOError:
            if time.monotonic() < self.due:
                return None
        except OSError:
            pass  # as an end of its answers
        self.close()
        return NO_ANSWER

    def start(self) -> socket.socket:
        """Return the socket of the process, which is started unless it runs."""
        if self._channel is None:
            import socket  # noqa: PLC0415 - few specs have expressions that need the process
            import subprocess  # noqa: PLC0415 - the same

            self._channel, other = socket.socketpair()
            with other:
                try:
                    self._process = subprocess.Popen(
                        [sys.executable, "-P", "-m", _MODULE],
                        stdin=other.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env=_environment(),
                        cwd="/",
                        start_new_session=True,
                    )
                    children.keep(self._process.pid)
                except BaseException:
                    self._channel.close()
                    self._channel = None
                    raise
        return self._channel

    @property
    def descriptor(self) -> int | None:
        """What is readable when there is an answer; None if the process does not run."""
        return None if self._channel is None else self._channel.fileno()

    def close(self) -> None:
        """End the process."""
        self.due = None
        self._received.clear()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            children.release(self._process.pid)
            self._process = None

    def _outcome(self) -> Evaluated:
        line = bytes(self._received)
        self._received.clear()
        self.due = None
        return Evaluated(**wire.decode(line))

    def _wait(self) -> None:
        assert self._channel is not None  # noqa: S101 - a request was sent
        assert self.due is not None  # noqa: S101 - the same
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.poll(max(0.0, self.due - time.monotonic()) * 1000 + 1)

    def _drop_stale(self, channel: socket.socket) -> None:
        """Forget answers to no request, such as that of a process which was killed after it answered."""
        self._received.clear()
        channel.setblocking(False)
        with contextlib.suppress(OSError):
            while channel.recv(_CHUNK):
                pass


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PYTHON")}
