"""Compares records: a table of their params and metric statistics, filtered, sorted, or only the best row."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records.series import read
from nemorun_cli.model.problems import choices
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.spec.yaml.scalars import scalar
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.experiment.records.targets import Target, TargetRecord
    from nemorun_cli.tracking.store.row_selection import Statistics

AGGREGATES: Final = ("last", "min", "max", "mean", "count")
DIRECTIONS: Final = ("min", "max")
_CONDITION: Final = re.compile(r"(?P<key>.+?)\s*(?P<operator><=|>=|!=|==|=|<|>)\s*(?P<value>.*)", re.DOTALL)
_OPERATOR_CHARACTERS: Final = ("<", ">", "=", "!")  # a value starts with one after a mistyped operator: `=<`


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One record; `statistics` has keys such as `train/loss`."""

    of: TargetRecord
    params: dict[str, Any]
    statistics: dict[str, Statistics]

    def value(self, key: str) -> Any:
        """The value in the column of a metric: `train/loss` (its last value) or `train/loss:min`."""
        name, _, aggregate = _split(key)
        statistics = self.statistics.get(name)
        return None if statistics is None else statistics[aggregate]  # type: ignore[literal-required] # one of AGGREGATES

    def to_json(self) -> dict[str, Any]:
        """An entry of `rows` in `exp.compare/1`."""
        return {**self.of.to_json(), "params": self.params, "metrics": self.statistics}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The filtered and sorted rows, and the names of their columns.

    Attributes:
        params: all params that any of the rows has.
        differing: the params that are not the same in all rows.
        metrics: the requested metrics, or all.
    """

    rows: list[ComparedRow]
    params: list[str]
    differing: list[str]
    metrics: list[str]


def rows(target: Target) -> Iterator[ComparedRow]:
    """A row for each record of a target.

    An experiment has a row for each task, with its own params as defaults; if no task recorded anything, the
    experiment itself is the row.
    """
    chosen = target.choose()
    shared: dict[str, Any] = {}
    for record in chosen:
        if record.is_of_experiment:
            shared = record.params()
    of_tasks = [record for record in chosen if not record.is_of_experiment]
    for record in of_tasks or chosen:
        fields = [
            (series.key(field), values)
            for series in read(record)
            for field, values in series.statistics().items()
        ]
        if fields or record.params() or not of_tasks:
            yield ComparedRow(of=record, params={**shared, **record.params()}, statistics=dict(fields))


def compare(
    all_rows: Sequence[ComparedRow],
    *,
    where: Sequence[str] = (),
    sort: str | None = None,
    descending: bool = False,
    best: str | None = None,
    keys: Sequence[str] = (),
    limit: int | None = None,
) -> Comparison:
    """Filter and sort rows, and choose their columns.

    Args:
        all_rows: the rows.
        where: conditions such as `lr<=0.1`; a row must meet all of them.
        sort: a metric or param; rows without it come last.
        descending: whether the largest value comes first.
        best: a metric with the better direction, such as `loss:min`; only the best row is kept.
        keys: the metrics to show; default all.
        limit: the maximum number of rows.

    Raises:
        UsageError: a key is unknown or ambiguous, or a condition is malformed.
    """
    names = _Names(all_rows)
    conditions = [_parts(text) for text in where]
    tests = [_condition(*parts, names=names) for parts in conditions] if all_rows else []
    kept = [row for row in all_rows if all(test(row) for test in tests)]
    metrics = [names.metric(key) for key in keys] if keys else list(names.metrics)
    params = [name for name in names.params if any(name in row.params for row in kept)]
    differing = [name for name in params if len(kept) == 1 or _differs(name, kept)]
    for key in (sort, best):
        if key is not None and all_rows and (name := names.resolve(key)) not in {*metrics, *names.params}:
            metrics.insert(0, name)
    if sort is not None and all_rows:
        kept = _sorted(kept, names.getter(sort), descending=descending)
    if best is not None and all_rows:
        kept = [_best(kept, best, names)] if kept else []
    return Comparison(rows=kept[:limit], params=params, differing=differing, metrics=metrics)


class _Names:
    """The metrics and params of rows, found by full or short name."""

    def __init__(self, all_rows: Sequence[ComparedRow]) -> None:
        self.metrics = list(dict.fromkeys(key for row in all_rows for key in row.statistics))
        self.params = list(dict.fromkeys(name for row in all_rows for name in row.params))

    def resolve(self, key: str) -> str:
        """The full name of a param, or of a metric with its aggregate.

        Raises:
            UsageError: none matches, or several.
        """
        name, suffix, _ = _split(key)
        if name not in self.metrics and key in self.params:
            return key
        ending = f"/{name}"
        matching = [name] if name in self.metrics else [key for key in self.metrics if key.endswith(ending)]
        if len(matching) == 1:
            return matching[0] + suffix
        if matching:
            raise UsageError(
                f"{key!r} matches several metrics: {', '.join(matching)}", hint="name one of them"
            )
        known = ", ".join([*self.metrics, *self.params][:20]) or "none"
        raise UsageError(f"there is no metric or param {key!r}", hint=f"there are: {known}")

    def metric(self, key: str) -> str:
        """The full name of a metric, with its aggregate.

        Raises:
            UsageError: none matches, several do, or it is a param.
        """
        resolved = self.resolve(key)
        if _split(resolved)[0] not in self.metrics:
            raise UsageError(f"{key!r} is a param, not a metric", hint="params are shown where they differ")
        return resolved

    def getter(self, key: str) -> Callable[[ComparedRow], Any]:
        """A function that returns the value of a key in a row, or None."""
        resolved = self.resolve(key)
        if resolved in self.params and _split(resolved)[0] not in self.metrics:
            return lambda row: row.params.get(resolved)
        return lambda row: row.value(resolved)


def _split(key: str) -> tuple[str, str, str]:
    """Split `loss:min` into `loss`, `:min` and `min`; without an aggregate, the last value is meant."""
    name, _, aggregate = key.rpartition(":")
    return (name, f":{aggregate}", aggregate) if name and aggregate in AGGREGATES else (key, "", "last")


def _differs(name: str, all_rows: Sequence[ComparedRow]) -> bool:
    return len({dump(row.params[name]) if name in row.params else None for row in all_rows}) > 1


def _order(value: Any) -> tuple[int, Any] | None:
    """The sort key of a value: numbers, then texts; None for values that are not sorted."""
    if isinstance(value, (int, float)):
        return None if isinstance(value, float) and math.isnan(value) else (0, value)
    return None if value is None else (1, value if isinstance(value, str) else dump(value))


def _sorted(
    all_rows: Sequence[ComparedRow], get: Callable[[ComparedRow], Any], *, descending: bool
) -> list[ComparedRow]:
    placed = [(order, index) for index, row in enumerate(all_rows) if (order := _order(get(row))) is not None]
    placed.sort(key=operator.itemgetter(0), reverse=descending)
    sortable = {index for _, index in placed}
    unsortable = [row for index, row in enumerate(all_rows) if index not in sortable]
    return [all_rows[index] for _, index in placed] + unsortable


def _best(all_rows: Sequence[ComparedRow], key: str, names: _Names) -> ComparedRow:
    direction = _split(key)[2]
    if not key.endswith(DIRECTIONS) or direction not in DIRECTIONS:
        raise UsageError(f"--best {key}: the direction is missing", hint=f"{key}:min or {key}:max")
    return _sorted(all_rows, names.getter(key), descending=direction == "max")[0]


def _parts(text: str) -> tuple[str, str, str]:
    """The key, operator and value of a condition.

    Raises:
        UsageError: the text is not a condition.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or match["value"].startswith(_OPERATOR_CHARACTERS):
        raise UsageError(
            f"--where {text}: not a condition",
            hint="write it as loss<0.5 or optimizer=adam; the operators are =, ==, !=, <, <=, > and >=",
        )
    return match["key"].strip(), match["operator"], match["value"].strip()


def _condition(key: str, symbol: str, written: str, *, names: _Names) -> Callable[[ComparedRow], bool]:
    """The test of a row that a condition expresses.

    Raises:
        UsageError: its key is unknown, or it compares the order of a value that is not a number.
    """
    get: Callable[[ComparedRow], Any] = _FIELDS[key] if key in _FIELDS else names.getter(key)
    expected = scalar(written)
    compares = _OPERATORS.get(symbol)
    if key == "status" and written not in list(ExperimentStatus):
        raise UsageError(
            f"--where status{symbol}{written}: records have no such status",
            hint=choices(written, ExperimentStatus),
        )
    if compares is None:
        is_same = symbol != "!="
        return lambda row: _equals(get(row), expected, written) is is_same
    if not isinstance(expected, (int, float)):
        raise UsageError(f"--where {key}{symbol}{written}: {written!r} is not a number")
    return lambda row: isinstance(value := get(row), (int, float)) and compares(value, expected)


_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FIELDS: Final[dict[str, Callable[[ComparedRow], Any]]] = {
    "status": lambda row: str(row.of.status),
    "task": lambda row: row.of.task,
    "prefix": lambda row: row.of.record.prefix,
}


def _equals(value: Any, expected: Any, written: str) -> bool:
    if isinstance(value, str):
        return fnmatch.fnmatchcase(value, written)
    return bool(value == expected) and isinstance(value, bool) == isinstance(expected, bool)
