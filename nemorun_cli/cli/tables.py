"""Tables: aligned text for pipes, and tables that fit the width of a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import table_layout, terminal
from nemorun_cli.cli.table_layout import GAP, STYLES, Column, inline

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nemorun_cli.cli.table_layout import Line

__all__ = ["NOTHING", "STYLES", "Column", "coloured", "drawn", "plain", "show", "show_values", "values"]

MOST_COLOURED: Final = 200  # rows; nobody looks at the colours of more
NOTHING: Final = "-"  # fills an empty cell, so that scripts can count columns
_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}
_CODES: Final = {"bold": "1", "dim": "2", **_COLOURS}


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """Write a table to standard output, fitted to a terminal; returns the titles of dropped columns."""
    width = terminal.width(sys.stdout)
    if width is None:
        terminal.write(plain(columns, rows))
        return ()
    layout = table_layout.fit(columns, rows, width=width)
    is_coloured = terminal.has_colours(sys.stdout) and len(rows) <= MOST_COLOURED
    terminal.write("".join(_text(line, is_coloured=is_coloured) for line in layout.lines(rows)))
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
    titles = [column.title for column in columns]
    cells = [titles, *[[inline(cell) if cell else NOTHING for cell in row] for row in rows]]
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
    from rich.text import Text  # noqa: PLC0415 - only for live displays

    lines = table_layout.fit(columns, rows, width=width).lines(rows)
    return Text("\n").join(Text.assemble(*line) for line in lines)


def _text(line: Line, *, is_coloured: bool) -> str:
    if not is_coloured:
        return "".join(text for text, _ in line).rstrip() + "\n"
    return "".join(coloured(text, style) for text, style in line) + "\n"


def coloured(text: str, style: str) -> str:
    """The text with the codes of a terminal for a style such as `bold red`; unchanged without a style."""
    if not style:
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"
