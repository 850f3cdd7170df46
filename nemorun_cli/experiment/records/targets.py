"""The records that a command selects: those of an experiment and its tasks, or those under a prefix."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, NotFoundError, UnreadableWarning, UsageError
from nemorun_cli.executors import planning
from nemorun_cli.experiment import trash
from nemorun_cli.experiment.lookup import LATEST, find_files, trusted
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home
from nemorun_cli.system.user import expanded
from nemorun_cli.tracking.access import reader, supervisor_api
from nemorun_cli.tracking.store import record_paths, row_files, row_origins
from nemorun_cli.tracking.store import sessions as opened
from nemorun_cli.views import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nemorun_cli.errors import ExpError
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.tracking import Experiment, Record
    from nemorun_cli.tracking.store.row_series import Attempts
    from nemorun_cli.tracking.store.sessions import Session
    from nemorun_cli.views.snapshot import Snapshot

GLOB: Final = frozenset("*?[")
LOCAL: Final = ".dash"  # the folder of records that programs often have in their own folder
MEASURED: Final = "system"  # what supervisors measured; read only for keys that begin with this name


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord:
    """A record, or the part of it that one experiment wrote.

    Attributes:
        experiment: the experiment that wrote the part; None for the whole record.
        task: the task that wrote the part; None for the experiment itself, or if several tasks share it.
        openings: the openings that belong to the part.
        before: those of earlier attempts, whose params still apply, if the part is one attempt.
        is_own: whether it is the default record of the experiment or task, not an additional one.
    """

    record: Record
    experiment: str | None = None
    task: str | None = None
    openings: tuple[Session, ...]
    before: tuple[Session, ...] = ()
    is_own: bool = True

    @property
    def label(self) -> str:
        """The name in a list: the task or experiment, or the prefix of an additional record."""
        return ((self.task or self.experiment) if self.is_own else None) or self.record.prefix

    @property
    def is_of_experiment(self) -> bool:
        """Whether it is the experiment's own record, not that of a task."""
        return self.experiment is not None and self.task is None and self.is_own

    @property
    def ids(self) -> list[str] | None:
        """The `openings` argument of readers: None for all openings."""
        is_whole = self.experiment is None and len(self.openings) == len(self.record.openings)
        return None if is_whole else [opening.id for opening in self.openings]

    @property
    def identity(self) -> tuple[str, str, str | None, str | None]:
        """What distinguishes it from all other records and parts of records."""
        return self.record.root, self.record.prefix, self.experiment, self.task

    @property
    def attempts(self) -> list[int]:
        """The number of the attempt of each opening; outside of tasks it is the generation."""
        return [row_origins.origin_of(opening.id, opening.facts).attempt for opening in self.openings]

    def of_attempt(self, number: int) -> TargetRecord | None:
        """The part of one attempt, with the status of that attempt; None without such an attempt."""
        numbered = list(zip(self.attempts, self.openings, strict=True))
        chosen = tuple(opening for attempt, opening in numbered if attempt == number)
        before = tuple(opening for attempt, opening in numbered if attempt < number)
        return replace(self, openings=chosen, before=before) if chosen else None

    @property
    def is_run(self) -> bool:
        """Whether it is compared although it may be empty: a program opened it, or its task failed.

        What a supervisor measured of a task that tracks nothing is no run.
        """
        return (
            any(opening.facts.get("supervised") is not True for opening in self.openings)
            or self.status is ExperimentStatus.FAILED
            or MEASURED not in self.data.metrics.names()
        )

    @property
    def data(self) -> Experiment:
        """Its params, metrics and files, for reading."""
        return self.record.data()

    @property
    def decisive(self) -> Session:
        """The opening that determines the status."""
        session = opened.status_of(list(self.openings))
        assert session is not None  # noqa: S101 - a selected record has openings
        return session

    @property
    def status(self) -> ExperimentStatus:
        """The status of its decisive opening."""
        return self.decisive.status

    def params(self) -> dict[str, Any]:
        """The params by dotted name; of one attempt as they were at its end."""
        before = [opening.id for opening in self.before]
        return self.data.params.get(openings=[*before, *self.ids] if self.ids is not None else None)

    def to_json(self) -> dict[str, Any]:
        """The identifying fields, shared by its entries in all JSON documents."""
        return {
            "prefix": self.record.prefix,
            "dash_root": self.record.root,
            "experiment": self.experiment,
            "task": self.task,
            "status": str(self.status),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a command selects: an experiment of a home, or the records under `prefix` in `root`."""

    files: ExperimentFiles | None = None
    home: Home | None = None
    task: str | None = None
    root: Path | None = None
    prefix: str = "*"

    def choose(self) -> list[TargetRecord]:
        """The records as they are now.

        Raises:
            NotFoundError: there is no record under the prefix, or no such task.
            LedgerError: no record can be read; of some that cannot it warns.
        """
        snapshot = self.look()
        return self._under_prefix() if snapshot is None else self.choose_of(snapshot)

    def look(self) -> Snapshot | None:
        """The state of the experiment; None for a prefix."""
        if self.files is None or self.home is None:
            return None
        return observe.look(self.files, home=self.home.directory)

    def choose_of(self, snapshot: Snapshot) -> list[TargetRecord]:
        """The records, given the state of the experiment."""
        assert self.home is not None  # noqa: S101 - a snapshot is of an experiment
        return list(of_experiment(snapshot, home=self.home.directory, task=self.task))

    def runs(self, *, report: Callable[[str], None]) -> Iterator[list[TargetRecord]]:
        """The records as they are now, those of one run together.

        A run is an experiment, its own record first, or what a program that no
        experiment started wrote under one prefix.

        Args:
            report: called with a message for each record under a prefix that cannot be read.

        Raises:
            NotFoundError: there is no record under the prefix, or no such task.
            LedgerDamagedError: no record can be read.
        """
        if self.files is None or self.home is None:
            yield from runs_of(self.root or Path(), self._readable(report))
        else:
            yield self.choose()

    def _readable(self, report: Callable[[str], None]) -> list[Record]:
        """The records under the prefix; raises an error if not one can be read."""
        folder, readable = self.root or Path(), []
        failure: ExpError | None = None
        for prefix in prefixes(folder, self.prefix):
            try:
                record = reader.record(folder, prefix)
            except (LedgerError, UsageError) as error:
                failure = failure or error
                report(f"{prefix}: {error.message}")
                continue
            if record is not None:
                readable.append(record)
        if not readable:
            raise failure or _missing(self.prefix, self.root or Path())
        return readable

    def _under_prefix(self) -> list[TargetRecord]:
        matching = [under(record) for record in records(self.root or Path(), self.prefix)]
        if not matching:
            raise _missing(self.prefix, self.root or Path())
        return matching


def target(which: str | None, task: str | None, *, dash_root: str | None) -> Target:
    """The target of an argument: a prefix if a root is given or it contains a `/`, else an experiment.

    Raises:
        NotFoundError: there is no such experiment.
        UsageError: a task is given with a prefix.
    """
    if dash_root is None and (which is None or "/" not in which):
        home = trusted(None)
        try:
            files = find_files(which or LATEST, home)
        except NotFoundError as error:
            if local := local_hint("*" if which in {None, LATEST} else which or "", None):
                raise NotFoundError(error.message, hint=f"{error.hint}; {local}") from error
            raise
        return Target(files=files, home=home, task=task)
    prefix = (which or "*").strip("/")
    if task is not None:
        raise UsageError(
            f"{which or 'a glob'} is a prefix, which has no tasks", hint=f"write it as one: {prefix}/{task}"
        )
    return Target(root=root(dash_root), prefix=prefix)


def local_hint(prefix: str, dash_root: str | None) -> str | None:
    """How to read records in `.dash` of this folder; None if it has no such records, or a root is given."""
    folder = Path(LOCAL).absolute()
    try:
        is_local = (
            dash_root is None and folder != root(None) and any(prefixes(folder, prefix.strip("/") or "*"))
        )
    except UsageError:  # it cannot be read, or this is no prefix
        is_local = False
    return f"for the records in ./{LOCAL}: --dash-root {LOCAL}" if is_local else None


def have_measured(chosen: Iterable[Target]) -> bool:
    """Whether a record of these has a series of what supervisors measured; warns of nothing."""
    with warnings.catch_warnings(action="ignore", category=UnreadableWarning):
        return any(MEASURED in record.data.metrics.names() for target in chosen for record in target.choose())


def of_attempts(chosen: Sequence[TargetRecord], attempts: Attempts) -> list[TargetRecord]:
    """The records; if `attempts` is a number, the part of each that this attempt wrote."""
    if not isinstance(attempts, int):
        return list(chosen)
    return [part for record in chosen if (part := record.of_attempt(attempts)) is not None]


def is_prefix(which: str, dash_root: str | None) -> bool:
    """Whether an argument is the prefix of a record: a root is given, or it contains a `/`."""
    return dash_root is not None or "/" in which


def single(prefix: str, dash_root: str | None) -> Record:
    """The record with exactly this prefix.

    Raises:
        NotFoundError: none exists.
        UsageError: it is a glob that is no prefix of a record, or no prefix.
        LedgerDamagedError: it cannot be read.
    """
    folder = root(dash_root)
    wanted = prefix.strip("/")
    if is_glob(wanted, folder) and trash.trace(trusted(None), wanted) is None:
        raise UsageError(
            f"{prefix!r} is a glob, and one record is needed", hint=f"list them with: exp records '{prefix}'"
        )
    if (existing := reader.record(folder, wanted)) is not None:
        return existing
    raise _missing(wanted, folder)


def _missing(prefix: str, folder: Path) -> NotFoundError:
    """The error about a prefix without a record: it may be in the trash, or above other records."""
    if (remedy := trash.trace(trusted(None), prefix)) is not None:
        return NotFoundError(f"the record {prefix!r} is in the trash", hint=f"restore it: {remedy}")
    below = not is_glob(prefix, folder) and any(True for _ in reader.prefixes(folder / prefix))
    pattern = f"{prefix}/{'*' if GLOB.isdisjoint(prefix) else ''}" if below else "*"
    note = "there are records below it" if below else "list them with"
    if not below and folder == root(None) and (local := local_hint(prefix, None)):
        return NotFoundError(f"there is no record {prefix!r} in {folder}", hint=local)
    return NotFoundError(
        f"there is no record {prefix!r} in {folder}",
        hint=f"{note}: exp records '{pattern}' --dash-root {folder}",
    )


def is_glob(prefix: str, folder: Path) -> bool:
    """Whether a prefix has glob characters, and no record is at or below exactly this prefix."""
    if GLOB.isdisjoint(prefix):
        return False
    try:
        place = record_paths.Place(str(folder), record_paths.check_prefix(prefix))
        return not opened.ids(place) and not any(True for _ in reader.prefixes(folder / prefix))
    except (UsageError, OSError):  # such as a part that is longer than names of files may be
        return True


def is_several(prefix: str, dash_root: str | None) -> bool:
    """Whether a prefix can stand for several records: it is a glob, or ends with a slash."""
    return prefix.endswith("/") or is_glob(prefix.strip("/"), root(dash_root))


def several(prefix: str, dash_root: str | None) -> Iterator[Record]:
    """The records that match a glob, or that have a prefix or are below it."""
    return records(root(dash_root), prefix.strip("/"))


def root(given: str | None, *, home: Home | None = None) -> Path:
    """The folder of records: the given one, that of the enclosing experiment, or that of the home.

    Without a `home`, that of the environment is used, which is checked.
    """
    folder = given or os.environ.get("EXP_DASH_ROOT")
    return expanded(folder).absolute() if folder else (home or Home.from_environment()).dash


def prefixes(folder: Path, pattern: str) -> Iterator[str]:
    """The prefixes of records that match a glob, or that equal a prefix or are below it."""
    if is_glob(pattern, folder):
        yield from reader.prefixes(folder, pattern)
        return
    if opened.ids(record_paths.Place(str(folder), record_paths.check_prefix(pattern))):
        yield pattern
    for inner in reader.prefixes(folder / pattern):
        yield f"{pattern}/{inner}"


def records(folder: Path, pattern: str) -> Iterator[Record]:
    """The records under these prefixes; warns of those that cannot be read.

    Raises:
        LedgerError: none can be read.
    """
    unreadable: list[LedgerError] = []
    has_read = False
    for prefix in prefixes(folder, pattern):
        if (existing := _record(folder, prefix, unreadable)) is not None:
            has_read = True
            yield existing
    warn_or_raise(unreadable, has_others=has_read)


def _record(folder: str | Path, prefix: str, unreadable: list[LedgerError]) -> Record | None:
    """The record at a prefix, if any; warns of its damaged lines, and adds an error if it cannot be read."""
    try:
        record = reader.record(folder, prefix)
    except LedgerError as error:
        unreadable.append(error)
        return None
    if record is not None:
        row_files.warn_of(record.damaged)
    return record


def warn_or_raise(unreadable: Sequence[LedgerError], *, has_others: bool) -> None:
    """Warn of what cannot be read and was skipped; if there is nothing else, raise its error."""
    if unreadable and not has_others:
        raise unreadable[0]
    for error in unreadable:
        warnings.warn(error.message, UnreadableWarning, stacklevel=3)


def under(record: Record) -> TargetRecord:
    """The whole of a record."""
    return TargetRecord(record=record, openings=record.openings)


def runs_of(folder: Path, readable: Sequence[Record]) -> Iterator[list[TargetRecord]]:
    """The parts of records by the run that wrote them, in the order of the prefixes."""
    runs: dict[tuple[str | None, str], list[TargetRecord]] = {}
    for record in readable:
        for part in _parts(record):
            key = (None, record.prefix) if part.experiment is None else (part.experiment, "")
            runs.setdefault(key, []).append(part)
    for (exp_id, _), parts in runs.items():
        own = [part for part in parts if part.is_of_experiment]
        if exp_id is not None and not own:
            own = _own_above(folder, exp_id, parts)
        of_tasks = [part for part in parts if not part.is_of_experiment]
        if own:
            place = own[0].record.prefix
            of_tasks = [
                replace(part, is_own=part.record.prefix == f"{place}/{part.task}") for part in of_tasks
            ]
        yield [*own, *of_tasks]


def _parts(record: Record) -> Iterator[TargetRecord]:
    """A record, divided by the experiments that wrote it, with one part for all other programs."""
    writers: dict[tuple[str | None, bool], list[Session]] = {}
    for opening in record.openings:
        exp_id = opening.facts.get("exp_id")
        is_of_task = exp_id is not None and opening.facts.get("task") is not None
        writers.setdefault((exp_id, is_of_task), []).append(opening)
    for (exp_id, is_of_task), openings in writers.items():
        tasks = {opening.facts.get("task") for opening in openings} if is_of_task else set()
        owner = next((task for task in tasks if record.prefix.endswith(f"/{task}")), None)
        yield TargetRecord(
            record=record,
            experiment=exp_id,
            task=owner or (next(iter(tasks)) if len(tasks) == 1 else None),
            openings=tuple(openings),
            is_own=not is_of_task or owner is not None,
        )


def _own_above(folder: Path, exp_id: str, parts: Sequence[TargetRecord]) -> list[TargetRecord]:
    """The own record of an experiment of which only tasks were selected, if it is where theirs are."""
    for part in parts:
        if not part.is_own or part.task is None:
            continue
        try:
            record = reader.record(folder, part.record.prefix.removesuffix(f"/{part.task}"))
        except (LedgerError, UsageError):
            return []
        if record is not None:
            return [
                above for above in _parts(record) if above.experiment == exp_id and above.is_of_experiment
            ]
    return []


def of_experiment(snapshot: Snapshot, *, home: Path, task: str | None = None) -> Iterator[TargetRecord]:
    """What an experiment wrote: its own record, the record of each task, and additional records.

    Args:
        snapshot: the state of the experiment.
        home: `$NEMORUN_HOME`.
        task: only this task, group or glob.

    Raises:
        LedgerError: a record cannot be read, and no other record of a task exists; otherwise a warning.
    """
    exp_id = snapshot.files.id
    prefix = planning.prefix(snapshot.spec, exp_id)
    folder = os.path.abspath(planning.dash_root(snapshot.spec, home))  # noqa: PTH100 - as tracking does it
    unreadable: list[LedgerError] = []
    if task is None:
        own = _record(folder, prefix, unreadable)
        yield from _part(own, exp_id=exp_id, tasks=[None], is_own=True)
    names = [each.id for each in snapshot.spec.tasks] if task is None else snapshot.match_tasks([task])
    owners = {(folder, f"{prefix}/{name}"): name for name in names}
    writers: dict[tuple[str, str], list[str | None]] = {}
    has_read = False
    for name in names:
        for place in dict.fromkeys([(folder, f"{prefix}/{name}"), *_registered(snapshot, name, home=home)]):
            writers.setdefault(place, []).append(name)
    for place, tasks in writers.items():
        owner = owners.get(place)
        for part in _part(
            _record(*place, unreadable),
            exp_id=exp_id,
            tasks=[owner, *tasks] if owner else tasks,
            is_own=owner is not None,
        ):
            has_read = True
            yield part
    warn_or_raise(unreadable, has_others=has_read)


def _registered(snapshot: Snapshot, task: str, *, home: Path) -> Iterable[tuple[str, str]]:
    """The records that the attempts at a task registered, relocated if the home was moved."""
    before = str(snapshot.history.created.get("home", home))
    for number in range(1, snapshot.history.tasks[task].attempt + 1):
        for root, prefix in supervisor_api.registered(
            snapshot.files.attempt(task, number).records, inside=snapshot.files.directory
        ):
            if snapshot.is_replica:  # a server has all records below one root
                yield str(Home(home).root_of_replicas), prefix
                continue
            is_moved = root.startswith(f"{before}/") and not os.path.isdir(root)  # noqa: PTH112 - text
            yield (f"{home}{root[len(before) :]}" if is_moved else root), prefix


def _part(
    record: Record | None, *, exp_id: str, tasks: Sequence[str | None], is_own: bool
) -> Iterator[TargetRecord]:
    """The part of a record that an experiment (None) or tasks wrote, if any; the own task comes first."""
    if record is None:
        return
    written = tuple(
        opening
        for opening in record.openings
        if opening.facts.get("exp_id") == exp_id and opening.facts.get("task") in tasks
    )
    writers = {opening.facts.get("task") for opening in written}
    if written:
        candidates = {tasks[0]} if is_own else writers
        task = candidates.pop() if len(candidates) == 1 else None
        yield TargetRecord(record=record, experiment=exp_id, task=task, openings=written, is_own=is_own)
