"""Starting a supervisor: a process and session of its own that inherits only a pipe with its orders."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, LedgerError
from nemorun_cli.executors.process_tree import SUPERVISOR_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.storage.paths import ExperimentFiles

START_WAIT: Final = 60.0  # seconds until a supervisor that does not answer is given up
MARK: Final = ("EXP_ID", "EXP_TASK", "EXP_ATTEMPT")  # a supervisor is no part of the task that started it


class AlreadyRunning(Exception):  # noqa: N818 - nothing is wrong: somebody else supervises
    """A living supervisor holds the experiment."""


class SupervisorHandle:
    """A supervisor's process, started but not yet told what to do; it leaves if it never is."""

    def __init__(self) -> None:
        self._is_told = self._is_abandoned = False
        _reap()
        tell, self._tell = os.pipe()
        self._answer, answer = os.pipe()
        environ = {name: value for name, value in os.environ.items() if name not in MARK}
        environ[SUPERVISOR_VARIABLE] = "1"
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-m", "nemorun_cli.supervisor.process"],
                environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, tell, 0), (os.POSIX_SPAWN_DUP2, answer, 1)],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
            )
        finally:
            os.close(tell)
            os.close(answer)
        _children.add(self.pid)

    def go(
        self,
        files: ExperimentFiles,
        *,
        home: Path,
        secrets: Mapping[str, str],
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell it what to supervise and wait until it holds its lock and has written `started`.

        Raises:
            AlreadyRunning: another supervisor lives.
            ExpError: it could not start; what it said is the message.
        """
        told = {
            "directory": str(files.directory),
            "home": str(home),
            "secrets": dict(secrets),
            "resume": resume,
        }
        self._is_told = True
        data = memoryview(json.dumps(told).encode())
        with contextlib.suppress(BrokenPipeError):  # it died; what it answered says more
            while data:
                data = data[os.write(self._tell, data) :]
        os.close(self._tell)
        answer = self._read_answer(files)
        if answer.get("is_running"):
            raise AlreadyRunning
        if not answer.get("started"):
            error = ExpError(f"the supervisor could not start: {answer.get('error')}")
            error.exit_code = int(answer.get("code", LedgerError.exit_code))
            raise error

    @property
    def is_told(self) -> bool:
        """Whether it has been told what to supervise."""
        return self._is_told

    def abandon(self) -> None:
        """End it: there is nothing to supervise after all. One that was told already stays."""
        if self._is_told or self._is_abandoned:
            return
        self._is_abandoned = True
        os.close(self._tell)
        os.close(self._answer)
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it would leave by itself, once it is as far as to notice
            os.waitpid(self.pid, 0)

    def _read_answer(self, files: ExperimentFiles) -> dict[str, Any]:
        data = b""
        end = time.monotonic() + START_WAIT
        poll = select.poll()  # `select` fails in a program that has many files open
        poll.register(self._answer, select.POLLIN)
        try:
            while not data.endswith(b"\n"):
                if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                    raise ExpError(
                        f"the supervisor did not answer for {START_WAIT:g} s, see {files.supervisor_log}"
                    )
                chunk = os.read(self._answer, 65536)
                if not chunk:
                    raise ExpError(
                        f"the supervisor died before it began, see {files.supervisor_log}",
                        hint=f"go on with: exp resume {files.id}",
                    )
                data += chunk
        finally:
            os.close(self._answer)
        answer: dict[str, Any] = json.loads(data)
        return answer


_children: set[int] = set()  # the supervisors that this process started and has not collected
_early: list[SupervisorHandle] = []


def prepare() -> None:
    """Start a supervisor before it is known what for, as the command line does while it is being imported."""
    _early.append(SupervisorHandle())


def _reap() -> None:
    """Collect supervisors that ended: a notebook that starts many would keep them all as zombies."""
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.discard(pid)


def take() -> SupervisorHandle:
    """The supervisor that was prepared, or a new one."""
    return _early.pop() if _early else SupervisorHandle()


def dismiss() -> None:
    """End what was prepared and not taken."""
    while _early:
        _early.pop().abandon()
