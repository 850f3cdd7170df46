"""The records that a command is about: those of an experiment and its tasks, or those under a prefix."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.executors import planning
from nemorun_cli.experiment.run import LATEST, find
from nemorun_cli.storage.paths import Home
from nemorun_cli.tracking.access import reader, supervisor_api
from nemorun_cli.tracking.store import record_paths
from nemorun_cli.tracking.store import sessions as opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.model.status import ExperimentStatus
    from nemorun_cli.tracking import Experiment, Record
    from nemorun_cli.tracking.store.sessions import Session
    from nemorun_cli.views.snapshot import Snapshot

GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord:
    """A record, or what one experiment wrote to it.

    Attributes:
        experiment: the experiment whose part it is; None for all of the record.
        task: the task whose part it is; None for that of the experiment itself, or where tasks share it.
        openings: what belongs to it.
        is_own: whether it is the record that the experiment or the task has anyway, not one opened besides.
    """

    record: Record
    experiment: str | None = None
    task: str | None = None
    openings: tuple[Session, ...]
    is_own: bool = True

    @property
    def label(self) -> str:
        """What it is called in a list of several: by task or experiment, or by prefix if it is another."""
        return ((self.task or self.experiment) if self.is_own else None) or self.record.prefix

    @property
    def is_of_experiment(self) -> bool:
        """Whether it is the experiment's own, besides those of its tasks."""
        return self.experiment is not None and self.task is None and self.is_own

    @property
    def ids(self) -> list[str] | None:
        """What readers take as `openings`: None for all of them."""
        return None if self.experiment is None else [opening.id for opening in self.openings]

    @property
    def data(self) -> Experiment:
        """Its params, metrics and files, for reading."""
        return self.record.data()

    @property
    def decisive(self) -> Session:
        """The opening that says how it stands."""
        found = opened.status_of(list(self.openings))
        assert found is not None  # noqa: S101 - nothing is chosen without openings
        return found

    @property
    def status(self) -> ExperimentStatus:
        """How it stands."""
        return self.decisive.status

    def params(self) -> dict[str, Any]:
        """The params by dotted name."""
        return self.data.params.get(openings=self.ids)

    def to_json(self) -> dict[str, Any]:
        """Which one it is: the fields that its entries in all documents have."""
        return {
            "prefix": self.record.prefix,
            "dash_root": self.record.root,
            "experiment": self.experiment,
            "task": self.task,
            "status": str(self.status),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a command was asked about: `run` is the experiment, or `root` and `prefix` where records lie."""

    run: Run | None = None
    task: str | None = None
    root: Path | None = None
    prefix: str = "*"

    def choose(self) -> list[TargetRecord]:
        """The records as they are now.

        Raises:
            NotFoundError: there is no record under the prefix, or no such task.
            LedgerDamagedError: one cannot be read.
        """
        return self.choose_of(self.run.status()) if self.run is not None else self._under_prefix()

    def choose_of(self, snapshot: Snapshot) -> list[TargetRecord]:
        """The same where it is known how the experiment stands."""
        assert self.run is not None  # noqa: S101 - a snapshot is of an experiment
        return list(of_experiment(snapshot, home=self.run.home.directory, task=self.task))

    def _under_prefix(self) -> list[TargetRecord]:
        found = [under(record) for record in records(self.root or Path(), self.prefix)]
        if not found:
            raise NotFoundError(
                f"there is no record {self.prefix!r} in {self.root}",
                hint=f"see what there is: exp records '*' --dash-root {self.root}",
            )
        return found


def target(which: str | None, task: str | None, *, dash_root: str | None) -> Target:
    """What is meant: a prefix if a root is given or it holds a `/`, else an experiment.

    Raises:
        NotFoundError: there is no such experiment.
        UsageError: a task of a prefix is asked for.
    """
    if dash_root is None and (which is None or "/" not in which):
        return Target(run=find(which or LATEST), task=task)
    if task is not None:
        raise UsageError(f"{which} is a prefix, which has no tasks", hint=f"write it as one: {which}/{task}")
    return Target(root=root(dash_root), prefix=(which or "*").strip("/"))


def root(given: str | None) -> Path:
    """The folder of records: as given, or of the experiment that this runs in, or the home's."""
    found = given or os.environ.get("EXP_DASH_ROOT")
    return Path(found).absolute() if found else Home.from_environment().dash


def prefixes(folder: Path, pattern: str) -> Iterator[str]:
    """The prefixes of records that fit a glob, or that are or lie below a prefix."""
    if GLOB & set(pattern):
        yield from reader.prefixes(folder, pattern)
        return
    if opened.ids(record_paths.Place(str(folder), record_paths.check_prefix(pattern))):
        yield pattern
    for below in reader.prefixes(folder / pattern):
        yield f"{pattern}/{below}"


def records(folder: Path, pattern: str) -> Iterator[Record]:
    """The records under these prefixes."""
    for prefix in prefixes(folder, pattern):
        if (found := reader.record(folder, prefix)) is not None:
            yield found


def under(record: Record) -> TargetRecord:
    """All of a record."""
    return TargetRecord(record=record, openings=record.openings)


def of_experiment(snapshot: Snapshot, *, home: Path, task: str | None = None) -> Iterator[TargetRecord]:
    """What an experiment wrote: to its own record, and each task to its own and wherever it said to.

    Args:
        snapshot: how the experiment stands.
        home: `$NEMORUN_HOME`.
        task: only this task, group or glob.
    """
    exp_id = snapshot.files.id
    prefix = planning.prefix(snapshot.spec, exp_id)
    folder = os.path.abspath(planning.dash_root(snapshot.spec, home))  # noqa: PTH100 - as tracking does it
    if task is None:
        yield from _part(folder, prefix, exp_id=exp_id, tasks=[None], is_own=True)
    names = [one.id for one in snapshot.spec.tasks] if task is None else snapshot.match_tasks([task])
    owners = {(folder, f"{prefix}/{name}"): name for name in names}
    writers: dict[tuple[str, str], list[str | None]] = {}
    for name in names:
        for place in dict.fromkeys([(folder, f"{prefix}/{name}"), *_registered(snapshot, name)]):
            writers.setdefault(place, []).append(name)
    for place, tasks in writers.items():
        owner = owners.get(place)
        yield from _part(
            *place, exp_id=exp_id, tasks=[owner, *tasks] if owner else tasks, is_own=owner is not None
        )


def _registered(snapshot: Snapshot, task: str) -> Iterable[tuple[str, str]]:
    """The records that the attempts at a task noted to have opened."""
    for number in range(1, snapshot.history.tasks[task].attempt + 1):
        yield from supervisor_api.registered(snapshot.files.attempt(task, number).records)


def _part(
    folder: str, prefix: str, *, exp_id: str, tasks: Sequence[str | None], is_own: bool
) -> Iterator[TargetRecord]:
    """What an experiment (None) or tasks wrote to a record, if they did; its own task stands first."""
    record = reader.record(folder, prefix)
    if record is None:
        return
    own = tuple(
        opening
        for opening in record.openings
        if opening.facts.get("exp_id") == exp_id and opening.facts.get("task") in tasks
    )
    wrote = {opening.facts.get("task") for opening in own}
    if own:
        whose = {tasks[0]} if is_own else wrote
        task = whose.pop() if len(whose) == 1 else None
        yield TargetRecord(record=record, experiment=exp_id, task=task, openings=own, is_own=is_own)
