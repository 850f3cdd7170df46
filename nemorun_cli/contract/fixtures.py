"""Fixtures of the contract's tests: the executor under test, a workspace, and waiting with a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest

from nemorun_cli.experiment import launch
from nemorun_cli.storage.paths import HOME_VARIABLE, Home
from nemorun_cli.system import locks
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot

PATIENCE: Final = 60.0  # seconds until an expected condition has failed
PAUSE: Final = 0.01  # seconds until the second look
LONGEST_PAUSE: Final = 0.1  # seconds between looks at what takes long: a look costs more than it seems
NOTE: Final = 'echo "$EXP_TASK $EXP_ATTEMPT" >>ran'  # so that running twice is seen
CANNOT: Final = "cannot be: "  # how the reason of a skip begins where an engine exists
EXECUTOR: Final = "tested"  # what the specs of the contract call the executor


def _nothing_left(_: Path) -> list[str]:
    return []


def _nothing_shown(_: Path) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An executor under test.

    Attributes:
        name: what the column of the matrix is called.
        options: the executor as a spec has it, with its `type`. Where its tasks run there must be `sh`,
            `bash` and `python3`.
        needs: the name of a session fixture that gets its engine going, if there is one.
        left: the objects of the engine that remain of experiments under a home after their end.
        shown: everything that the engine shows to others about experiments under a home; it must
            contain no secret.
        work: where working folders are made, for an engine that is another user's and sees no other ones.
        host: where members of a group are reached, if only the engine knows their hosts by the names.
        cannot: names of rules that its engine makes impossible, each with the reason.
    """

    name: str
    options: Mapping[str, Any]
    needs: str | None = None
    left: Callable[[Path], list[str]] = _nothing_left
    shown: Callable[[Path], str] = _nothing_shown
    work: Path | None = None
    host: str = ""
    cannot: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


NO_SUBJECT: Final = Subject(name="", options={})  # of a workspace whose specs name their executors


@dataclass(frozen=True)
class Workspace:
    """A fresh home and working folder, in which tests start experiments.

    Attributes:
        home: the home of all experiments of the test.
        folder: where specs are written and tasks run.
        subject: the executor under test; by default each spec names its executors itself.
    """

    home: Home
    folder: Path
    subject: Subject = NO_SUBJECT

    def spec(self, tasks: Mapping[str, Any], **header: Any) -> Path:
        """Write a spec; a task that is a text is an inline one."""
        entries = {name: {"inline": task} if isinstance(task, str) else task for name, task in tasks.items()}
        tested = {"executors": {EXECUTOR: dict(self.subject.options)}, "executor": EXECUTOR}
        keys = {**(tested if self.subject.options else {}), **header}
        document = {"version": 1, "name": "tried", **keys, "tasks": entries}
        text = json.dumps(document, ensure_ascii=False).replace("\x7f", "\\u007f")  # YAML refuses a bare DEL
        path = self.folder / "spec.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, tasks: Mapping[str, Any], **header: Any) -> Run:
        """Start an experiment in a supervisor of its own."""
        return launch.run(self.spec(tasks, **header), home=self.home)

    def run(self, tasks: Mapping[str, Any], **header: Any) -> Snapshot:
        """Run an experiment to its end."""
        return self.start(tasks, **header).wait(timeout=PATIENCE)

    def one(self, task: Any, **header: Any) -> TaskState:
        """Run one task to its end."""
        return self.run({"one": task}, **header).history.tasks["one"]

    def command(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """What `exp` with these arguments prints to standard output; it must not fail."""
        argv = [sys.executable, "-m", "nemorun_cli", *map(str, arguments)]
        environ = {**os.environ, HOME_VARIABLE: str(self.home.directory), **(env or {})}
        done = subprocess.run(
            argv, env=environ, cwd=self.folder, capture_output=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def touch(self, name: str) -> None:
        """Create a file for which tasks wait."""
        (self.folder / name).touch()

    def lines(self, name: str = "ran") -> list[str]:
        """The lines that tasks wrote into a file of the working folder."""
        path = self.folder / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def left(self) -> list[str]:
        """What is left of tasks: processes of this machine, and what the engine still has."""
        own = (str(process) for process in self.processes(marked="EXP_TASK"))
        return [*own, *self.subject.left(self.home.directory)]

    def processes(self, *, marked: str = HOME_VARIABLE) -> list[psutil.Process]:
        """The living processes of experiments of this home, supervisors included, that have a variable."""
        return processes_of(self.home.directory, marked=marked)


def processes_of(home: Path, *, marked: str = HOME_VARIABLE) -> list[psutil.Process]:
    """The living processes of experiments under a home, supervisors included, that have a variable."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error):
            if pid == os.getpid() or not _may_have(pid, f"{HOME_VARIABLE}={home}"):
                continue
            process = psutil.Process(pid)
            env = process.environ()
            is_ours = env.get(HOME_VARIABLE) == str(home) and marked in env
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                process.info = process.as_dict(["cmdline"])
                found.append(process)
    return found


def _may_have(pid: int, variable: str) -> bool:
    """Whether a process may have a variable: where there is /proc, this takes a tenth of asking psutil."""
    try:
        return os.fsencode(variable) in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return sys.platform != "linux"


def until(name: str) -> str:
    """A shell command that waits for a file, by sleeps that become longer: each is a process."""
    return f"{{ _s=2; until [ -e {name} ]; do sleep 0.0$_s; [ $_s -gt 8 ] || _s=$((_s + 1)); done; }}"


def eventually(condition: Callable[[], Any], *, within: float = PATIENCE) -> Any:
    """The first true value of a condition; fails if it is not true within so many seconds."""
    end = time.monotonic() + within
    pauses = Backoff(first=PAUSE, longest=LONGEST_PAUSE, growth=1.2)
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"did not happen within {within:g} s: {condition}")
        time.sleep(pauses.next())
    return value


def kill_supervisor(run: Run) -> None:
    """End the supervisor as a crash would, and wait until it has terminated."""
    holder = run.status(observe=False).holder
    assert holder is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGKILL)
    # A process that it was just starting keeps its descriptors, its lock among them, until its own exec.
    eventually(lambda: not locks.is_held_by_name(run.files.supervisor_lock))
    eventually(lambda: not is_running(holder.pid))


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def log(run: Run, task: str, attempt: int = 1) -> bytes:
    """What an attempt wrote."""
    return run.files.attempt(task, attempt).log.read_bytes()


def statuses(snapshot: Snapshot) -> dict[str, str]:
    """Every task's status."""
    return {name: str(state.status) for name, state in snapshot.history.tasks.items()}


def words(text: str) -> Sequence[bytes]:
    """The parts of a text that ends each with NUL, as bytes."""
    return [part.encode() for part in text.split("\0")[:-1]]


@pytest.fixture
def workspace(
    subject: Subject, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A workspace for the subject; a test that leaves something behind fails."""
    prepare(subject, request)
    home = Home(tmp_path / "home")
    monkeypatch.setenv(HOME_VARIABLE, str(home.directory))
    with working_folder(subject, tmp_path) as folder, files_for(subject):
        made = Workspace(home, folder, subject)
        yield made
        eventually(lambda: not made.left() and not made.processes())


def prepare(subject: Subject, request: pytest.FixtureRequest) -> None:
    """Start what the subject needs; skip a rule that its engine makes impossible."""
    if subject.needs:
        request.getfixturevalue(subject.needs)
    if reason := subject.cannot.get(request.function.__name__):
        pytest.skip(f"{CANNOT}{reason}")


@contextlib.contextmanager
def working_folder(subject: Subject, own: Path) -> Iterator[Path]:
    """A working folder that the subject's tasks can write to."""
    if subject.work is None:
        folder = own / "work"
        folder.mkdir()
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=subject.work) as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextlib.contextmanager
def files_for(subject: Subject) -> Iterator[None]:
    """What rules make meanwhile can be changed by the subject's tasks, which may be another user's."""
    if subject.work is None:
        yield
        return
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)
