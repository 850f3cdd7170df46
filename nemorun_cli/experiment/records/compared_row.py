"""A row of a comparison: a record with its params, and the statistics of its metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.tracking.store.row_selection import Statistics

AGGREGATES: Final = ("last", "min", "max", "mean", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One record.

    Attributes:
        statistics: of each field of a series.
        no_number: the last value of each field whose last value is no number, such as None, although others
            are.
        titles: the key of each of these fields among all rows of the comparison.
    """

    of: TargetRecord
    params: dict[str, Any]
    statistics: dict[Field, Statistics]
    no_number: Mapping[Field, Any] = field(default_factory=dict)
    titles: Mapping[Field, str] = field(default_factory=dict)

    def statistic(self, metric: Field, aggregate: str) -> Any:
        """One of AGGREGATES of a metric; None if the record does not have it."""
        statistics = self.statistics.get(metric)
        return None if statistics is None else statistics[aggregate]  # type: ignore[literal-required] # one of AGGREGATES

    def last(self, metric: Field) -> float | None:
        """The last value of a metric: NaN if it is no number, None if the record does not have the metric."""
        return math.nan if metric in self.no_number else self.statistic(metric, "last")

    def to_json(self) -> dict[str, Any]:
        """An entry of `rows` in `exp.compare/1`."""
        metrics = {self.titles[metric]: values for metric, values in self.statistics.items()}
        return {**self.of.to_json(), "params": self.params, "metrics": metrics}
