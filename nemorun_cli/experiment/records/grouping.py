"""Groups the rows of a comparison by params: the mean, standard deviation and count of each metric."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import compare as comparing
from nemorun_cli.experiment.records.row_keys import RowKeys, by_title, param_key
from nemorun_cli.model import best as choosing
from nemorun_cli.model.best import Candidate
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from nemorun_cli.experiment.records.compare import Comparison
    from nemorun_cli.experiment.records.compared_row import ComparedRow
    from nemorun_cli.experiment.records.row_keys import Key

TASK = "task"  # in `over`: rows of different tasks are one group


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values of a metric in a group.

    Attributes:
        mean: of the finite values; None without one.
        std: their sample standard deviation, with n - 1; None for fewer than two.
        n: how many are finite.
        not_finite: how many are NaN or infinite.
        missing: how many members do not have the metric.
    """

    mean: float | None
    std: float | None
    n: int
    not_finite: int
    missing: int

    def to_json(self) -> dict[str, Any]:
        """An entry of `metrics` of a group in `exp.compare/1`."""
        return {
            "mean": self.mean,
            "std": self.std,
            "n": self.n,
            "not_finite": self.not_finite,
            "missing": self.missing,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows with the same values of the grouping params, of the same task or members of one sweep."""

    task: str | None
    values: dict[str, Any]
    members: list[ComparedRow]

    @property
    def label(self) -> str:
        """The task, and the values."""
        texts = [f"{name}={dump(value)}" for name, value in self.values.items()]
        return " ".join([*([self.task] if self.task else []), *texts])

    @property
    def statuses(self) -> Counter[str]:
        """The number of members in each status."""
        return Counter(str(row.of.status) for row in self.members)

    def spread(self, key: Key) -> Spread:
        """The mean and deviation of a metric."""
        return spread([key.get(row) for row in self.members])


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedComparison:
    """Groups in order, and what their members are.

    Attributes:
        of: the comparison of the members.
        by: the grouping params and fields of the record.
        over: the params whose values differ within a group.
        ties: the other groups that are as good as the best, if it was asked for.
    """

    of: Comparison
    by: list[Key]
    over: list[str]
    groups: list[RowGroup]
    ties: list[RowGroup]


def compare(
    all_rows: Sequence[ComparedRow],
    *,
    by: Sequence[str],
    over: Sequence[str] = (),
    where: Sequence[str] = (),
    sort: str | None = None,
    descending: bool = False,
    best: str | None = None,
    goal: str | None = None,
    keys: Sequence[str] = (),
    limit: int | None = None,
) -> GroupedComparison:
    """Filter rows, group them by params, and sort the groups or choose the best of them by its mean.

    Rows of different tasks are in different groups, and members of one sweep in one. Rows that could not
    be the best by themselves do not count for the best group.

    Args:
        all_rows: the rows.
        by: params, several of them also separated by commas.
        over: the params that may differ within a group, if it is not all, and `task` for rows of all tasks.
        where: see `compare.compare`, as for all others.
        sort: a metric, whose mean is compared, or one of the params.
        descending: whether the largest value comes first.
        best: the metric of the best group.
        goal: which values of it are better.
        keys: the metrics to show.
        limit: the maximum number of groups.

    Raises:
        UsageError: a key is unknown or of the wrong kind, or a param that is not in `over` differs.
    """
    of = comparing.compare(all_rows, where=where, sort=sort, best=best, goal=goal, keys=keys)
    known = RowKeys(all_rows)
    if not all_rows:
        by_name = by_title(map(param_key, names(by, known)))
        return GroupedComparison(of=of, by=by_name, over=[], groups=[], ties=[])
    grouping = by_title(map(known.param, names(by, known)))
    averaged = [known.param(name) for name in names(over, known)]
    is_over_tasks = any(key.kind == "record" and key.name == TASK for key in averaged)
    excluded = {id(row) for row, _ in of.best.excluded} if of.best else set()
    members = [row for row in of.matching if id(row) not in excluded]
    groups = _grouped(members, grouping, is_over_tasks=is_over_tasks)
    allowed = {key.name for key in averaged if key.kind == "param"}
    differing = _differing(groups, {key.name for key in grouping if key.kind == "param"})
    others = [name for name in differing if name not in allowed]
    if over and others:
        raise UsageError(
            f"--over {','.join(over)}: other params differ within a group, too: {', '.join(others)}",
            hint="add them to --group-by, or to --over",
        )
    if sort is not None:
        groups = _sorted(groups, known.resolve(sort), grouping, descending=descending)
    ties: list[RowGroup] = []
    if of.best is not None:
        groups, ties = _best(groups, of)
    return GroupedComparison(
        of=replace(of, rows=[row for group in groups[:limit] for row in group.members]),
        by=grouping,
        over=differing,
        groups=groups[:limit],
        ties=ties,
    )


def names(texts: Sequence[str], known: RowKeys) -> list[str]:
    """Names of params, of which several may be one text with commas."""
    parts = [
        part
        for text in texts
        for part in ([text] if text in known.params else [each.strip() for each in text.split(",")])
    ]
    return list(dict.fromkeys(parts))


def spread(values: Sequence[Any]) -> Spread:
    """The mean and the deviation of the finite ones of some values."""
    numbers = [value for value in values if value is not None]
    finite = [value for value in numbers if choosing.is_finite(value)]
    mean, deviation = _mean_and_deviation(finite)
    return Spread(
        mean=mean,
        std=deviation,
        n=len(finite),
        not_finite=len(numbers) - len(finite),
        missing=len(values) - len(numbers),
    )


def _mean_and_deviation(numbers: Sequence[float]) -> tuple[float | None, float | None]:
    """The mean and the sample standard deviation, exact before they are rounded, of numbers of any size."""
    if not numbers:
        return None, None
    from fractions import Fraction  # noqa: PLC0415 - slow to import, and only for groups

    exact = [Fraction(number) for number in numbers]
    mean = sum(exact, Fraction()) / len(exact)
    if len(exact) == 1:
        return _rounded(mean), None
    variance = sum(((number - mean) ** 2 for number in exact), Fraction()) / (len(exact) - 1)
    try:
        return _rounded(mean), math.sqrt(variance)
    except OverflowError:
        return _rounded(mean), math.isqrt(int(variance))


def _rounded(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return int(number)


def _task(row: ComparedRow) -> str | None:
    """The task of a row, or the sweep of which it is a member."""
    if row.of.task is None:
        return None
    return "/".join(part for part in row.of.task.split("/") if "=" not in part)


def _grouped(
    members: Sequence[ComparedRow], grouping: Sequence[Key], *, is_over_tasks: bool
) -> list[RowGroup]:
    groups: dict[tuple[Any, ...], RowGroup] = {}
    for row in members:
        task = None if is_over_tasks else _task(row)
        values = {key.title: key.get(row) for key in grouping}
        identity = (task, *(_identity(value) for value in values.values()))
        group = groups.setdefault(identity, RowGroup(task=task, values=values, members=[]))
        group.members.append(row)
    return list(groups.values())


def _identity(value: Any) -> str:
    """Equal texts for equal values: 1 and 1.0 are one group, 1 and true are two."""
    is_whole = isinstance(value, float) and value.is_integer()
    return dump(int(value) if is_whole else value)


def _differing(groups: Sequence[RowGroup], grouping: set[str]) -> list[str]:
    """The params other than those of the groups that are not the same in all rows of each group."""
    differing: dict[str, None] = {}
    for group in groups:
        for name in dict.fromkeys(name for row in group.members for name in row.params):
            if name not in grouping and comparing.differs(name, group.members):
                differing[name] = None
    return list(differing)


def _sorted(
    groups: Sequence[RowGroup], by: Key, grouping: Sequence[Key], *, descending: bool
) -> list[RowGroup]:
    if by.kind != "metric" and by.title not in {key.title for key in grouping}:
        raise UsageError(f"--sort {by.name}: groups have no such value", hint="add it to --group-by")
    return comparing.in_order(
        groups,
        (lambda group: group.spread(by).mean)
        if by.kind == "metric"
        else (lambda group: group.values[by.title]),
        descending=descending,
    )


def _best(groups: Sequence[RowGroup], of: Comparison) -> tuple[list[RowGroup], list[RowGroup]]:
    """The best group, and those that are as good."""
    assert of.best is not None  # noqa: S101 - called only with one
    means = [group.spread(of.best.key).mean for group in groups]
    completed = str(ExperimentStatus.COMPLETED)
    choice = choosing.choose(
        [Candidate(status=completed, reason=None, last=mean, value=mean) for mean in means],
        of.best.goal,
        metric=of.best.key.title,
    )
    first = [groups[index] for index in choice.ranked[: choice.tied]]
    return first[:1], first[1:]
