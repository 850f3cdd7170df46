"""Metrics as pictures."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import plotting, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.series import Series
    from nemorun_cli.tracking.store.row_files import Row


HEIGHTS: Final = (16, 10)  # lines of a single picture, and of each of several


MOST_PICTURES: Final = 6


def pictures(all_series: Sequence[Series], *, by_attempt: bool = False) -> str:
    """One picture for each key, with a curve for each record, or for each attempt of each record."""
    curves: dict[str, list[plotting.Curve]] = {}
    for series in all_series:
        for label, rows in (_by_attempt(series) if by_attempt else {series.of.label: series.rows}).items():
            for field in series.statistics():
                if any(field in row for row in rows):
                    curves.setdefault(series.key(field), []).append(plotting.curve(label, rows, field))
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
