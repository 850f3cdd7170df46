"""Starts a supervisor: a process in its own session that inherits only the pipes for its order and answer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, LedgerError, LockHeldError
from nemorun_cli.system import process_limits
from nemorun_cli.system.environment import SUPERVISOR_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.supervisor.assignment import Assignment

START_WAIT: Final = 60.0  # seconds to wait for a supervisor's answer
_LIKE_A_SECRET: Final = re.compile(
    r"SECRET|TOKEN|KEY|PASS|CRED|AUTH|COOKIE|SESSION|PRIVATE|CERT|HOOK|DSN|URL|URI|LOGIN|(^|_)(PW|PAT)($|_)|_PWD$",
    re.IGNORECASE,
)
MARK: Final = ("EXP_ID", "EXP_TASK", "EXP_ATTEMPT")  # not passed on: a supervisor is not part of a task


class AlreadyRunning(Exception):  # noqa: N818 - not an error: another process supervises
    """Another live supervisor drives the experiment."""


def spawn(environ: Mapping[str, str], order: int, answer: int) -> int:
    """Start the process and return its pid.

    Args:
        environ: its environment.
        order: the descriptor from which it reads its order, as its standard input.
        answer: the descriptor to which it writes its answer, as its standard output.
    """
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "nemorun_cli.supervisor.process"],
        environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, order, 0), (os.POSIX_SPAWN_DUP2, answer, 1)],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    )


class SupervisorHandle:
    """A supervisor process that was started and waits for its order; without one it exits.

    The system shows for as long as a process lives what it was started with, so its environment has no
    secret in it. The process is started before the spec is read: variables whose name looks as if they hold
    a secret follow with the order, and if the spec names another one, a process without it takes its place.
    """

    def __init__(self) -> None:
        self._is_assigned = self._is_abandoned = False
        _reap()
        self._inherited = process_limits.inherited()
        environ = {name: value for name, value in os.environ.items() if name not in MARK}
        self._later = {name: environ.pop(name) for name in list(environ) if _LIKE_A_SECRET.search(name)}
        self._environ = {**environ, SUPERVISOR_VARIABLE: "1"}
        self._start()

    def _start(self) -> None:
        order_reader, self._order_writer = os.pipe()
        self._answer_reader, answer_writer = os.pipe()
        try:
            self.pid = spawn(self._environ, order_reader, answer_writer)
        finally:
            os.close(order_reader)
            os.close(answer_writer)
        _children.add(self.pid)

    def _start_without(self, secrets: Iterable[str]) -> None:
        """Replace the process if it was started with one of these variables."""
        if not (shown := self._environ.keys() & set(secrets)):
            return
        self._kill()
        self._environ = {name: value for name, value in self._environ.items() if name not in shown}
        self._start()

    def go(self, assignment: Assignment) -> None:
        """Send the assignment and wait until the supervisor holds its lock and has written `started`.

        Raises:
            AlreadyRunning: another supervisor is alive, or has done what was asked.
            LockHeldError: another command, such as a cancel, works on the experiment.
            ExpError: it could not start; the message is its answer.
        """
        from nemorun_cli.storage.paths import ExperimentFiles  # noqa: PLC0415 - the process starts before it is loaded

        self._is_assigned = True
        self._start_without(assignment.sources)
        later = {name: value for name, value in self._later.items() if name not in assignment.sources}
        data = memoryview(replace(assignment, environ=later).encode())
        with contextlib.suppress(BrokenPipeError):  # it died; its answer explains why
            while data:
                data = data[os.write(self._order_writer, data) :]
        os.close(self._order_writer)
        answer = self._read_answer(ExperimentFiles(assignment.directory))
        if answer.get("is_running"):
            raise AlreadyRunning
        if "held_by" in answer:
            who = f"process {answer['held_by']}" if answer["held_by"] else "another process"
            raise LockHeldError(
                f"{who} still works on {assignment.directory.name}, as exp cancel does until tasks end",
                hint="wait until it has finished, then try again",
            )
        if not answer.get("started"):
            error = ExpError(f"the supervisor could not start: {answer.get('error')}")
            error.exit_code = int(answer.get("code", LedgerError.exit_code))
            raise error

    @property
    def is_assigned(self) -> bool:
        """Whether the assignment was sent."""
        return self._is_assigned

    @property
    def is_current(self) -> bool:
        """Whether a process that this one starts now would have the same environment, umask and limits."""
        return self._inherited == process_limits.inherited()

    def forget(self) -> None:
        """Close the pipes in a forked process: the supervisor is its parent's."""
        self._is_abandoned = True
        os.close(self._order_writer)
        os.close(self._answer_reader)

    def abandon(self) -> None:
        """Kill the process because nothing needs supervising; does nothing if the assignment was sent."""
        if self._is_assigned or self._is_abandoned:
            return
        self._is_abandoned = True
        self._kill()

    def _kill(self) -> None:
        os.close(self._order_writer)
        os.close(self._answer_reader)
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it would exit at the end of input, but only once it reads
            os.waitpid(self.pid, 0)

    def _read_answer(self, files: ExperimentFiles) -> dict[str, Any]:
        data = b""
        deadline = time.monotonic() + START_WAIT
        poll = select.poll()  # `select` fails in a program that has many files open
        poll.register(self._answer_reader, select.POLLIN)
        try:
            while not data.endswith(b"\n"):
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise ExpError(
                        f"the supervisor did not answer within {START_WAIT:g} s, see {files.supervisor_log}"
                    )
                chunk = os.read(self._answer_reader, 65536)
                if not chunk:
                    raise ExpError(
                        f"the supervisor died before it began, see {files.supervisor_log}",
                        hint=f"continue with: exp resume {files.id}",
                    )
                data += chunk
        finally:
            os.close(self._answer_reader)
        answer: dict[str, Any] = json.loads(data)
        return answer


_children: set[int] = set()  # the supervisors that this process started and has not reaped
_prepared: list[SupervisorHandle] = []


def prepare() -> None:
    """Start a supervisor before its order is known, as the command line does while its imports load."""
    if not _prepared:
        _prepared.append(SupervisorHandle())


def _reap() -> None:
    """Reap supervisors that exited: a notebook that starts many would keep them all as zombies."""
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.discard(pid)


def take() -> SupervisorHandle:
    """The prepared supervisor, or a new one if it has not what it would inherit now."""
    if _prepared:
        prepared = _prepared.pop()
        if prepared.is_current:
            return prepared
        prepared.abandon()
    return SupervisorHandle()


def dismiss() -> None:
    """Kill the prepared supervisor if it was not taken."""
    while _prepared:
        _prepared.pop().abandon()


def _forget() -> None:
    while _prepared:
        _prepared.pop().forget()


os.register_at_fork(after_in_child=_forget)
