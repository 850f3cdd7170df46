"""Metrics as pictures."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import plotting, terminal
from nemorun_cli.experiment.records import series as measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.series import Series


HEIGHTS: Final = (16, 10)  # lines of a single picture, and of each of several


MOST_PICTURES: Final = 6


def pictures(all_series: Sequence[Series]) -> str:
    """One picture for each key, with a curve for each record."""
    curves: dict[str, list[plotting.Curve]] = {}
    keys = measures.keys_of(all_series)
    for series in all_series:
        for field in series.statistics():
            curve = plotting.curve(series.of.label, series.rows, field)
            curves.setdefault(keys[series.name, field], []).append(curve)
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
