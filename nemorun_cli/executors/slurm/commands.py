"""Slurm's commands, run without waiting for them: each is a question, and its answer comes when it ends."""

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

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

PATIENCE: Final = 60.0  # seconds that a command may take: sbatch itself tries again while Slurm is busy
LOOK_AGAIN: Final = 0.05  # seconds between looks where no descriptor tells of an end
MOST_TOLD: Final = 500  # characters of what a command complains of

# What commands, and by way of sbatch jobs, get of this process's environment: of SLURM_ and SBATCH_ only
# where the cluster is, and those defaults that sites tell their users to set.
KEPT: Final = ("SLURM_CONF", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LC_ALL", "KRB5CCNAME")
DEFAULTS: Final = ("account", "partition", "qos", "reservation", "constraint")
PATH: Final = "/usr/local/bin:/usr/bin:/bin"  # of jobs, until their login files make their own
SHOWING: Final = ("squeue", "sacct")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a command said.

    Attributes:
        code: its exit code; None if it could not be run, or had to be killed.
        asked: the monotonic time at which it was started.
        is_lost: whether it is not even known if it was run, for the way to it broke.
    """

    code: int | None
    output: str = ""
    complaint: str = ""
    asked: float = 0.0
    is_lost: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the command did what it was asked for."""
        return self.code == 0


class PendingCommand(Protocol):
    """A command that was asked for, and has or has not answered yet."""

    def answer(self) -> CommandResult | None:
        """The answer, if it is there; a command that takes too long is given up, and that is the answer."""
        ...

    def wait(self, seconds: float) -> CommandResult | None:
        """The answer, waited for; None if it is not there in time."""
        ...


class SlurmCommands(Protocol):
    """How Slurm is asked, wherever it is.

    Attributes:
        own: the flag of squeue for the jobs of this user.
        count: questions so far.
    """

    own: str
    count: int

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when there may be an answer, where there is one."""
        ...

    def ask(self, argv: Sequence[str]) -> PendingCommand:
        """Ask one of Slurm's commands."""
        ...

    def collect(self) -> None:
        """Go on with what was asked, and take in the answers that nobody waits for."""
        ...

    def due(self) -> float | None:
        """The monotonic time at which to look without being woken."""
        ...

    def close(self) -> None:
        """Let go of what was asked; it goes on."""
        ...


class LocalCommand:
    """A command of this machine that was started, or could not be."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], *, told: bytes = b"", patience: float = PATIENCE
    ) -> None:
        self.argv, self.asked, self.patience = argv, time.monotonic(), patience
        self.watch: int | None = None
        self.output = self.complaint = b""  # the bytes of its answer
        self._answer: CommandResult | None = None
        self._files: tuple[IO[bytes], ...] = ()
        program = shutil.which(argv[0])
        if program is None:
            self._answer = CommandResult(
                code=None, complaint=f"there is no {argv[0]} on PATH", asked=self.asked
            )
            return
        # Files and not pipes: nobody reads while it runs, and an answer for a thousand jobs is long.
        self._files = tuple(tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 - `close` does
        with _readable(told) as stdin:
            self._process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=stdin,
                stdout=self._files[0],
                stderr=self._files[1],
                env=env,
                start_new_session=True,
            )
        if hasattr(os, "pidfd_open"):
            self.watch = os.pidfd_open(self._process.pid)

    @property
    def overdue(self) -> float:
        """The monotonic time at which it is given up."""
        return self.asked + self.patience

    def answer(self) -> CommandResult | None:
        """The answer, if it is there; a process that takes too long is killed, and that is the answer."""
        if self._answer is None:
            code = self._process.poll()
            if code is None and time.monotonic() < self.overdue:
                return None
            if code is None:
                self._process.kill()
                self._process.wait()
            self._answer = self._read(code)
            self.close()
        return self._answer

    def wait(self, seconds: float) -> CommandResult | None:
        """The answer, waited for; None if it is not there in time."""
        if self._answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        return self.answer()

    def close(self) -> None:
        """Let go of it; what still runs goes on."""
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None
        for file in self._files:
            file.close()
        if self._answer is None:
            self._process.returncode = 0  # nobody waits for it any more, and Popen shall not complain

    def _read(self, code: int | None) -> CommandResult:
        for file in self._files:
            file.seek(0)
        self.output, self.complaint = (file.read() for file in self._files)
        output = self.output.decode(errors="surrogateescape")
        complaint = self.complaint.decode(errors="surrogateescape").strip()
        if code is None:
            complaint = f"{self.argv[0]} did not end within {self.patience:g} s. {complaint}".strip()
        elif code:
            complaint = complaint or output.strip()
        return CommandResult(code=code, output=output, complaint=complaint[:MOST_TOLD], asked=self.asked)


class LocalCommands:
    """The processes of this machine that were started, and not collected yet."""

    def __init__(self) -> None:
        self._ends = select.epoll() if hasattr(select, "epoll") else None
        self._running: list[LocalCommand] = []

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when a command has ended, where there is one."""
        return self._ends.fileno() if self._ends else None

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], *, told: bytes = b"", patience: float = PATIENCE
    ) -> LocalCommand:
        """Start a command; it reads `told` from its standard input, and may take `patience` seconds."""
        self.collect()
        process = LocalCommand(argv, env, told=told, patience=patience)
        if process.answer() is None:
            self._running.append(process)
            if self._ends and process.watch is not None:
                self._ends.register(process.watch, select.EPOLLIN)
        return process

    def collect(self) -> None:
        """Take in what has ended, also the answers that nobody waits for."""
        self._running = [one for one in self._running if one.answer() is None]

    def due(self) -> float | None:
        """The monotonic time at which to look without being woken."""
        if any(one.watch is None for one in self._running):
            return time.monotonic() + LOOK_AGAIN
        return min((one.overdue for one in self._running), default=None)

    def close(self) -> None:
        """Let go of what runs: a submission goes on, and is found again by its name."""
        for question in self._running:
            question.close()
        self._running.clear()
        if self._ends:
            self._ends.close()


class Commands(LocalCommands):
    """Runs Slurm's commands on this machine.

    Args:
        given: sbatch's options that a spec gives, whose defaults in the environment do not count.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        super().__init__()
        self._given = frozenset(given)
        self.own = f"--user={os.getuid()}"
        self.count = 0

    def ask(self, argv: Sequence[str]) -> LocalCommand:
        """Start a command."""
        self.count += 1
        env = {name: os.environ[name] for name in kept(argv[0], self._given) if name in os.environ}
        return self.start(argv, env | fixed(argv[0]) | {"PATH": PATH})


def kept(command: str, given: Collection[str]) -> Sequence[str]:
    """The variables that a command gets as they are, and by way of sbatch a job."""
    if command != "sbatch":
        return KEPT
    return (*KEPT, *(f"SBATCH_{name.upper()}" for name in DEFAULTS if name not in given))


def fixed(command: str) -> dict[str, str]:
    """The variables that a command gets besides."""
    return {"SLURM_TIME_FORMAT": "%s"} if command in SHOWING else {}


@contextlib.contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A descriptor to read these bytes from: no file of any disk, for there may be secrets in them."""
    if not data:
        yield subprocess.DEVNULL
        return
    descriptor = os.memfd_create("told")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
