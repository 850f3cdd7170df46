"""The conditions on metrics that end an attempt: the key `stop` of a task. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nemorun_cli.model.best import Goal

if TYPE_CHECKING:
    from collections.abc import Mapping


class WantedMetric(NamedTuple):
    """A metric that is judged: its key, and whether all metrics are wanted that have this name.

    Otherwise the key has to mean a single one.
    """

    key: str
    takes_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """One condition on the values of a metric; with no field but `metric`, that a value is NaN or infinite.

    Attributes:
        metric: the key of the metric, as `exp compare` takes it.
        above: the rule applies to a finite value greater than this.
        below: the rule applies to a finite value less than this.
        patience: the rule applies after so many values in a row without an improvement.
        min_delta: a better value is an improvement if it differs by more than this from the best before it.
        goal: which values are better; only with `patience`.
    """

    metric: str
    above: float | None = None
    below: float | None = None
    patience: int | None = None
    min_delta: float = 0.0
    goal: Goal | None = None

    @property
    def finds_divergence(self) -> bool:
        """Whether the condition is that a value is NaN or infinite."""
        return self.above is None and self.below is None and self.patience is None

    @property
    def wanted(self) -> WantedMetric:
        """The metric: for a divergence, all that have the name."""
        return WantedMetric(self.metric, takes_all=self.finds_divergence)

    @property
    def text(self) -> str:
        """The condition in a few words: `val/loss below 0.1`."""
        if self.above is not None:
            return f"{self.metric} above {self.above:g}"
        if self.below is not None:
            return f"{self.metric} below {self.below:g}"
        if self.patience is None:
            return f"{self.metric} NaN or infinite"
        delta = f" of more than {self.min_delta:g}" if self.min_delta else ""
        return f"{self.metric} without an improvement{delta} ({self.goal}) in {values_text(self.patience)}"

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A rule from its fields; unknown fields of a later version are ignored."""
        known = {item.name: document[item.name] for item in fields(cls) if item.name in document}
        if known.get("goal") is not None:
            known["goal"] = Goal(known["goal"])
        return cls(**known)


def values_text(count: int) -> str:
    """A number of values in words: `1 value`, `5 values`."""
    return f"{count} value{'' if count == 1 else 's'}"
