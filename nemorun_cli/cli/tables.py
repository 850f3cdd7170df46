"""Tables: aligned text for pipes and long lists, drawn ones with colour for terminals."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_DRAWN: Final = 200  # rows: drawing more takes longer than anybody will look at
GAP: Final = "  "
NOTHING: Final = "-"  # what stands in an empty cell, so that columns can be counted

STYLES: Final = {
    "PENDING": "dim",
    "SUBMITTED": "cyan",
    "RUNNING": "bold cyan",
    "UNKNOWN": "bold magenta",
    "SUCCEEDED": "green",
    "COMPLETED": "green",
    "FAILED": "bold red",
    "CANCELLED": "yellow",
    "SKIPPED": "yellow",
    "INTERRUPTED": "bold magenta",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        is_number: it stands at the right edge.
        is_whole: its cells are never broken into lines.
        is_spare: left out of a drawn table that is too wide with it.
    """

    title: str
    is_number: bool = False
    is_whole: bool = False
    is_spare: bool = False


def show(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output, drawn where that is a terminal."""
    if terminal.can_draw(sys.stdout) and len(rows) <= MOST_DRAWN:
        _draw(columns, rows)
    else:
        terminal.write(plain(columns, rows))


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """The table as lines of aligned text."""
    cells = [[column.title for column in columns], *[[_inline(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = 0  # no blanks at the ends of lines
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append(GAP.join(parts).rstrip() + "\n")
    return "".join(lines)


def _inline(cell: str) -> str:
    """The text of a cell on one line, without what could rewrite a terminal."""
    if not cell:
        return NOTHING
    return cell if cell.isprintable() else "".join(char if char.isprintable() else " " for char in cell)


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - rich takes as long to import as all of a status

    terminal.flush()
    console = Console()
    console.print(drawn(columns, rows, width=console.size.width))


def drawn(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int) -> Any:
    """The table as something that rich prints, without columns that are empty or do not fit."""
    from rich.table import Table  # noqa: PLC0415 - rich takes as long to import as all of a status
    from rich.text import Text  # noqa: PLC0415 - the same

    kept = _fitting(columns, rows, width)
    table = Table(box=None, padding=(0, len(GAP), 0, 0), pad_edge=False, header_style="bold")
    for index in kept:
        column = columns[index]
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            overflow="fold",
            no_wrap=column.is_whole or column.is_number,
        )
    for row in rows:
        table.add_row(*(Text(_inline(row[index]), style=STYLES.get(row[index], "")) for index in kept))
    return table


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The indices of the columns that are drawn."""
    kept = [index for index in range(len(columns)) if any(row[index] for row in rows)] or [0]
    widths = {
        index: max(len(columns[index].title), *(len(row[index]) for row in rows), 0) + len(GAP)
        for index in kept
    }
    if sum(widths.values()) - len(GAP) > width:
        kept = [index for index in kept if not columns[index].is_spare]
    return kept
