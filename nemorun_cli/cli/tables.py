"""Tables: aligned text for pipes, and tables that fit the width of a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import table_layout, terminal
from nemorun_cli.cli.table_layout import GAP, STYLES, Column
from nemorun_cli.model.control_characters import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["NOTHING", "STYLES", "Column", "drawn", "plain", "show", "show_values", "values"]

MOST_COLOURED: Final = 200  # rows; nobody looks at the colours of more
NOTHING: Final = "-"  # fills an empty cell, so that scripts can count columns


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """Write a table to standard output, fitted to a terminal; returns the titles of dropped columns."""
    width = terminal.width(sys.stdout)
    if width is None:
        terminal.write(plain(columns, rows))
        return ()
    layout = table_layout.fit(columns, rows, width=width)
    is_coloured = terminal.has_colours(sys.stdout) and len(rows) <= MOST_COLOURED
    terminal.write_styled(layout.lines(rows), is_coloured=is_coloured)
    return layout.dropped


def values(names: Sequence[str], *, kept: Collection[str | None] = (), before: int = 0) -> list[Column]:
    """Columns of values with these titles, of which the last is dropped first; those in `kept` never are.

    Args:
        before: how many other columns of values are dropped only after these.
    """
    return [
        Column(name, is_number=True, is_flexible=True, spare=0 if name in kept else before + number)
        for number, name in enumerate(names, start=1)
    ]


def show_values(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, remedy: str) -> None:
    """Like `show`, with a hint that names the dropped columns."""
    if dropped := show(columns, rows):
        terminal.flush()
        terminal.say(f"hint: too wide for this terminal: {', '.join(dropped)}; {remedy}")


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """The table as lines of aligned text, each row on one line."""
    titles = [one_line(column.title) for column in columns]
    cells = [titles, *[[one_line(cell) if cell else NOTHING for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = 0  # no trailing spaces
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append(GAP.join(parts).rstrip() + "\n")
    return "".join(lines)


def drawn(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int) -> Any:
    """The fitted table as a text of rich, for a live display."""
    from nemorun_cli.cli import live_text  # noqa: PLC0415 - only for live displays

    return live_text.lines(table_layout.fit(columns, rows, width=width).lines(rows))
