"""All paths and file names that `exp` uses; no other module defines any."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.errors import LedgerError, UnreadableWarning, UntrustedError, UsageError
from nemorun_cli.system import locks, owners, user
from nemorun_cli.system.files import LARGEST, at_most, open_to_read, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from nemorun_cli.system.owners import Distrust

HOME_VARIABLE: Final = "NEMORUN_HOME"
LEDGER: Final = "ledger.jsonl"
# In an experiment's folder: what `exp` itself writes, as globs; nothing that tasks leave may replace it.
OWN_NAMES: Final = (
    "spec.yaml", "source.json", "resolved.json", f"{LEDGER}*", "ledger.*", "supervisor.*", "revision*",
    "mark", "labelled", "plugins", "wake", "shim", "partial.py", "activate", "scripts", "code", "slurm",
    "remote-hosts", "tasks/**/attempt-*", "tasks/*/attempt-*",
)  # fmt: skip
REVISIONS: Final = "revisions"
LABELLED: Final = "labelled"
TRASH_OF_RECORDS: Final = ".trash"
EXPERIMENTS_OF_SERVER: Final = ".experiments"  # in a server's root: OWNER/HOME, a home of replicas
LARGEST_OF_ATTEMPT: Final = 1 << 26  # bytes of a plan, which contains the text of its task
EXECUTORS: Final = "executors.yaml"
PROJECT_FOLDER: Final = ".nemorun"
FOREIGN_CONFIG: Final = (
    "_CONFIG"  # NeMo-Run writes this file, and the next one, to the folder of each of its runs
)
FOREIGN_TASKS: Final = "_TASKS"

COLLECTED_LEAD: Final = "."
COLLECTED_END: Final = ".collected"
OWN_HOME: Final = f"point {HOME_VARIABLE} to a folder of yours"
ANOTHER_HOME: Final = f"{OWN_HOME}, or ask the owner for access"
_NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EBADF)

_NEW = re.compile(r"\.new-(?P<pid>[1-9]\d{0,9})(-[0-9a-f]+)?", re.ASCII)
_CONTENT = re.compile(r"[0-9a-f]{16}(\.\w+)?")  # shipped code, and what is written next to it
_ID = re.compile(r"(?P<name>.+)_(?P<seconds>\d+)(?:-(?P<again>\d+))?")


def skip(error: LedgerError) -> None:
    """Warn about an experiment, or the folder of a name, that cannot be read; others are not affected."""
    warnings.warn(error.message, UnreadableWarning, stacklevel=3)


@dataclass(frozen=True, slots=True)
class AttemptFiles:
    """The files of one attempt, all in `directory`; `root` is the folder of its experiment."""

    directory: Path
    root: Path | None = field(default=None, repr=False, compare=False)

    def open(self, path: Path) -> BinaryIO:
        """Open one of them to read: without following links, which tasks and other users can make.

        Raises:
            RefusedFileError: it is not a regular file, or needs a link to be followed.
            OSError: it cannot be opened.
        """
        return open_to_read(path, inside=self.root or self.directory)

    def read(self, path: Path, *, limit: int = LARGEST_OF_ATTEMPT) -> bytes:
        """The content of one of them.

        Raises:
            RefusedFileError: it is not read by `open`, or is larger than `limit` bytes.
            OSError: it cannot be read.
        """
        with self.open(path) as stream:
            return at_most(limit, stream, path)

    @property
    def plan(self) -> Path:
        """The plan of the attempt, as JSON; secrets by name only."""
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
    def stderr(self) -> Path:
        """Standard error of a task with `stderr_to_stdout: false`; `log` then has only standard output."""
        return self.directory / "stderr"

    @property
    def backend_output(self) -> Path:
        """What the backend, and login files, printed about the attempt, if that is not the task's output."""
        return self.directory / "backend-output"

    @property
    def lock(self) -> Path:
        """Locked through an inherited descriptor for as long as a process of the task runs."""
        return self.directory / "lock"

    @property
    def claim(self) -> Path:
        """Created by the shim that runs the attempt; holds the shim's pid."""
        return self.directory / "claim"

    @property
    def exit(self) -> Path:
        """The exit record of the attempt, written by its shim."""
        return self.directory / "exit.json"

    @property
    def failed_line(self) -> Path:
        """The line at which bash ended an inline text, written by the task."""
        return self.directory / "failed-line"

    @property
    def timed_out(self) -> Path:
        """Created when the attempt exceeds its timeout, before the stop signal is sent."""
        return self.directory / "timed-out"

    @property
    def stopped(self) -> Path:
        """Created before the attempt gets its stop signal because its group ends with its leader."""
        return self.directory / "stopped"

    @property
    def usage(self) -> Path:
        """The attempt's usage, written by a shim that its supervisor cannot measure."""
        return self.directory / "usage"

    @property
    def samples(self) -> Path:
        """What the job of the attempt used, as JSON Lines, if it measures itself."""
        return self.directory / "samples"

    @property
    def outputs(self) -> Path:
        """What the task wrote to `$EXP_OUTPUT`."""
        return self.directory / "outputs"

    @property
    def artifacts(self) -> Path:
        """The files that were copied back from another host, in a folder."""
        return self.directory / "artifacts"

    @property
    def cached(self) -> Path:
        """Whose result the attempt has, and what was recorded for that, as JSON; only if it did not run."""
        return self.directory / "cached.json"

    @property
    def records(self) -> Path:
        """The tracking records that the task opened, listed by the SDK."""
        return self.directory / "records"


@lru_cache(maxsize=256)  # a supervisor needs those of an attempt some times in a row
def _attempt_files(experiment: Path, task_id: str, number: int) -> AttemptFiles:
    return AttemptFiles(Path(f"{experiment}/tasks/{task_id}/attempt-{number}"), experiment)


@dataclass(frozen=True, slots=True)
class ListenerFiles:
    """The files of one plugin that listens to events, all in `directory`."""

    directory: Path

    @property
    def lock(self) -> Path:
        """Locked by the plugin's process while events remain to be processed."""
        return self.directory / "lock"

    @property
    def waiting(self) -> Path:
        """Locked shared by processes of the plugin that wait for the lock of an earlier supervisor's."""
        return self.directory / "waiting"

    @property
    def heard(self) -> Path:
        """The number of events of the ledger that the plugin has received."""
        return self.directory / "heard"

    @property
    def log(self) -> Path:
        """What the plugin printed, and the tracebacks of its exceptions."""
        return self.directory / "log"

    @property
    def faults(self) -> Path:
        """The plugin's exceptions, each with its event, as JSON Lines."""
        return self.directory / "faults.jsonl"


@dataclass(frozen=True, slots=True)
class ExperimentFiles:
    """The files of one experiment, all in `directory`, whose name is the id."""

    directory: Path

    def read(self, path: Path, *, limit: int = LARGEST) -> bytes:
        """The content of one of them, read without following links in the experiment's folder.

        Raises:
            RefusedFileError: it is not a regular file, needs a link, or is larger than `limit` bytes.
            OSError: it cannot be read.
        """
        return read_bytes(path, limit=limit, inside=self.directory)

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
        """The revisions of a spec that was changed on resume, each in a folder named after its number."""
        return self.directory / REVISIONS

    def revision(self, number: int) -> ExperimentFiles:
        """The copies of one revision, counted from 1."""
        return ExperimentFiles(self.revisions / str(number))

    @property
    def source(self) -> Path:
        """The origin of the spec: its file, the options given with it, and the files that it includes."""
        return self.directory / "source.json"

    @property
    def resolved(self) -> Path:
        """The resolved spec: what runs, and what a resume continues."""
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
    def labelled(self) -> Path:
        """An empty file: the ledger has tags or notes that were added after the creation."""
        return self.directory / LABELLED

    @property
    def supervisor_lock(self) -> Path:
        """Locked by the supervisor until it exits; names the supervisor's process."""
        return self.directory / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        """The supervisor's log, with the traceback if it crashed."""
        return self.directory / "supervisor.log"

    @property
    def mark(self) -> Path:
        """What shows that its home created the experiment; see `storage.creation_mark`."""
        return self.directory / "mark"

    @property
    def wake(self) -> Path:
        """A FIFO: a byte written to it makes the supervisor check for requests."""
        return self.directory / "wake"

    @property
    def shim(self) -> Path:
        """The experiment's own copy of the shim: an upgrade of `exp` must not affect running tasks."""
        return self.directory / "shim"

    @property
    def partial(self) -> Path:
        """The experiment's own copy of the program that runs partials."""
        return self.directory / "partial.py"

    @property
    def activate(self) -> Path:
        """The experiment's own copy of the program that starts tasks in a Python environment."""
        return self.directory / "activate"

    @property
    def scripts(self) -> Path:
        """Copies of the tasks' scripts, made when the experiment was created."""
        return self.directory / "scripts"

    @property
    def code(self) -> Path:
        """The shipped packages: a copy of each content, in which its tasks run, and the list of its files."""
        return self.directory / "code"

    @property
    def shared(self) -> Path:
        """Where tasks hand files on: `$EXP_SHARED`, in which tasks in containers may write too."""
        return self.directory / "shared"

    def hearer(self, number: int) -> ListenerFiles:
        """The files of a plugin that listens to events, by its index among the spec's plugins."""
        return ListenerFiles(self.directory / "plugins" / str(number))

    def task(self, task_id: str) -> Path:
        """The folder of one task."""
        return Path(f"{self.directory}/tasks/{task_id}")

    def attempt(self, task_id: str, number: int) -> AttemptFiles:
        """The files of one attempt at a task, counted from 1."""
        return _attempt_files(self.directory, task_id, number)

    @classmethod
    def of_attempt(cls, attempt: AttemptFiles, task_id: str) -> Self:
        """The files of the experiment that an attempt at this task belongs to."""
        depth = task_id.count("/") + 2  # tasks/TASK/attempt-N; members of groups are one folder deeper
        return cls(attempt.directory.parents[depth])

    @property
    def home(self) -> Path:
        """The folder of the home that contains the experiment."""
        return self.directory.parents[2]

    @property
    def rebuilt_ledger(self) -> Path:
        """The ledger that a repair is writing, until it replaces the damaged one."""
        return self.directory / "ledger.rebuilt"

    @property
    def collected(self) -> Path:
        """The folder to which the experiment is moved while it is being removed; no id has this form."""
        return self.directory.with_name(f"{COLLECTED_LEAD}{self.id}{COLLECTED_END}")

    def require_trusted(self) -> None:
        """Refuse an experiment that another user could have changed.

        Raises:
            UntrustedError: its folder, the folder of its name, its ledger or its spec is not trusted.
            LedgerError: one of them cannot be examined.
        """
        self._require_trusted((self.directory.parent, self.directory, self.ledger, self.resolved))

    @property
    def is_replica(self) -> bool:
        """Whether it is a server's copy of another machine's experiment; see `Home.is_replica`."""
        return Home(self.home).is_replica

    def require_original(self) -> None:
        """Refuse a server's copy of another machine's experiment: it is only read.

        Raises:
            UsageError: it is one.
        """
        if self.is_replica:
            raise UsageError(
                f"{self.id} is a server's copy of an experiment of another machine, which is only read here",
                hint="do this on the machine where it runs",
            )

    def require_trusted_programs(self) -> None:
        """The same for what a resume or a rerun runs: in the folder of a group, any owner is possible.

        Raises:
            UsageError: it is a server's copy of another machine's experiment.
        """
        self.require_original()
        self._require_trusted(self._programs())

    def _programs(self) -> Iterator[Path]:
        """The copies that tasks run; not the files inside of shipped code, which tasks may change."""
        yield from (self.resolved, self.spec, self.source, self.shim, self.partial, self.activate, self.code)
        yield from (path for path in _entries(self.code) if _CONTENT.fullmatch(path.name))
        from nemorun_cli.system import trees  # noqa: PLC0415 - only a resume or a rerun looks at them

        for folder in (self.scripts, self.revisions):
            yield folder
            for visit in trees.walk(folder):
                yield from (Path(visit.path(entry.name)) for entry in visit.entries)

    def _require_trusted(self, paths: Iterable[Path]) -> None:
        try:
            distrust = owners.distrust(*paths)
        except OSError as error:
            raise _unreadable(self.directory, error) from error
        if distrust is not None:
            raise UntrustedError(distrust.message, hint=distrust.remedy)

    def unfinished(self) -> Iterator[Path]:
        """What a process began to create in the folder and did not complete yet; see `creator`."""
        for folder in (self.directory, self.revisions):
            yield from (path for path in _hidden_in(folder) if creator(path) is not None)

    def damaged_ledger(self) -> Path:
        """An unused path to which a damaged ledger can be moved."""
        number = 1
        while (path := self.directory / f"ledger.damaged-{number}").exists():
            number += 1
        return path


@dataclass(frozen=True, slots=True)
class TrashFiles:
    """One removal in the trash: the folder `directory` in the home's trash."""

    directory: Path

    @property
    def origin(self) -> Path:
        """When, by whom and from where each item was removed, as JSON."""
        return self.directory / "origin.json"

    @property
    def deleting(self) -> Path:
        """An empty file, written before the items are deleted: after a crash, those missing were."""
        return self.directory / "deleting"

    def experiment(self, experiment_id: str) -> Path:
        """The folder of a removed experiment."""
        return self.directory / "experiment" / experiment_id

    def record(self, number: int) -> Path:
        """The files of a removed record, by its number in the removal."""
        return self.directory / "records" / str(number)

    def record_beside(self, root: Path, number: int) -> Path:
        """The same, if the folder of records is on another file system than the home."""
        return root / TRASH_OF_RECORDS / self.directory.name / str(number)


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that contains all experiments and the state they share."""

    directory: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`$NEMORUN_HOME`, whose leading `~` is the user's folder, or `~/.nemo_run`.

        Raises:
            UsageError: it exists and is not a folder, cannot be found out, belongs to another user or is
                writable for everybody, or the user's folder is not known.
        """
        home = cls.configured()
        home.require_trusted()
        return home

    @classmethod
    def configured(cls) -> Home:
        """The same, whether or not it is trusted: for reports about it.

        Raises:
            UsageError: it exists and is not a folder, cannot be found out, or the user's folder is not known.
        """
        value = os.environ.get(HOME_VARIABLE)
        directory = user.expanded(value).absolute() if value else user.home() / ".nemo_run"
        return cls._usable(
            directory,
            origin=f"${HOME_VARIABLE}" if value else "the home of exp",
            remedy=f"point {HOME_VARIABLE} to",
        )

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Home:
        """The home in this folder, which need not exist yet; a leading `~` is the user's folder.

        Raises:
            UsageError: it exists and is not a folder, or cannot be found out.
        """
        return cls._usable(user.expanded(os.fspath(path)).absolute(), origin="the home", remedy="name")

    @classmethod
    def _usable(cls, directory: Path, *, origin: str, remedy: str) -> Home:
        try:
            is_usable = directory.is_dir() or not directory.exists()
        except OSError as error:
            raise UsageError(_unreadable(directory, error).message, hint=ANOTHER_HOME) from error
        if not is_usable:
            raise UsageError(
                f"{origin} is {directory}, which is not a folder",
                hint=f"{remedy} a folder; a missing folder is created",
            )
        return cls(directory)

    @property
    def parts(self) -> tuple[Path, ...]:
        """The home, and the folders in it by which another user could change, stop or read what is run."""
        slots = self.slots(locks.hostname())
        folders = (self.experiments, self.apart, self.trash, self.keys, slots.parent, slots)
        return (self.directory, *folders, self.code, self.environments, self.step_cache, self.faults)

    def require_trusted(self) -> None:
        """Refuse a home that another user could have changed.

        Raises:
            UsageError: it, or one of its folders, belongs to another user, is writable for everybody, or
                cannot be examined.
        """
        try:
            distrust = owners.distrust(*self.parts)
        except OSError as error:
            raise UsageError(_unreadable(self.directory, error).message, hint=ANOTHER_HOME) from error
        if distrust is not None:
            raise UsageError(distrust.message, hint=f"{OWN_HOME}; or {distrust.remedy}")

    @property
    def experiments(self) -> Path:
        """A folder for each name, which contains a folder for each experiment of that name."""
        return self.directory / "experiments"

    @property
    def apart(self) -> Path:
        """The same, in a home that NeMo-Run uses too: it takes each folder in `experiments` for its own."""
        return self.directory / "exp"

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that contain experiments, whether or not they exist."""
        return (self.experiments, self.apart)

    def root_of_new(self) -> Path:
        """The folder in which experiments are created now: `apart` if NeMo-Run has runs in this home."""
        return self.apart if any(self.foreign()) else self.experiments

    def foreign(self) -> Iterator[ForeignRun]:
        """The runs of NeMo-Run in this home, in no order; a folder that cannot be read has none."""
        for name in _folders(self.experiments):
            folder = f"{self.experiments}/{name}"
            for run_id in _folders(folder):
                if os.path.exists(f"{folder}/{run_id}/{FOREIGN_CONFIG}"):  # noqa: PTH110 - of every experiment
                    yield ForeignRun(Path(folder, run_id))

    @property
    def trash(self) -> Path:
        """What `exp rm` removed, a folder for each removal; `exp gc` deletes it after some time."""
        return self.directory / "trash"

    def removals(self) -> Iterator[TrashFiles]:
        """The removals in the trash, in no order."""
        yield from (TrashFiles(self.trash / name) for name in _folders(self.trash))

    def removed_experiments(self) -> Iterator[ExperimentFiles]:
        """The experiments in the trash, in no order."""
        for files in self.removals():
            folder = files.experiment("").absolute()
            yield from (ExperimentFiles(folder / name) for name in _folders(folder))

    def removed_ids(self) -> frozenset[str]:
        """The ids of the experiments in the trash."""
        return frozenset(files.id for files in self.removed_experiments())

    @property
    def is_replica(self) -> bool:
        """Whether the experiments are copies that a server received, by the place of the home in its root.

        Their state is that of the ledger, and nothing in them is run, changed or asked for over the network.
        """
        return self.directory.parent.parent.name == EXPERIMENTS_OF_SERVER

    def require_original(self) -> None:
        """Refuse a home of copies that a server received.

        Raises:
            UsageError: it is one.
        """
        if self.is_replica:
            raise UsageError(
                f"{self.directory} is a server's copy of the experiments of another machine, which is only"
                " read here",
                hint="do this on the machine where they ran",
            )

    @property
    def root_of_replicas(self) -> Path:
        """The root of the server that has these copies, where the records of the experiments are."""
        return self.directory.parent.parent.parent

    @property
    def outbox(self) -> Path:
        """What is to be sent to servers, a folder for each; see `tracking.outbox`."""
        return self.directory / "outbox"

    @property
    def keys(self) -> Path:
        """The locks of `--key`."""
        return self.directory / "keys"

    @property
    def key(self) -> Path:
        """The key under which experiments are marked as created by this home."""
        return self.directory / "key"

    def user_key(self, uid: int) -> Path:
        """The same for a user who shares a home that is another user's."""
        return self.directory / f"key-{uid}"

    def slots(self, host: str) -> Path:
        """The tasks that use, or wait for, the local capacity of a host."""
        return self.directory / "slots" / host

    @property
    def executors(self) -> Path:
        """The executors that the user defines for all specs."""
        return self.directory / EXECUTORS

    @property
    def code(self) -> Path:
        """The shipped packages, by hash; never changed, and removed when no experiment refers to them."""
        return self.directory / "code"

    @property
    def code_lock(self) -> Path:
        """Locked shared while an experiment that refers to shipped packages is created."""
        return self.code / "lock"

    @property
    def environments(self) -> Path:
        """The Python environments made for tasks, by their ids; removed when no experiment refers to them."""
        return self.directory / "environments"

    @property
    def environments_lock(self) -> Path:
        """Locked shared while an experiment that refers to one is created."""
        return self.environments / "lock"

    @property
    def remote_folders(self) -> Path:
        """A note for each folder of this home on a remote host."""
        return self.directory / "remote-folders"

    @property
    def step_cache(self) -> Path:
        """The results of tasks with `cache`, and what is known of the contents of files."""
        return self.directory / "step-cache"

    @property
    def step_cache_entries(self) -> Path:
        """A file for each result, by the fingerprint of what it depends on."""
        return self.step_cache / "entries"

    @property
    def step_cache_contents(self) -> Path:
        """The contents of their files, by digest."""
        return self.step_cache / "files"

    @property
    def step_cache_replaced(self) -> Path:
        """Files that were changed by hand, as they were before a task wrote them again."""
        return self.step_cache / "replaced"

    @property
    def step_cache_lock(self) -> Path:
        """Locked shared while results are kept or taken."""
        return self.step_cache / "lock"

    def contents_database(self, host: str) -> Path:
        """The digests of files as a host sees them, whose paths and inodes are its own."""
        return self.step_cache / "contents" / f"{host}-1.db"  # the number is that of its format

    @property
    def faults(self) -> Path:
        """Tracebacks of internal errors of `exp`."""
        return self.directory / "faults"

    @property
    def dash(self) -> Path:
        """The default folder of the tasks' tracking records."""
        return self.directory / "dash"

    def experiment(self, experiment_id: str) -> ExperimentFiles | None:
        """The experiment with exactly this id, or None; a folder without a ledger is not an experiment.

        Raises:
            UntrustedError: another user, or everybody, may change it.
            LedgerError: its folder cannot be read.
        """
        match = _ID.fullmatch(experiment_id)
        if not match or os.sep in experiment_id or match["name"] in {".", ".."}:
            return None
        candidates = (_readable_at(root / match["name"] / experiment_id) for root in self.roots)
        return next((files for files in candidates if files is not None), None)

    def names(self) -> list[str]:
        """The names of experiments, sorted.

        Raises:
            UsageError: the home cannot be read.
        """
        found: set[str] = set()
        for root in self.roots:
            try:
                with os.scandir(root) as entries:
                    found.update(entry.name for entry in entries if _is_folder(entry))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise UsageError(_unreadable(root, error).message, hint=ANOTHER_HOME) from error
        return sorted(found)

    def ids(self, name: str) -> Iterator[str]:
        """The ids under a name, in no order; `experiment` checks whether each is an experiment.

        Raises:
            UntrustedError: another user, or everybody, may change the folder of the name.
            LedgerError: it cannot be read.
        """
        found: set[str] = set()
        failure: LedgerError | None = None
        for root in self.roots:
            try:
                require_trusted_name(root / name)
                entries = os.scandir(root / name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except LedgerError as error:
                failure = error
                continue
            except OSError as error:
                failure = _unreadable(root / name, error)
                continue
            with entries:
                for entry in entries:
                    match = _ID.fullmatch(entry.name)
                    if match and match["name"] == name and _is_folder(entry) and entry.name not in found:
                        found.add(entry.name)
                        yield entry.name
        if failure is not None:
            raise failure

    def readable_ids(
        self, names: Iterable[str], *, report: Callable[[LedgerError], object] = skip
    ) -> Iterator[tuple[str, str]]:
        """The names with their ids; a name whose folder cannot be read is only reported."""
        for name in names:
            try:
                yield from ((name, experiment_id) for experiment_id in self.ids(name))
            except LedgerError as error:
                report(error)

    def readable(
        self, ids: Iterable[str], *, report: Callable[[LedgerError], object] = skip
    ) -> Iterator[ExperimentFiles]:
        """The experiments with these ids; one that cannot be read is only reported."""
        for experiment_id in ids:
            try:
                files = self.experiment(experiment_id)
            except LedgerError as error:
                report(error)
            else:
                if files is not None:
                    yield files

    def collected(self) -> Iterator[Path]:
        """The experiments whose removal was started but not finished."""
        for path in self._hidden():
            inner = path.name.removeprefix(COLLECTED_LEAD).removesuffix(COLLECTED_END)
            match = _ID.fullmatch(inner)
            if path.name.endswith(COLLECTED_END) and match and match["name"] == path.parent.name:
                with contextlib.suppress(OSError):
                    if ExperimentFiles(path).ledger.is_file():
                        yield path

    def unfinished(self) -> Iterator[Path]:
        """What a process began to create next to experiments and did not complete yet; see `creator`."""
        return (path for path in self._hidden() if creator(path) is not None)

    def _hidden(self) -> Iterator[Path]:
        """What has a hidden name next to experiments and names; folders that cannot be read have nothing."""
        names = self.names()
        for root in self.roots:
            for folder in (root, *(root / name for name in names)):
                yield from _hidden_in(folder)


@dataclass(frozen=True, slots=True)
class ForeignRun:
    """A run of NeMo-Run's own, which is only read; its folder is named after its id."""

    directory: Path

    @property
    def config(self) -> Path:
        """What NeMo-Run writes first of a run, and by which it is recognized."""
        return self.directory / FOREIGN_CONFIG

    @property
    def tasks(self) -> Path:
        """The tasks, as a JSON array with an item for each task or group."""
        return self.directory / FOREIGN_TASKS


def require_trusted_name(folder: Path) -> None:
    """Refuse the folder of a name that another user could have changed.

    Raises:
        UntrustedError: it belongs to another user, or everybody may write to it.
        OSError: it cannot be examined.
    """
    if (distrust := owners.distrust(folder)) is not None:
        raise UntrustedError(distrust.message, hint=distrust.remedy)


def _readable_at(directory: Path) -> ExperimentFiles | None:
    """The experiment in a folder, or None; see `Home.experiment`."""
    files = ExperimentFiles(directory)
    try:
        mode = files.ledger.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder in its place is damage
            return None
        files.require_trusted()
        if stat.S_ISREG(mode) and not os.access(files.ledger, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        files.require_trusted()
        raise _unreadable(files.directory, error) from error
    return files


def _folders(folder: str | Path) -> list[str]:
    """The names of the folders in a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if _is_folder(entry)]
    except OSError:
        return []


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _hidden_in(folder: Path) -> Iterator[Path]:
    """What has a hidden name in a folder, sorted; nothing if the folder cannot be read."""
    try:
        with os.scandir(folder) as entries:
            hidden = sorted(entry.name for entry in entries if entry.name.startswith("."))
    except OSError:
        return
    yield from (folder / name for name in hidden if not (folder / name).is_symlink())


def creator(path: Path) -> int | None:
    """The pid of the process that creates a file or folder under a name of its own; None for other names."""
    match = _NEW.fullmatch(path.name)
    return int(match["pid"]) if match else None


def _unreadable(path: Path, error: OSError) -> LedgerError:
    """The error about a folder that cannot be read, with the owner if that is another user."""
    barrier = owners.barrier(path)
    owner = user.owner(barrier)
    whose = f" ({'it' if barrier == path else barrier} belongs to {owner})" if owner else ""
    return LedgerError(f"cannot read {path}: {error.strerror}{whose}", hint="ask its owner for access")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to where this user may not look
        return False


def project_executors(folder: Path) -> Path | None:
    """The executors of the project that a folder is in: the nearest `.nemorun/executors.yaml` upwards.

    World-writable folders, such as /tmp, are skipped: any user can place a file there. Whether the owner of
    the file is trusted is for `executors_distrust`.

    Raises:
        UsageError: a file cannot be examined.
    """
    for project in (folder, *folder.parents):
        path = project / PROJECT_FOLDER / EXECUTORS
        folders = (project, path.parent)
        try:
            status = path.stat()
        except OSError as error:
            if error.errno in _NOT_THERE or _is_for_everybody(project):
                continue
            raise UsageError(
                _unreadable(path, error).message, hint="ask its owner for access, or work in another folder"
            ) from error
        if stat.S_ISREG(status.st_mode) and not any(map(_is_for_everybody, folders)):
            return path
    return None


def executors_distrust(path: Path) -> Distrust | None:
    """Why a file of executors is not used; None if it, and the folder that contains it, are trusted."""
    return owners.distrust(path.parent, path)


def _is_for_everybody(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def age_key(experiment_id: str) -> tuple[int, int]:
    """The sort key of an id by creation time: its second, then its number within that second."""
    match = _ID.fullmatch(experiment_id)
    return (int(match["seconds"]), int(match["again"] or 1)) if match else (0, 0)


def name_in(experiment_id: str) -> str | None:
    """The name of the experiment in an id; None if it is no id."""
    match = _ID.fullmatch(experiment_id)
    return match["name"] if match else None


def next_id(experiment_id: str) -> str:
    """The id after this one for an experiment that was created in the same second."""
    match = _ID.fullmatch(experiment_id)
    if match is None:
        return f"{experiment_id}-2"
    return f"{match['name']}_{match['seconds']}-{int(match['again'] or 1) + 1}"


def script_copy(source: str, files: ExperimentFiles) -> Path:
    """The path of a script's copy; scripts of the same name from different folders get different paths."""
    import hashlib  # noqa: PLC0415 - rarely needed, and slow to load

    folder = hashlib.sha256(os.fsencode(source)).hexdigest()[:12]
    return files.scripts / folder / Path(source).name
