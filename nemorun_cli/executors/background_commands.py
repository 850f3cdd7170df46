"""Runs commands in the background: each is started at once, and its answer is collected later."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Protocol

from nemorun_cli.system import children
from nemorun_cli.system.process_limits import callers_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMEOUT: Final = 60.0  # seconds that a command may take: sbatch itself retries while Slurm is busy
POLL_EVERY: Final = 0.05  # seconds between polls where no descriptor signals the end of a process
MOST_SHOWN: Final = 500  # last characters of a command's error output that are kept, behind any banner


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The result of a command.

    Attributes:
        code: its exit code; None if it could not be run, or was killed.
        complaint: its error output; of a failed command without any, its standard output.
        asked: the monotonic time at which it was started.
        connection_failed: the connection broke, so that it is unknown whether the command ran.
    """

    code: int | None
    output: str = ""
    complaint: str = ""
    asked: float = 0.0
    connection_failed: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the command succeeded."""
        return self.code == 0


class PendingCommand(Protocol):
    """A command that was started; its answer may be pending."""

    def answer(self) -> CommandResult | None:
        """The answer, or None if it is pending; a command that exceeds its timeout fails."""
        ...

    def wait(self, seconds: float) -> CommandResult | None:
        """Wait for the answer; None if it does not arrive in time."""
        ...


class LocalCommand:
    """A command on this machine that was started, or could not be."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], *, stdin: bytes = b"", timeout: float = TIMEOUT
    ) -> None:
        self.argv, self.asked, self.timeout = argv, time.monotonic(), timeout
        self.pidfd: int | None = None
        self.output = self.complaint = b""  # the raw bytes of its answer
        self._answer: CommandResult | None = None
        self._files: tuple[IO[bytes], ...] = ()
        program = shutil.which(argv[0])
        if program is None:
            self._answer = CommandResult(
                code=None, complaint=f"there is no {argv[0]} on PATH", asked=self.asked
            )
            return
        # Files, because a pipe that is not read would block a command with a long answer.
        self._files = tuple(tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 - `close` closes them
        with _readable(stdin) as descriptor, callers_limits():  # sbatch passes them on to the job
            self._process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=descriptor,
                stdout=self._files[0],
                stderr=self._files[1],
                env=env,
                start_new_session=True,
            )
        children.keep(self._process.pid)
        if hasattr(os, "pidfd_open"):
            self.pidfd = os.pidfd_open(self._process.pid)

    @property
    def deadline(self) -> float:
        """The monotonic time at which it is killed."""
        return self.asked + self.timeout

    def answer(self) -> CommandResult | None:
        """The answer, or None while the process runs; a process that exceeds its timeout is killed."""
        if self._answer is None:
            code = self._process.poll()
            if code is None and time.monotonic() < self.deadline:
                return None
            if code is None:
                self._process.kill()
                self._process.wait()
            self._answer = self._read(code)
            self.close()
        return self._answer

    def wait(self, seconds: float) -> CommandResult | None:
        """Wait for the answer; None if it does not arrive in time."""
        if self._answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        return self.answer()

    def close(self) -> None:
        """Release its descriptors; a running process continues."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        if self._files:
            children.release(self._process.pid)
        for file in self._files:
            file.close()
        self._files = ()
        if self._answer is None:
            self._process.returncode = 0  # otherwise Popen warns that the process still runs

    def _read(self, code: int | None) -> CommandResult:
        for file in self._files:
            file.seek(0)
        self.output, self.complaint = (file.read() for file in self._files)
        output = self.output.decode(errors="surrogateescape")
        complaint = self.complaint.decode(errors="surrogateescape").strip()
        if code is None:
            complaint = f"{self.argv[0]} did not end within {self.timeout:g} s. {complaint}".strip()
        elif code:
            complaint = complaint or output.strip()
        return CommandResult(code=code, output=output, complaint=complaint[-MOST_SHOWN:], asked=self.asked)


class LocalCommands:
    """The commands on this machine that were started and not yet collected."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._running: list[LocalCommand] = []

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when a command has finished; None if not supported."""
        return self._epoll.fileno() if self._epoll else None

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], *, stdin: bytes = b"", timeout: float = TIMEOUT
    ) -> LocalCommand:
        """Start a command that reads `stdin` and is killed after `timeout` seconds."""
        self.collect()
        command = LocalCommand(argv, env, stdin=stdin, timeout=timeout)
        if command.answer() is None:
            self._running.append(command)
            if self._epoll and command.pidfd is not None:
                self._epoll.register(command.pidfd, select.EPOLLIN)
        return command

    def collect(self) -> None:
        """Collect finished commands, also those that no caller waits for."""
        self._running = [command for command in self._running if command.answer() is None]

    def due(self) -> float | None:
        """The monotonic time at which to call `collect` without a wakeup."""
        if any(command.pidfd is None for command in self._running):
            return time.monotonic() + POLL_EVERY
        return min((command.deadline for command in self._running), default=None)

    def close(self) -> None:
        """Release running commands: a submission continues, and is found later by its job name."""
        for command in self._running:
            command.close()
        self._running.clear()
        if self._epoll:
            self._epoll.close()


@contextlib.contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A descriptor to read these bytes from; in memory, because they may contain secrets."""
    if not data:
        yield subprocess.DEVNULL
        return
    descriptor = os.memfd_create("stdin")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
