"""Finds the experiments that a request is about, among those that its caller may read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import ExpError, NotFoundError
from nemorun_cli.experiment.records import targets
from nemorun_cli.serve import forged_content
from nemorun_cli.serve.index.experiment_index import ExperimentPlace
from nemorun_cli.serve.raw_path import parts
from nemorun_cli.serve.record_access import may_read, runs_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.requests import Request

    from nemorun_cli.experiment.records.compare import RunSource
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.storage.paths import ExperimentFiles, Home

VIEWS: Final = "/v1/views/experiments/"


class Found(NamedTuple):
    """An experiment: where it is, its home, and its files."""

    place: ExperimentPlace
    home: Home
    files: ExperimentFiles


def place_of(request: Request, *, after: str = VIEWS) -> ExperimentPlace:
    """The experiment in the path of a request.

    Args:
        request: of which the path is.
        after: the beginning of the path.

    Raises:
        NotFoundError: the path names no experiment.
    """
    found = parts(request.scope, after=after)
    if found is None or len(found) < 3:  # noqa: PLR2004 - owner, home, id
        raise NotFoundError("there is no experiment at this path")
    return ExperimentPlace(*found[:3])


def no_experiment(place: ExperimentPlace) -> NotFoundError:
    """The error about an experiment that does not exist, or that the caller may not read."""
    return NotFoundError(
        f"there is no experiment {'/'.join(place)!r}", hint="list them with: GET /v1/views/experiments"
    )


def experiment_at(request: Request, index: Index, place: ExperimentPlace) -> Found:
    """An experiment.

    Raises:
        NotFoundError: it does not exist, or the caller may not read it.
        LedgerError: its folder cannot be read.
    """
    if not may_read(request, "/".join(place)):
        raise no_experiment(place)
    found = index.experiments.files(place)
    if found is None:
        raise no_experiment(place)
    return Found(place, *found)


@contextlib.contextmanager
def reading(found: Found) -> Iterator[None]:
    """Read an experiment, which may be removed meanwhile.

    Raises:
        NotFoundError: it was removed.
        LedgerError: its files are damaged.
    """
    try:
        with forged_content.reading(found.files.id):
            yield
    except ExpError:
        if not found.files.directory.is_dir():
            raise no_experiment(found.place) from None
        raise


def experiments_to_compare(
    request: Request, index: Index, texts: Sequence[str], *, task: str | None
) -> list[RunSource]:
    """The records of experiments, for a comparison.

    Args:
        request: whose caller may read them.
        index: the index.
        texts: `OWNER/HOME/ID` of each.
        task: only this task, group or glob.

    Raises:
        NotFoundError: one does not exist, or the caller may not read it.
    """
    found: list[RunSource] = []
    for text in texts:
        named = text.split("/")
        place = ExperimentPlace(*named) if len(named) == 3 else ExperimentPlace(text, "", "")  # noqa: PLR2004 - owner, home, id
        experiment = experiment_at(request, index, place)
        source: Any = _Collected if index.site.root is not None else _Local
        found.append(source(index, experiment, task))
    return found


class _Local:
    """The records of an experiment of this machine, as the commands find them; nothing is asked or run."""

    def __init__(self, index: Index, found: Found, task: str | None) -> None:
        self._index, self._found, self._task = index, found, task

    @property
    def files(self) -> ExperimentFiles:
        return self._found.files

    def runs(self, *, report: Callable[[str], None]) -> Iterator[list[TargetRecord]]:
        del report
        snapshot = self._index.experiments.look(self._found.home, self._found.files)
        home = self._found.home.directory
        yield list(targets.of_experiment(snapshot, home=home, task=self._task))


class _Collected:
    """The records of an experiment of another machine that have arrived."""

    files: None = None

    def __init__(self, index: Index, found: Found, task: str | None) -> None:
        self._index, self._found, self._task = index, found, task

    def runs(self, *, report: Callable[[str], None]) -> Iterator[list[TargetRecord]]:
        experiment_id = self._found.files.id
        tasks = None
        if self._task is not None:
            snapshot = self._index.experiments.look(self._found.home, self._found.files)
            tasks = snapshot.match_tasks([self._task])
        owner = self._found.place.owner
        places = [
            (root, prefix)
            for root, prefix in self._index.records.of_experiment(experiment_id)
            if prefix.partition("/")[0] == owner
        ]
        for run in runs_at(places, report):
            own = [part for part in run if part.experiment == experiment_id]
            yield [part for part in own if tasks is None or part.task in tasks]
