"""Reads the values of trials from their records: those at their ends, and those that pruners see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.model import best, metric_keys, problems
from nemorun_cli.model.best import BestRule
from nemorun_cli.model.metric_patterns import OVER
from nemorun_cli.model.stop_rules import WantedMetric
from nemorun_cli.supervisor.member_values import matching
from nemorun_cli.supervisor.metric_watch import LOOKS_AT_END, metric_value
from nemorun_cli.tracking.access.value_follower import ValueFollower
from nemorun_cli.tracking.store.record_paths import Place, check_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.scheduler.metric_judges import MetricValue
    from nemorun_cli.supervisor.member_values import MemberValues

MOST_NAMED: Final = 8  # metrics of a record that are named where one is missing


class UnusableValueError(Exception):
    """A trial has no value for a goal of its search; the text has the reason."""


class TrialReader:
    """Reads the records of trials.

    Args:
        experiment: the id of the experiment.
        records: the roots and prefixes of the records that an attempt has opened.
        members: reads the values by which members are compared.
    """

    def __init__(
        self,
        experiment: str,
        *,
        records: Callable[[str, int], Iterable[tuple[str, str]]],
        members: MemberValues,
    ) -> None:
        self._experiment, self._records, self._members = experiment, records, members

    def final(self, rule: SearchRule, names: Sequence[str]) -> tuple[str, tuple[float, ...]]:
        """The values of a trial that has ended, one for each goal, as `best` reads them.

        Args:
            rule: its search.
            names: its tasks, whose states are known.

        Returns:
            The task that has the first of the values, and the values.

        Raises:
            UnusableValueError: it has none for a goal, or one that is no finite number.
            OSError: this machine lacks something to read them now.
        """
        goals = zip(rule.metrics, rule.goals, strict=True)
        found = [self._value(BestRule(metric=key, goal=goal), names) for key, goal in goals]
        return found[0][0], tuple(value for _, value in found)

    def _value(self, rule: BestRule, names: Sequence[str]) -> tuple[str, float]:
        read = [self._members.read(rule, name) for name in names]
        meant, aggregate = matching(rule, read)
        if len(meant) > 1:
            named = ", ".join(sorted(map(metric_keys.plain, meant)))
            raise UnusableValueError(f"{rule.metric!r} matches several metrics: {named}")
        metric = meant[0] if meant else None
        name, candidate = self._members.candidate_of(names, rule, read, metric, aggregate)
        key = best.split_key(rule.metric)[0]
        shown = rule.output or (key if metric is None else metric_keys.plain(metric))
        choice = best.choose([candidate], rule.goal, metric=shown)
        if choice.excluded or candidate.value is None:
            problem = choice.excluded[0].message
            has_none = rule.output is None and metric is None and candidate.unreadable is None
            has_none &= not candidate.several
            raise UnusableValueError(problem + (self._instead(key, names) if has_none else ""))
        return name, float(candidate.value)

    def _instead(self, key: str, tasks: Sequence[str]) -> str:
        """Which metrics a trial has tracked instead of one."""
        fields = []
        for name in tasks:
            attempt = self._members.attempt(name)
            follower = self._follower([WantedMetric(key)], name, attempt)
            try:
                self._read(follower, name, attempt)
            except ExpError:  # the record cannot be read, which is not what is reported here
                continue
            fields += [field for field in follower.fields if field[1] not in OVER]
        names = list(metric_keys.titles(list(dict.fromkeys(fields))).values())
        if not names:
            return ": it tracked no metric"
        last = {name.rpartition("/")[2]: name for name in names}  # what a key without its series resembles
        nearest = problems.nearest(key, names) or last.get(problems.nearest(key, last) or "")
        meant = f"did you mean {nearest}? " if nearest else ""
        return f" ({meant}there are: {', '.join(names[:MOST_NAMED])})"

    def intermediate(self, wanted: Sequence[WantedMetric], name: str, attempt: int) -> list[MetricValue]:
        """The values of some metrics that an attempt has logged, in order."""
        follower = self._follower(wanted, name, attempt)
        return self._read(follower, name, attempt)

    def _follower(self, wanted: Sequence[WantedMetric], name: str, attempt: int) -> ValueFollower:
        return ValueFollower(wanted, experiment=self._experiment, task=name, attempt=attempt)

    def _read(self, follower: ValueFollower, name: str, attempt: int) -> list[MetricValue]:
        places = [Place(root, check_prefix(prefix)) for root, prefix in self._records(name, attempt)]
        values: list[MetricValue] = []
        for _ in range(LOOKS_AT_END):
            values += map(metric_value, follower.read(places))
            if not follower.is_behind:
                break
        return values
