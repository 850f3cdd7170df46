"""Compares records: a table of their params and metric statistics, filtered, sorted, or only the best row."""

from __future__ import annotations

import contextlib
import operator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.experiment.records import conditions, documents, targets
from nemorun_cli.experiment.records.compared_row import ComparedRow
from nemorun_cli.experiment.records.row_keys import Key, RowKeys, by_title
from nemorun_cli.experiment.records.series import read
from nemorun_cli.model import best as choosing
from nemorun_cli.model.best import Candidate, Goal, split_key
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.model.best import Excluded
    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.tracking.store.row_selection import Statistics
    from nemorun_cli.tracking.store.row_series import Attempts

    Measure = Callable[[TargetRecord, Sequence[str], Attempts], "Measured"]

GOALS: Final = tuple(Goal)
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The metric by which the best row was chosen, and the rows that could not win.

    Attributes:
        ranked: the rows that can be the best, the best first.
        ties: the other rows that are as good; the first in order is the best.
        excluded: each with the reason.
    """

    key: Key
    goal: Goal
    ranked: list[ComparedRow]
    ties: list[ComparedRow]
    excluded: list[tuple[ComparedRow, Excluded]]

    @property
    def winner(self) -> ComparedRow | None:
        """The best row; None if no row qualifies."""
        return self.ranked[0] if self.ranked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The filtered and sorted rows, and the names of their columns.

    Attributes:
        params: all params that any of the rows has.
        differing: the params that are not the same in all rows.
        columns: the requested metrics, or all.
        known: the keys of all metrics, also of those that were not requested.
        matching: the rows that meet the conditions, in order, before the best and the limit.
        unmet: why no row meets the conditions; empty if one does.
        notes: what the conditions could also have meant.
        best: how the best row was chosen, if it was.
    """

    rows: list[ComparedRow]
    params: list[str]
    differing: list[str]
    columns: list[Key] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    matching: list[ComparedRow] = field(default_factory=list)
    unmet: str = ""
    notes: list[str] = field(default_factory=list)
    best: Best | None = None


class RunSource(Protocol):
    """What is compared, such as a `Target`; the errors of one without `files` can be reported."""

    @property
    def files(self) -> ExperimentFiles | None:
        """The files of the experiment, if it is one."""

    def runs(self, *, report: Callable[[str], None]) -> Iterator[list[TargetRecord]]:
        """The records of each run; see `Target.runs`."""


class Measured(NamedTuple):
    """The statistics of the metrics of a record, and the last values that are no numbers."""

    statistics: dict[Field, Statistics]
    no_number: dict[Field, Any]


def measured(record: TargetRecord, also: Sequence[str], attempts: Attempts) -> Measured:
    """What is compared of the metrics of a record; for the arguments see `series.read`.

    Raises:
        LedgerError: no series can be read.
    """
    statistics: dict[Field, Statistics] = {}
    no_number: dict[Field, Any] = {}
    for series in read(record, also=also, attempts=attempts):
        of_series = series.statistics()
        statistics |= {(series.name, name): values for name, values in of_series.items()}
        ends = series.ending_without_number(of_series)
        no_number |= {(series.name, name): value for name, value in ends.items()}
    return Measured(statistics, no_number)


def rows(
    *chosen: RunSource,
    keys: Sequence[str] = (),
    attempts: Attempts = None,
    report: Callable[[str], None] | None = None,
    measure: Measure | None = None,
) -> list[ComparedRow]:
    """The rows of targets: one for each record of a task of an experiment, with its params as defaults.

    If no task has one, the experiment itself is the row. A record that no experiment wrote is a row, too. So
    is an empty record, such as that of a run that failed before its first metric. A record that several
    targets select is one row.

    Args:
        chosen: experiments, and the records under prefixes.
        keys: the metrics that are compared; of what supervisors measured, only these are read.
        attempts: `all` for superseded rows too, or the number of an attempt, whose status and params the
            rows have then; default the rows that count.
        report: called with a message for each record under a prefix that cannot be read, which is left
            out; without it, the error is raised.
        measure: returns what is compared of the metrics of a record; by default from all their rows.

    Raises:
        LedgerDamagedError: nothing can be read.
        NotFoundError: no record has an attempt of this number.
    """
    also = [split_key(key)[0] for key in keys]
    rows_by_identity: dict[object, ComparedRow] = {}
    records: list[TargetRecord] = []
    for target in chosen:
        tolerated = report if report is not None and target.files is None else _refuse
        for run in target.runs(report=tolerated):
            records += run
            for row in _of_run(run, also, attempts, tolerated, measure or measured):
                rows_by_identity[row.of.identity] = row
    documents.require_attempt(records, attempts)
    return list(rows_by_identity.values())


def _of_run(
    run: Sequence[TargetRecord],
    also: Sequence[str],
    attempts: Attempts,
    report: Callable[[str], None],
    measure: Measure,
) -> Iterator[ComparedRow]:
    """The rows of an experiment, or of a program that no experiment started."""
    shared: dict[str, Any] = {}
    for record in run:
        if record.is_of_experiment:
            with _reporting(record, report):
                shared = record.params()
    has_rows = isinstance(attempts, int) and not all(record.is_of_experiment for record in run)
    for is_of_experiment in (False, True):
        parts = [record for record in run if record.is_of_experiment is is_of_experiment]
        for record in () if is_of_experiment and has_rows else targets.of_attempts(parts, attempts):
            row = None
            with _reporting(record, report):
                row = _row(
                    measure(record, also, attempts),
                    record,
                    record.params(),
                    shared,
                    is_kept=is_of_experiment or record.is_run,
                )
            if row is not None:
                has_rows = True
                yield row


def _refuse(message: str) -> None:
    raise LedgerError(message)


@contextlib.contextmanager
def _reporting(record: TargetRecord, report: Callable[[str], None]) -> Iterator[None]:
    """Report that a record cannot be read, or raise the error if nothing is tolerated."""
    try:
        yield
    except Exception as error:  # what one record contains must not hide all others
        if report is _refuse:
            raise
        problem = error.message if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
        report(f"{record.record.prefix}: {problem}")


def _row(
    metrics: Measured,
    record: TargetRecord,
    params: dict[str, Any],
    shared: dict[str, Any],
    *,
    is_kept: bool,
) -> ComparedRow | None:
    """The row of a record; None if nothing was recorded there, unless it is kept."""
    if not (metrics.statistics or params or is_kept):
        return None
    return ComparedRow(
        of=record,
        params={**shared, **params},
        statistics=metrics.statistics,
        no_number=metrics.no_number,
    )


def compare(
    all_rows: Sequence[ComparedRow],
    *,
    where: Sequence[str] = (),
    sort: str | None = None,
    descending: bool = False,
    best: str | None = None,
    goal: str | None = None,
    keys: Sequence[str] = (),
    limit: int | None = None,
) -> Comparison:
    """Filter and sort rows, and choose their columns.

    Args:
        all_rows: the rows.
        where: conditions such as `lr<=0.1`; a row must meet all of them.
        sort: a metric or param; rows without it come last.
        descending: whether the largest value comes first.
        best: a metric by which only the best row is kept: with the better extreme, such as `loss:min`, or
            with a goal.
        goal: `minimize` or `maximize` the value that `best` names, by default the last one.
        keys: the metrics to show; default all.
        limit: the maximum number of rows.

    Raises:
        UsageError: a key is unknown or ambiguous, or a condition is malformed.
    """
    conditions.require_form(where)
    if not all_rows:
        columns = by_title(Key(kind="metric", name=text, get=lambda _: None) for text in keys)
        return Comparison(rows=[], params=[], differing=[], columns=columns)
    known = RowKeys(all_rows)
    tests, notes = conditions.parse(where, known)
    titled = [replace(row, titles=known.titles) for row in all_rows]
    kept = [row for row in titled if all(test.is_met(row) for test in tests)]
    columns = by_title(map(known.metric, keys)) if keys else known.all_metrics
    params = [name for name in known.params if any(name in row.params for row in kept)]
    differing = [name for name in params if len(kept) == 1 or differs(name, kept)]
    by = None if sort is None else known.resolve(sort)
    judged = None if best is None else judged_by(best, goal, known)
    for key in (by, judged[0] if judged else None):
        if key is not None and key.kind == "metric" and key.title not in {each.title for each in columns}:
            columns.insert(0, key)
    if by is not None:
        kept = in_order(kept, by.get, descending=descending)
    chosen = None if judged is None else choose(kept, *judged)
    shown = kept if chosen is None else [chosen.winner] if chosen.winner else []
    return Comparison(
        rows=shown[:limit],
        params=params,
        differing=differing,
        columns=columns,
        known=known.metrics,
        matching=kept,
        unmet="" if kept else conditions.unmet(tests, titled),
        notes=notes,
        best=chosen,
    )


def judged_by(text: str, goal: str | None, known: RowKeys) -> tuple[Key, Goal]:
    """The metric of `--best` with the value of it that is compared, and which values are better.

    Raises:
        UsageError: it is no metric, the goal is missing or unknown, or the value is a count.
    """
    if goal is not None and goal not in set(GOALS):
        raise UsageError(f"--goal {goal}: must be one of {', '.join(GOALS)}")
    key = known.metric(text)
    if key.aggregate == "count":
        raise UsageError(
            f"--best {text}: a count is not compared", hint=f"one of {', '.join(choosing.AGGREGATES)}"
        )
    direction = Goal(goal) if goal is not None else choosing.IMPLIED_GOALS.get(key.aggregate or "")
    if direction is None:
        extremes = "" if key.aggregate else f"; extremes of the curve with {text}:min or {text}:max"
        raise UsageError(
            f"--best {text}: the direction is missing",
            hint=f"--best {text} --goal minimize (or maximize){extremes}",
        )
    return key, direction


def choose(candidates: Sequence[ComparedRow], key: Key, goal: Goal, *, running_counts: bool = False) -> Best:
    """The best of some rows; see `nemorun_cli.model.best`.

    Args:
        candidates: the rows, in order.
        key: the metric, and the value of it that is compared.
        goal: which values are better.
        running_counts: whether a row that is RUNNING can be the best.
    """
    assert key.field is not None  # noqa: S101 - of a metric
    choice = choosing.choose(
        [
            Candidate(
                status=_status(row, running_counts=running_counts),
                reason=row.of.decisive.reason,
                last=row.last(key.field),
                value=key.get(row),
                shown=dump(row.no_number[key.field]) if key.field in row.no_number else None,
            )
            for row in candidates
        ],
        goal,
        metric=key.name,
    )
    ranked = [candidates[index] for index in choice.ranked]
    return Best(
        key=key,
        goal=goal,
        ranked=ranked,
        ties=ranked[1 : choice.tied],
        excluded=[(candidates[each.index], each) for each in choice.excluded],
    )


def _status(row: ComparedRow, *, running_counts: bool) -> str:
    is_counted = running_counts and row.of.status is ExperimentStatus.RUNNING
    return str(ExperimentStatus.COMPLETED if is_counted else row.of.status)


def differs(name: str, all_rows: Sequence[ComparedRow]) -> bool:
    """Whether a param does not have the same value in all rows."""
    return len({dump(row.params[name]) if name in row.params else None for row in all_rows}) > 1


def _order(value: Any) -> tuple[int, Any] | None:
    """The sort key of a value: numbers, then texts; None for values that are not sorted."""
    if isinstance(value, (int, float)):
        return None if value != value else (0, value)  # noqa: PLR0124 - NaN; an integer may be beyond floats
    return None if value is None else (1, value if isinstance(value, str) else dump(value))


def in_order(all_rows: Sequence[_Row], get: Callable[[_Row], Any], *, descending: bool) -> list[_Row]:
    """Rows in the order of a value; those without one come last."""
    placed = [(order, index) for index, row in enumerate(all_rows) if (order := _order(get(row))) is not None]
    placed.sort(key=operator.itemgetter(0), reverse=descending)
    sortable = {index for _, index in placed}
    unsortable = [row for index, row in enumerate(all_rows) if index not in sortable]
    return [all_rows[index] for _, index in placed] + unsortable
