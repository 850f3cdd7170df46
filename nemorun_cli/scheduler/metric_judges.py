"""Judges of running attempts: each sees the values of metrics in order, and may decide to stop its attempt.

A judge is pure: the same values in the same order give the same decision. `StopJudge` applies the key `stop`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nemorun_cli.model.best import Goal
from nemorun_cli.model.metric_keys import plain
from nemorun_cli.model.status import Reason
from nemorun_cli.model.stop_rules import values_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.model.stop_rules import StopRule, WantedMetric


class MetricValue(NamedTuple):
    """One value of a metric that a judge asked for.

    Attributes:
        metric: what the judge asked for.
        field: the series and the field that this means.
        value: the number, which may be NaN or infinite.
        step: that of its row; None if the row has none.
        epoch: the same.
        is_leading: whether rank 0, or a process without a rank, logged it.
    """

    metric: WantedMetric
    field: Field
    value: float
    step: float | None = None
    epoch: float | None = None
    is_leading: bool = True

    @property
    def at(self) -> str:
        """Where in the training it was logged: ` at epoch 3`; empty if its row does not say."""
        for name, position in (("epoch", self.epoch), ("step", self.step)):
            if position is not None and math.isfinite(position):
                return f" at {name} {position:g}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDecision:
    """Why an attempt is stopped.

    Attributes:
        reason: with which it ends.
        message: the reason as a sentence.
        metric: the key of the metric.
        at: where it was decided: a step, an epoch, or the number of a row; None if that does not matter.
        value: the value there, which may be NaN or infinite.
    """

    reason: Reason
    message: str
    metric: str
    at: float | None = None
    value: float | None = None


class MetricJudge(Protocol):
    """Decides whether an attempt is stopped."""

    @property
    def metrics(self) -> Sequence[WantedMetric]:
        """The metrics whose values it wants to see."""
        ...

    @property
    def expected(self) -> Sequence[WantedMetric]:
        """Those of the metrics whose absence is reported when the attempt ends."""
        ...

    def see(self, values: Iterable[MetricValue]) -> StopDecision | None:
        """Take the values that arrived since the last call, in order; returns the decision to stop, if any.

        It is not called again after a decision.
        """
        ...


@dataclass(slots=True)
class RuleProgress:
    """How far one condition is, from the values so far.

    Attributes:
        rule: the condition.
        count: the number of values.
        best: the best finite value, if there is one.
        last: the last value.
        since: the number of values in a row without an improvement.
        field: the series and the field of the values.
    """

    rule: StopRule
    count: int = 0
    best: float | None = None
    last: float | None = None
    since: int = 0
    field: Field | None = None

    def take(self, value: MetricValue) -> StopDecision | None:
        """Take a value of the rule's metric; returns the decision if the condition is met."""
        if self.field != value.field and not self.rule.wanted.takes_all:  # one with the full name came later
            self.field, self.count, self.best, self.since = value.field, 0, None, 0
        self.count += 1
        rule, number = self.rule, value.value
        self.last = number
        named = f"{plain(value.field)} is {number:g}{value.at}"
        if rule.finds_divergence:
            if math.isfinite(number):
                return None
            at = position(value, self.count)
            return replace(self._decided(Reason.DIVERGED, named), at=at, value=number)
        if rule.patience is not None:
            return self._impatient(number, value.at)
        if rule.above is not None and math.isfinite(number) and number > rule.above:
            return self._decided(Reason.TARGET, f"{named}, above {rule.above:g}")
        if rule.below is not None and math.isfinite(number) and number < rule.below:
            return self._decided(Reason.TARGET, f"{named}, below {rule.below:g}")
        return None

    def _impatient(self, number: float, at: str) -> StopDecision | None:
        """Count a value without an improvement; one that is not finite never improves anything."""
        rule = self.rule
        assert rule.patience is not None  # noqa: S101 - checked by the caller
        if math.isfinite(number) and self._improves(number):
            self.best, self.since = number, 0
            return None
        self.since += 1
        if self.since < rule.patience:
            return None
        best = "no finite value" if self.best is None else f"the best is {self.best:g}"
        delta = f" of more than {rule.min_delta:g}" if rule.min_delta else ""
        assert self.field is not None  # noqa: S101 - set by `take`
        text = f"{plain(self.field)} had {values_text(self.since)} without an improvement{delta}{at}: {best}"
        return self._decided(Reason.TARGET, text)

    def _improves(self, number: float) -> bool:
        if self.best is None:
            return True
        if self.rule.goal is Goal.MAXIMIZE:
            return number - self.rule.min_delta > self.best
        return number + self.rule.min_delta < self.best

    def _decided(self, reason: Reason, message: str) -> StopDecision:
        return StopDecision(reason=reason, message=message, metric=self.rule.metric)


@dataclass(slots=True)
class StopJudge:
    """Applies the conditions of the key `stop`: the first value that meets one decides.

    Of several conditions that one value meets, that of a divergence goes first, then the order in the spec.
    Values of ranks other than 0 count for divergences only: others would repeat those of rank 0.
    """

    rules: Sequence[StopRule]
    progress: list[RuleProgress] = field(init=False)

    def __post_init__(self) -> None:
        ordered = sorted(self.rules, key=lambda rule: not rule.finds_divergence)
        self.progress = [RuleProgress(rule) for rule in ordered]

    @property
    def metrics(self) -> Sequence[WantedMetric]:
        """The metrics of all conditions."""
        return list(dict.fromkeys(rule.wanted for rule in self.rules))

    @property
    def expected(self) -> Sequence[WantedMetric]:
        """The same."""
        return self.metrics

    def see(self, values: Iterable[MetricValue]) -> StopDecision | None:
        """Take values in order; returns the decision of the first one that meets a condition."""
        for value in values:
            for each in self.progress:
                is_seen = value.is_leading or each.rule.finds_divergence
                if each.rule.wanted == value.metric and is_seen and (decision := each.take(value)):
                    return decision
        return None


def position(value: MetricValue, count: int) -> float:
    """Where in the training a value is: its step, else its epoch, else how many values there are so far."""
    for number in (value.step, value.epoch):
        if number is not None and math.isfinite(number):
            return number
    return float(count)


@dataclass(slots=True)
class PruneJudge:
    """Passes the values of one metric on, each with its position; what decides by them is elsewhere.

    Args:
        metric: the metric.
        take: receives positions and values, in order.
    """

    metric: WantedMetric
    take: Callable[[list[tuple[float, float]]], object]
    count: int = 0

    def see(self, values: Iterable[MetricValue]) -> None:
        """Take values in order; only those of rank 0, or of a process without a rank, count."""
        passed = []
        for value in values:
            if value.metric == self.metric and value.is_leading:
                self.count += 1
                passed.append((position(value, self.count), value.value))
        if passed:
            self.take(passed)


@dataclass(slots=True)
class TrialJudge:
    """The judge of a trial: of its `stop`, and of the pruner of its search.

    A divergence of a trial is no failure: it is pruned.
    """

    stop: StopJudge
    prune: PruneJudge | None = None

    @property
    def metrics(self) -> Sequence[WantedMetric]:
        """The metrics of both."""
        pruned = () if self.prune is None else (self.prune.metric,)
        return list(dict.fromkeys((*self.stop.metrics, *pruned)))

    @property
    def expected(self) -> Sequence[WantedMetric]:
        """Those of `stop`: the metric of its search is reported with its result."""
        return self.stop.metrics

    def see(self, values: Iterable[MetricValue]) -> StopDecision | None:
        """Take values in order; returns the decision of `stop`, if any."""
        arrived = list(values)
        decision = self.stop.see(arrived)
        if decision is not None:
            return replace(decision, reason=Reason.PRUNED) if decision.reason is Reason.DIVERGED else decision
        if self.prune is not None:
            self.prune.see(arrived)
        return None
