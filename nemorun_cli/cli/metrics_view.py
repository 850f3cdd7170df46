"""Metrics as pictures."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import plotting, terminal
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.experiment.records.targets import MEASURED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.series import Series
    from nemorun_cli.tracking.store.row_files import Row


HEIGHTS: Final = (16, 10)  # lines of a single picture, and of each of several


MOST_PICTURES: Final = 6


def not_drawn(all_series: Sequence[Series], *, best: str | None) -> str:
    """How many records have no curve in a picture, and how to choose others; empty if all have one."""
    keys = ((series.name, field) for series in all_series for field in series.statistics())
    most = max(Counter(keys).values(), default=0)
    if most <= plotting.MOST_CURVES:
        return ""
    if best is not None:
        return f"note: the {plotting.MOST_CURVES} best of {most} by {best} are drawn"
    return (
        f"note: {most - plotting.MOST_CURVES} of {most} records are not drawn; name tasks, or choose those "
        "that lead by a metric: --best KEY:min (or :max)"
    )


def curves_of(all_series: Sequence[Series], *, by_attempt: bool = False) -> dict[str, list[plotting.Curve]]:
    """The curves of each key: one for each record, or for each attempt of each record."""
    curves: dict[str, list[plotting.Curve]] = {}
    keys = measures.keys_of(all_series)
    for series in all_series:
        for label, rows in (_by_attempt(series) if by_attempt else {series.of.label: series.rows}).items():
            for field in series.statistics():
                if any(field in row for row in rows):
                    is_measured = series.name == MEASURED
                    are_bytes = is_measured and field.endswith("memory")
                    curve = plotting.curve(label, rows, field, is_timed=is_measured, are_bytes=are_bytes)
                    curves.setdefault(keys[series.name, field], []).append(curve)
    return curves


def pictures(all_series: Sequence[Series], *, by_attempt: bool = False) -> str:
    """One picture for each key, with a curve for each record, or for each attempt of each record."""
    curves = curves_of(all_series, by_attempt=by_attempt)
    shown = list(curves.items())[:MOST_PICTURES]
    width = shutil.get_terminal_size().columns
    colours = terminal.can_draw(sys.stdout) and not os.environ.get("NO_COLOR")
    parts = [
        plotting.draw(key, lines, width=width, height=HEIGHTS[len(shown) > 1], colours=colours)
        for key, lines in shown
    ]
    if len(curves) > len(shown):
        parts.append(f"{len(curves) - len(shown)} more are not shown; choose with --key\n")
    return "\n".join(parts)


def _by_attempt(series: Series) -> dict[str, list[Row]]:
    """The rows of each attempt, by the label of its curve."""
    parts: dict[str, list[Row]] = {}
    for row, origin in zip(series.rows, series.origins, strict=True):
        parts.setdefault(f"{series.of.label} attempt {origin.attempt}", []).append(row)
    return parts
