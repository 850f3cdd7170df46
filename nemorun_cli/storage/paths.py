"""Every path and file name that `exp` uses; nothing else knows one."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME_VARIABLE: Final = "NEMORUN_HOME"
LEDGER: Final = "ledger.jsonl"
REVISIONS: Final = "revisions"
EXECUTORS: Final = "executors.yaml"
PROJECT_FOLDER: Final = ".nemorun"

COLLECTED_LEAD: Final = "."
COLLECTED_END: Final = ".collected"

_ID = re.compile(r"(?P<name>.+)_(?P<seconds>\d+)(?:-(?P<again>\d+))?")


@dataclass(frozen=True, slots=True)
class AttemptFiles:
    """The files of one attempt; all lie in `directory`."""

    directory: Path

    @property
    def plan(self) -> Path:
        """What was to run, as JSON; secrets by name only."""
        return self.directory / "plan.json"

    @property
    def script(self) -> Path:
        """The text of an inline task."""
        return self.directory / "script"

    @property
    def call(self) -> Path:
        """The target and arguments of a partial, as JSON."""
        return self.directory / "call.json"

    @property
    def log(self) -> Path:
        """Standard output and error of the task, in the order they were written."""
        return self.directory / "log"

    @property
    def lock(self) -> Path:
        """Locked, through an inherited descriptor, for as long as the task lives."""
        return self.directory / "lock"

    @property
    def claim(self) -> Path:
        """Made by the one shim that runs the attempt; holds its pid."""
        return self.directory / "claim"

    @property
    def exit(self) -> Path:
        """How the attempt ended, written by its shim."""
        return self.directory / "exit.json"

    @property
    def timed_out(self) -> Path:
        """Made when the attempt's time is over, before it is told to end."""
        return self.directory / "timed-out"

    @property
    def usage(self) -> Path:
        """What the attempt has used, written by a shim that nobody can ask afterwards."""
        return self.directory / "usage"

    @property
    def outputs(self) -> Path:
        """What the task wrote to `$EXP_OUTPUT`."""
        return self.directory / "outputs"

    @property
    def records(self) -> Path:
        """Which records the task opened, as the SDK notes it there."""
        return self.directory / "records"


@dataclass(frozen=True, slots=True)
class ListenerFiles:
    """The files of one plugin that hears of events; all lie in `directory`."""

    directory: Path

    @property
    def lock(self) -> Path:
        """Locked by its process for as long as it has events to hear of."""
        return self.directory / "lock"

    @property
    def heard(self) -> Path:
        """How many events of the ledger it has heard of."""
        return self.directory / "heard"

    @property
    def log(self) -> Path:
        """What it printed, and the tracebacks of what it raised."""
        return self.directory / "log"

    @property
    def faults(self) -> Path:
        """What it raised on which event, as JSON Lines."""
        return self.directory / "faults.jsonl"


@dataclass(frozen=True, slots=True)
class ExperimentFiles:
    """The files of one experiment; all lie in `directory`, whose name is the id."""

    directory: Path

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.directory.name

    @property
    def spec(self) -> Path:
        """The spec as given."""
        return self.directory / "spec.yaml"

    @property
    def revisions(self) -> Path:
        """Each revision of a spec that was changed since, in a folder of its number."""
        return self.directory / REVISIONS

    def revision(self, number: int) -> ExperimentFiles:
        """The copies of one revision, counted from 1."""
        return ExperimentFiles(self.revisions / str(number))

    @property
    def source(self) -> Path:
        """Where the spec came from: its file, the options given with it, and the files that it takes in."""
        return self.directory / "source.json"

    @property
    def resolved(self) -> Path:
        """The spec as resolved: what runs, and what a resume continues."""
        return self.directory / "resolved.json"

    @property
    def ledger(self) -> Path:
        """The append-only record of the experiment."""
        return self.directory / LEDGER

    @property
    def ledger_lock(self) -> Path:
        """The file lock of the ledger's writers."""
        return self.directory / "ledger.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held for life by the supervisor; says who that is."""
        return self.directory / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor had to say, and its traceback if it broke."""
        return self.directory / "supervisor.log"

    @property
    def wake(self) -> Path:
        """A FIFO: a byte written to it makes the supervisor look for requests."""
        return self.directory / "wake"

    @property
    def shim(self) -> Path:
        """This experiment's own copy of the shim, so that an upgrade changes nothing that runs."""
        return self.directory / "shim"

    @property
    def partial(self) -> Path:
        """This experiment's own copy of the program that runs partials."""
        return self.directory / "partial.py"

    @property
    def scripts(self) -> Path:
        """Copies of the scripts that tasks name, made when the experiment was created."""
        return self.directory / "scripts"

    @property
    def code(self) -> Path:
        """What packagers shipped: a copy of each content, which its tasks run in, and what is told of it."""
        return self.directory / "code"

    def hearer(self, number: int) -> ListenerFiles:
        """The files of a plugin that hears of events, by its number among the spec's plugins."""
        return ListenerFiles(self.directory / "plugins" / str(number))

    def task(self, task_id: str) -> Path:
        """The folder of one task."""
        return Path(f"{self.directory}/tasks/{task_id}")

    def attempt(self, task_id: str, number: int) -> AttemptFiles:
        """The files of one attempt at a task, counted from 1."""
        return AttemptFiles(Path(f"{self.directory}/tasks/{task_id}/attempt-{number}"))

    @property
    def home(self) -> Path:
        """The home that it lies in."""
        return self.directory.parents[2]

    @property
    def rebuilt_ledger(self) -> Path:
        """A ledger that a repair is writing, until it takes the place of the damaged one."""
        return self.directory / "ledger.rebuilt"

    @property
    def collected(self) -> Path:
        """Where the experiment lies while it is being removed; no id looks like this."""
        return self.directory.with_name(f"{COLLECTED_LEAD}{self.id}{COLLECTED_END}")

    def damaged_ledger(self) -> Path:
        """A name that is still free, for a ledger that is set aside."""
        number = 1
        while (aside := self.directory / f"ledger.damaged-{number}").exists():
            number += 1
        return aside


@dataclass(frozen=True, slots=True)
class Home:
    """The folder under which everything is kept."""

    directory: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`$NEMORUN_HOME`, or `~/.nemo_run`.

        Raises:
            UsageError: it is there and is no folder.
        """
        given = os.environ.get(HOME_VARIABLE)
        directory = Path(given).absolute() if given else Path.home() / ".nemo_run"
        if directory.exists() and not directory.is_dir():
            origin = f"${HOME_VARIABLE}" if given else "the home of exp"
            raise UsageError(
                f"{origin} is {directory}, which is not a folder",
                hint=f"point {HOME_VARIABLE} to a folder, which is made when it is missing",
            )
        return cls(directory)

    @property
    def experiments(self) -> Path:
        """One folder a name, and in it one folder an experiment."""
        return self.directory / "experiments"

    @property
    def keys(self) -> Path:
        """The locks of `--key`."""
        return self.directory / "keys"

    def slots(self, host: str) -> Path:
        """Who uses, and who waits for, what this host has."""
        return self.directory / "slots" / host

    @property
    def executors(self) -> Path:
        """The executors that the user describes for all specs."""
        return self.directory / EXECUTORS

    @property
    def code(self) -> Path:
        """What packagers shipped, by hash; never changed, and removed when no experiment refers to it."""
        return self.directory / "code"

    @property
    def code_lock(self) -> Path:
        """Held shared while an experiment that refers to such contents is made."""
        return self.code / "lock"

    @property
    def faults(self) -> Path:
        """Tracebacks of faults in `exp` itself."""
        return self.directory / "faults"

    @property
    def dash(self) -> Path:
        """Where records of tasks are kept unless a spec says otherwise."""
        return self.directory / "dash"

    def experiment(self, experiment_id: str) -> ExperimentFiles | None:
        """The experiment of exactly this id, or None; other tools' folders are not ours."""
        match = _ID.fullmatch(experiment_id)
        if not match or os.sep in experiment_id or match["name"] in {".", ".."}:
            return None
        files = ExperimentFiles(self.experiments / match["name"] / experiment_id)
        return files if files.ledger.is_file() else None

    def names(self) -> list[str]:
        """The names under which there are experiments, sorted."""
        try:
            return sorted(entry.name for entry in os.scandir(self.experiments) if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def ids(self, name: str) -> Iterator[str]:
        """The ids that stand under a name, in no order; whether they are ours is for `experiment` to say."""
        try:
            entries = os.scandir(self.experiments / name)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if (match := _ID.fullmatch(entry.name)) and match["name"] == name and entry.is_dir():
                    yield entry.name

    def collected(self) -> Iterator[Path]:
        """The experiments whose removal was begun and not finished."""
        for name in self.names():
            folder = self.experiments / name
            for path in sorted(folder.glob(f"{COLLECTED_LEAD}{name}_*{COLLECTED_END}")):
                if ExperimentFiles(path).ledger.is_file() and not path.is_symlink():
                    yield path


def project_executors(folder: Path) -> Path | None:
    """The executors of the project that a folder is in: the nearest `.nemorun/executors.yaml` upwards.

    Folders in which anybody may write, as /tmp, are no project: what is there may be anybody's.
    """
    for above in (folder, *folder.parents):
        path = above / PROJECT_FOLDER / EXECUTORS
        if path.is_file() and not any(one.stat().st_mode & stat.S_IWOTH for one in (above, path.parent)):
            return path
    return None


def age_key(experiment_id: str) -> tuple[int, int]:
    """What orders ids by the time they were made: their second, and which one of that second."""
    match = _ID.fullmatch(experiment_id)
    return (int(match["seconds"]), int(match["again"] or 1)) if match else (0, 0)


def script_copy(source: str, files: ExperimentFiles) -> Path:
    """Where the copy of a script lies; scripts of one name from two folders stay apart."""
    import hashlib  # noqa: PLC0415 - seldom needed, and slow to load

    folder = hashlib.sha256(os.fsencode(source)).hexdigest()[:12]
    return files.scripts / folder / Path(source).name
