"""Slurm's commands, run without waiting for them: each is a question, and its answer comes when it ends."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from nemorun_cli.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE: Final = 60.0  # seconds that a command may take: sbatch itself tries again while Slurm is busy
LOOK_AGAIN: Final = 0.05  # seconds between looks where no descriptor tells of an end
KILLED: Final = 0.5  # seconds until a killed command is collected
MOST_TOLD: Final = 500  # characters of what a command says

# Defaults that users keep in their environment; all else of SLURM_ and SBATCH_ would change what is asked.
KEPT: Final = frozenset({"SLURM_CONF"})
DEFAULTS: Final = ("ACCOUNT", "PARTITION", "QOS", "RESERVATION", "CONSTRAINT", "CLUSTERS")
BASIC: Final = ("HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LC_ALL", "KRB5CCNAME")
PATH: Final = "/usr/local/bin:/usr/bin:/bin"  # of jobs, until login files make their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said; `code` is None if it had to be killed."""

    code: int | None
    output: str
    complaint: str
    asked: float  # monotonic time at which it was started

    @property
    def is_good(self) -> bool:
        """Whether the command did what it was asked for."""
        return self.code == 0


@dataclass(slots=True)
class Question:
    """A command that was started; it may have ended by now."""

    argv: Sequence[str]
    asked: float
    _process: subprocess.Popen[bytes] | None = None
    _files: tuple[IO[bytes], IO[bytes]] | None = None
    _watch: int | None = None
    _answer: Answer | None = field(default=None)

    @property
    def overdue(self) -> float:
        """The monotonic time at which it is given up."""
        return self.asked + PATIENCE


class Commands:
    """Runs Slurm's commands; `fileno` becomes readable when one has ended.

    Args:
        given: the names of sbatch's options that a spec gives, whose defaults in the environment do
            not count then.
    """

    def __init__(self, given: Sequence[str] = ()) -> None:
        self._defaults = [f"SBATCH_{name}" for name in DEFAULTS if name.lower() not in given]
        self._ends = select.epoll() if hasattr(select, "epoll") and hasattr(os, "pidfd_open") else None
        self._running: list[Question] = []
        self.count = 0  # questions so far

    def fileno(self) -> int | None:
        """The descriptor that tells of ends, where there is one."""
        return self._ends.fileno() if self._ends else None

    def ask(self, argv: Sequence[str]) -> Question:
        """Start a command."""
        self.count += 1
        question = Question(argv, time.monotonic())
        program = shutil.which(argv[0])
        if program is None:
            question._answer = _refusal(question, f"there is no {argv[0]} on PATH")  # noqa: SLF001 - made here
            return question
        files = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=files[0],
                stderr=files[1],
                env=self.environment(),
                start_new_session=True,
            )
        except OSError as error:
            question._answer = _refusal(question, f"{program}: {error.strerror}")  # noqa: SLF001 - the same
            return question
        question._process, question._files = process, files  # noqa: SLF001 - the same
        if self._ends:
            question._watch = os.pidfd_open(process.pid)  # noqa: SLF001 - the same
            self._ends.register(question._watch, select.EPOLLIN)  # noqa: SLF001 - the same
        self._running.append(question)
        return question

    def answer(self, question: Question) -> Answer | None:
        """The answer, if it is there; a command that takes too long is killed."""
        if question._answer is None:  # noqa: SLF001 - only this class looks
            process = question._process  # noqa: SLF001 - the same
            assert process is not None  # noqa: S101 - what was not started has its answer
            code = process.poll()
            if code is None and time.monotonic() < question.overdue:
                return None
            if code is None:
                process.kill()
                process.wait()
            question._answer = self._collect(question, code)  # noqa: SLF001 - the same
        return question._answer  # noqa: SLF001 - the same

    def wait(self, question: Question, seconds: float) -> Answer | None:
        """The answer, waited for; None if it is not there in time."""
        end = time.monotonic() + seconds
        while (answer := self.answer(question)) is None:
            left = end - time.monotonic()
            if left <= 0:
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert question._process is not None  # noqa: S101, SLF001 - it has no answer yet
                question._process.wait(left)  # noqa: SLF001 - the same
        return answer

    def due(self) -> float | None:
        """When to look at what runs without being woken."""
        if not self._running:
            return None
        if self._ends is None:
            return time.monotonic() + LOOK_AGAIN
        return min(question.overdue for question in self._running)

    def environment(self) -> dict[str, str]:
        """What commands, and by way of sbatch jobs, get of this process's environment."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in KEPT or name in BASIC or name in self._defaults
        }
        return {**kept, "PATH": PATH, "SLURM_TIME_FORMAT": "%s"}

    def close(self) -> None:
        """Let go of what runs: a submission goes on, and is found again by its name."""
        for question in self._running:
            self._forget(question)
        self._running.clear()
        if self._ends:
            self._ends.close()

    def _collect(self, question: Question, code: int | None) -> Answer:
        assert question._files is not None  # noqa: S101, SLF001 - it was started
        texts = []
        for file in question._files:  # noqa: SLF001 - the same
            file.seek(0)
            texts.append(file.read().decode(errors="surrogateescape"))
        self._running.remove(question)
        self._forget(question)
        complaint = texts[1].strip() or (texts[0].strip() if code else "")
        if code is None:
            complaint = f"{question.argv[0]} did not end in {PATIENCE:g} s. {complaint}".strip()
        return Answer(code=code, output=texts[0], complaint=complaint[:MOST_TOLD], asked=question.asked)

    def _forget(self, question: Question) -> None:
        if question._watch is not None:  # noqa: SLF001 - the same
            os.close(question._watch)  # noqa: SLF001 - the same
            question._watch = None  # noqa: SLF001 - the same
        for file in question._files or ():  # noqa: SLF001 - the same
            file.close()
        if question._process is not None and question._process.returncode is None:  # noqa: SLF001 - the same
            question._process.returncode = 0  # noqa: SLF001 - nobody waits for it any more


def run(argv: Sequence[str], *, seconds: float) -> Answer:
    """Run one command to its end, or give it up after so many seconds."""
    commands = Commands()
    question = commands.ask(argv)
    try:
        answer = commands.wait(question, seconds)
    finally:
        commands.close()
    if answer is None:
        raise EngineError(f"{argv[0]} did not answer within {seconds:g} s")
    return answer


def _refusal(question: Question, message: str) -> Answer:
    return Answer(code=None, output="", complaint=message, asked=question.asked)
