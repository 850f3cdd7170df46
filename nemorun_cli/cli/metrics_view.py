"""Metrics as commands print them: documents, CSV, tables and pictures."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import plotting, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.series import Series


METRICS_FORMAT: Final = "exp.metrics/1"


HEIGHTS: Final = (16, 10)  # lines of a picture: of the only one, of one of several


MOST_PICTURES: Final = 6


def document(found: Sequence[Series]) -> dict[str, object]:
    """The document `exp.metrics/1`."""
    return {"schema": METRICS_FORMAT, "series": [{**one.of.to_json(), **one.to_json()} for one in found]}


def pictures(found: Sequence[Series]) -> str:
    """One picture for each key, with a curve for each record."""
    curves: dict[str, list[plotting.Curve]] = {}
    for one in found:
        for field in one.statistics():
            curves.setdefault(one.key(field), []).append(plotting.curve(one.of.label, one.rows, field))
    shown = list(curves.items())[:MOST_PICTURES]
    width = shutil.get_terminal_size().columns
    colours = terminal.can_draw(sys.stdout) and not os.environ.get("NO_COLOR")
    parts = [
        plotting.draw(key, lines, width=width, height=HEIGHTS[len(shown) > 1], colours=colours)
        for key, lines in shown
    ]
    if len(curves) > len(shown):
        parts.append(f"and {len(curves) - len(shown)} more: choose with --key\n")
    return "\n".join(parts)
