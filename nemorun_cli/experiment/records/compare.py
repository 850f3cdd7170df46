"""Records side by side: their params and what their metrics come to, sorted, filtered, and the best one."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records.series import read
from nemorun_cli.spec.yaml.scalars import scalar
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.experiment.records.targets import Target, TargetRecord
    from nemorun_cli.tracking.store.row_selection import Statistics

AGGREGATES: Final = ("last", "min", "max", "mean", "count")
DIRECTIONS: Final = ("min", "max")
_CONDITION: Final = re.compile(r"(?P<key>.+?)\s*(?P<operator><=|>=|!=|==|=|<|>)\s*(?P<value>.*)", re.DOTALL)
_OF_OPERATORS: Final = ("<", ">", "=", "!")  # what a value begins with after a mistyped operator: `=<`


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One record; `statistics` are by key, `train/loss`."""

    of: TargetRecord
    params: dict[str, Any]
    statistics: dict[str, Statistics]

    def value(self, key: str) -> Any:
        """What stands in the column of a metric: `train/loss` (its last value) or `train/loss:min`."""
        name, _, aggregate = _split(key)
        told = self.statistics.get(name)
        return None if told is None else told[aggregate]  # type: ignore[literal-required] # one of AGGREGATES

    def to_json(self) -> dict[str, Any]:
        """An entry of `rows` in `exp.compare/1`."""
        return {**self.of.to_json(), "params": self.params, "metrics": self.statistics}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is left of the rows, in order, and the names of its columns.

    Attributes:
        params: all params that any of the rows has.
        differing: those that are not the same in all rows.
        metrics: the metrics that were asked for, or all.
    """

    rows: list[ComparedRow]
    params: list[str]
    differing: list[str]
    metrics: list[str]


def rows(target: Target) -> Iterator[ComparedRow]:
    """A row for each record of a target; of an experiment, its tasks, with its params where they have none.

    An experiment none of whose tasks recorded anything is a row itself.
    """
    chosen = target.choose()
    shared: dict[str, Any] = {}
    for one in chosen:
        if one.is_of_experiment:
            shared = one.params()
    of_tasks = [one for one in chosen if not one.is_of_experiment]
    for one in of_tasks or chosen:
        found = [
            (series.key(field), told) for series in read(one) for field, told in series.statistics().items()
        ]
        if found or one.params() or not of_tasks:
            yield ComparedRow(of=one, params={**shared, **one.params()}, statistics=dict(found))


def compare(
    found: Sequence[ComparedRow],
    *,
    where: Sequence[str] = (),
    sort: str | None = None,
    descending: bool = False,
    best: str | None = None,
    keys: Sequence[str] = (),
    limit: int | None = None,
) -> Comparison:
    """What is left of the rows, and what is shown of them.

    Args:
        found: the rows.
        where: conditions such as `lr<=0.1` that all have to hold.
        sort: a metric or param; rows without it come last.
        descending: whether the largest comes first.
        best: a metric with the direction that is better, `loss:min`.
        keys: the metrics to show; default all.
        limit: at most so many rows.

    Raises:
        UsageError: a key is not known or means several, or a condition is none.
    """
    names = _Names(found)
    written = [_parts(text) for text in where]
    tests = [_condition(*parts, names=names) for parts in written] if found else []
    kept = [row for row in found if all(test(row) for test in tests)]
    metrics = [names.metric(key) for key in keys] if keys else list(names.metrics)
    params = [name for name in names.params if any(name in row.params for row in kept)]
    differing = [name for name in params if len(kept) == 1 or _differs(name, kept)]
    for key in (sort, best):
        if key is not None and found and (name := names.resolve(key)) not in {*metrics, *names.params}:
            metrics.insert(0, name)
    if sort is not None and found:
        kept = _sorted(kept, names.getter(sort), descending=descending)
    if best is not None and found:
        kept = [_best(kept, best, names)] if kept else []
    return Comparison(rows=kept[:limit], params=params, differing=differing, metrics=metrics)


class _Names:
    """The metrics and params that rows have, by what people call them."""

    def __init__(self, found: Sequence[ComparedRow]) -> None:
        self.metrics = list(dict.fromkeys(key for row in found for key in row.statistics))
        self.params = list(dict.fromkeys(name for row in found for name in row.params))

    def resolve(self, key: str) -> str:
        """The param, or the metric with its aggregate, that is meant.

        Raises:
            UsageError: there is none, or several.
        """
        name, suffix, _ = _split(key)
        if name not in self.metrics and key in self.params:
            return key
        meant = [name] if name in self.metrics else [one for one in self.metrics if one.endswith(f"/{name}")]
        if len(meant) == 1:
            return meant[0] + suffix
        if meant:
            raise UsageError(f"{key!r} is several metrics: {', '.join(meant)}", hint="name one of them")
        known = ", ".join([*self.metrics, *self.params][:20]) or "none"
        raise UsageError(f"there is no metric or param {key!r}", hint=f"there are: {known}")

    def metric(self, key: str) -> str:
        """The same for what can only be a metric."""
        found = self.resolve(key)
        if _split(found)[0] not in self.metrics:
            raise UsageError(f"{key!r} is a param, not a metric", hint="params are shown where they differ")
        return found

    def getter(self, key: str) -> Callable[[ComparedRow], Any]:
        """What gives the value of a key in a row, None where it has none."""
        found = self.resolve(key)
        if found in self.params and _split(found)[0] not in self.metrics:
            return lambda row: row.params.get(found)
        return lambda row: row.value(found)


def _split(key: str) -> tuple[str, str, str]:
    """`loss`, `:min` and `min` of `loss:min`; without an aggregate the last value is meant."""
    name, _, aggregate = key.rpartition(":")
    return (name, f":{aggregate}", aggregate) if name and aggregate in AGGREGATES else (key, "", "last")


def _differs(name: str, found: Sequence[ComparedRow]) -> bool:
    return len({dump(row.params[name]) if name in row.params else None for row in found}) > 1


def _order(value: Any) -> tuple[int, Any] | None:
    """What values are sorted by: numbers, then texts; None for what has no place."""
    if isinstance(value, (int, float)):
        return None if math.isnan(value) else (0, value)
    return None if value is None else (1, value if isinstance(value, str) else dump(value))


def _sorted(
    found: Sequence[ComparedRow], get: Callable[[ComparedRow], Any], *, descending: bool
) -> list[ComparedRow]:
    placed = [(order, at) for at, row in enumerate(found) if (order := _order(get(row))) is not None]
    placed.sort(key=operator.itemgetter(0), reverse=descending)
    known = {at for _, at in placed}
    return [found[at] for _, at in placed] + [row for at, row in enumerate(found) if at not in known]


def _best(found: Sequence[ComparedRow], key: str, names: _Names) -> ComparedRow:
    direction = _split(key)[2]
    if not key.endswith(DIRECTIONS) or direction not in DIRECTIONS:
        raise UsageError(f"--best {key}: it does not say what is better", hint=f"{key}:min or {key}:max")
    return _sorted(found, names.getter(key), descending=direction == "max")[0]


def _parts(text: str) -> tuple[str, str, str]:
    """Key, operator and value of a condition.

    Raises:
        UsageError: it is none.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or match["value"].startswith(_OF_OPERATORS):
        raise UsageError(
            f"--where {text}: it is no condition",
            hint="write it as loss<0.5 or optimizer=adam; the operators are =, ==, !=, <, <=, > and >=",
        )
    return match["key"].strip(), match["operator"], match["value"].strip()


def _condition(key: str, symbol: str, written: str, *, names: _Names) -> Callable[[ComparedRow], bool]:
    """The test that a condition is.

    Raises:
        UsageError: what it is about is not known, or it orders what is no number.
    """
    get: Callable[[ComparedRow], Any] = _ABOUT[key] if key in _ABOUT else names.getter(key)
    wanted = scalar(written)
    compares = _OPERATORS.get(symbol)
    if compares is None:
        is_same = symbol != "!="
        return lambda row: _equals(get(row), wanted, written) is is_same
    if not isinstance(wanted, (int, float)):
        raise UsageError(f"--where {key}{symbol}{written}: {written!r} is no number")
    return lambda row: isinstance(value := get(row), (int, float)) and compares(value, wanted)


_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABOUT: Final[dict[str, Callable[[ComparedRow], Any]]] = {
    "status": lambda row: str(row.of.status),
    "task": lambda row: row.of.task,
    "prefix": lambda row: row.of.record.prefix,
}


def _equals(value: Any, wanted: Any, written: str) -> bool:
    if isinstance(value, str):
        return fnmatch.fnmatchcase(value, written)
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)
