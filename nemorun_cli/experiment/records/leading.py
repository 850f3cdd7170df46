"""Which records lead by a metric, so that their curves are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.experiment.records import compare
from nemorun_cli.experiment.records.compared_row import ComparedRow
from nemorun_cli.experiment.records.row_keys import RowKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.compare import Best
    from nemorun_cli.experiment.records.series import Series


def in_order(
    all_series: Sequence[Series],
    judged: Sequence[Series],
    *,
    best: str,
    goal: str | None,
    may_follow: bool = False,
) -> tuple[list[Series], Best | None]:
    """The series of the records that can be the best, the best first, and who cannot be.

    Records that are RUNNING take part, since their curves are still drawn.

    Args:
        all_series: the series to put in order.
        judged: the series by which records are judged; they contain the metric.
        best: the metric, as in `exp compare --best`.
        goal: which values of it are better.
        may_follow: whether rows with the metric may follow, so that it may be unknown; nothing is
            reordered then.

    Raises:
        UsageError: the metric is unknown, or the goal is missing.
    """
    rows: dict[tuple[str | None, ...], ComparedRow] = {}
    for series in judged:
        row = rows.setdefault(series.of.identity, ComparedRow(of=series.of, params={}, statistics={}))
        row.statistics.update({(series.name, field): values for field, values in series.statistics().items()})
    known = RowKeys(list(rows.values()))
    if not rows or (may_follow and not known.is_known(best)):
        return list(all_series), None
    key, direction = compare.judged_by(best, goal, known)
    chosen = compare.choose(list(rows.values()), key, direction, running_counts=True)
    places = {row.of.identity: place for place, row in enumerate(chosen.ranked)}
    kept = [series for series in all_series if series.of.identity in places]
    return sorted(kept, key=lambda series: places[series.of.identity]), chosen
