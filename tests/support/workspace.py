"""The workspace of a test: a home and a working folder, the command `exp`, and experiments from Python."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import in_process

from nemorun_cli.contract import fixtures
from nemorun_cli.contract.fixtures import NOTE, eventually, is_running, kill_supervisor, statuses, until
from nemorun_cli.experiment.run import find
from nemorun_cli.storage.ledger import LedgerReader
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.paths import AttemptFiles

__all__ = [
    "NOTE",
    "Exp",
    "ExpWorkspace",
    "Result",
    "attempt",
    "events",
    "is_running",
    "kill",
    "kill_supervisor",
    "log",
    "shim_pid",
    "status",
    "statuses",
    "until",
]


FOR_A_PROCESS = (crashpoints.VARIABLE, "LANG", "LC_", "PYTHON", "TZ")
"""Prefixes of variables that a process reads only when it starts, or that make it crash."""


@dataclass(frozen=True)
class Result:
    """What a run of the command gave."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Exp:
    """The installed `exp`, with a home and a working folder of this test's own."""

    home: Path
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment in which the command runs."""
        kept = {name: value for name, value in os.environ.items() if not _marks_a_task(name)}
        return {**kept, "NEMORUN_HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "160"}

    @property
    def argv(self) -> list[str]:
        """The command itself."""
        return [str(Path(sys.executable).with_name("exp"))]

    def __call__(
        self, *args: str | Path, code: int | None = 0, env: dict[str, str] | None = None, stdin: str = ""
    ) -> Result:
        """Run the command to its end and check its exit code; None accepts any.

        It runs in this process, unless it gets input, runs code of users, or is to crash or start otherwise.
        """
        argv, own = [str(argument) for argument in args], env or {}
        runs_code = "--direct" in argv or any(argument.endswith(".py") for argument in argv)
        if stdin or runs_code or any(name.startswith(FOR_A_PROCESS) for name in own):
            return self.process(*args, code=code, env=env, stdin=stdin)
        given = {**self.env, **own}
        return _checked(
            Result(*in_process.run(argv, program=self.argv[0], folder=self.folder, env=given)), code
        )

    def on_terminal(self, *args: str | Path, columns: int, code: int | None = 0, **env: str) -> Result:
        """The same on a terminal of this width, without colours."""
        argv, given = [str(argument) for argument in args], {**self.env, "COLUMNS": str(columns), **env}
        done = in_process.run(
            argv, program=self.argv[0], folder=self.folder, env={"TERM": "xterm", **given}, on_terminal=True
        )
        return _checked(Result(*done), code)

    def process(
        self, *args: str | Path, code: int | None = 0, env: dict[str, str] | None = None, stdin: str = ""
    ) -> Result:
        """The same in a process of its own, for what is about processes: imports, descriptors, crashes."""
        done = subprocess.run(
            [*self.argv, *map(str, args)],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return _checked(Result(done.returncode, done.stdout, done.stderr), code)

    def start(
        self, *args: str | Path, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Start the command and leave it running."""
        return subprocess.Popen(
            [*self.argv, *map(str, args)],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def spec(self, text: str, name: str = "spec.yaml") -> Path:
        """Write a spec into the working folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def status(self, which: str = "latest") -> dict[str, Any]:
        """How an experiment stands, as the Python API tells it, whose start costs nothing."""
        return find(which, home=Home(self.home)).status().to_json()

    def task(self, task_id: str, which: str = "latest") -> dict[str, Any]:
        """One task of it."""
        return next(task for task in self.status(which)["tasks"] if task["id"] == task_id)

    def directory(self, which: str = "latest") -> Path:
        """Where it lies."""
        return Path(self.status(which)["directory"])


def _checked(result: Result, code: int | None) -> Result:
    if code is not None:
        assert result.code == code, f"exit code {result.code}\n{result.stdout}\n{result.stderr}"
    return result


def _marks_a_task(name: str) -> bool:
    """Whether a variable is set for tasks and jobs; SLURM_CONF says which cluster the tests use."""
    return name.startswith(("EXP_", "SLURM_")) and name != "SLURM_CONF"


@dataclass(frozen=True)
class ExpWorkspace(fixtures.Workspace):
    """Experiments from Python, under the home and in the working folder of a command."""

    @property
    def exp(self) -> Exp:
        """The command in this workspace."""
        return Exp(self.home.directory, self.folder)


def kill(pid: int) -> None:
    """Send KILL and wait until the process has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_running(pid))


def status(run: Run, task: str) -> str:
    """A task's status as it is looked up now."""
    return str(run.status().history.tasks[task].status)


def attempt(run: Run, task: str, number: int = 1) -> AttemptFiles:
    """The files of one attempt."""
    return run.files.attempt(task, number)


def log(run: Run, task: str, number: int = 1) -> str:
    """What an attempt wrote."""
    return attempt(run, task, number).log.read_text(encoding="utf-8")


def events(run: Run) -> list[dict[str, Any]]:
    """All events of the ledger."""
    return LedgerReader(run.files.ledger).read()


def shim_pid(run: Run, task: str, number: int = 1) -> int:
    """The pid of the shim, once it has claimed its attempt."""
    path = attempt(run, task, number).claim
    return int(eventually(lambda: path.exists() and path.read_text().strip()))
