"""Tables as CSV and Markdown, in which no text is run: not as a formula, not as HTML, not by a terminal."""

from __future__ import annotations

import csv
import re
import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nemorun_cli.cli import terminal
from nemorun_cli.errors import UsageError
from nemorun_cli.model.control_characters import LAYOUT, escaped, one_line
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How texts begin that a spreadsheet computes: OWASP, CSV Injection."""
_MARKUP: Final = re.compile(r"[\\`*~|\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class NumberText(str):
    """The text of a number, which a spreadsheet is to read as one."""

    __slots__ = ()


Cell: TypeAlias = "str | float | None"


def cell(value: Any) -> Cell:
    """A value for CSV or Markdown, not rounded: lists and mappings as JSON, nothing for None."""
    return value if isinstance(value, (str, float)) or value is None else NumberText(dump(value))


def require_csv(form: str, *, raw: bool) -> None:
    """Check that `--raw` is used with CSV only.

    Raises:
        UsageError: it is not.
    """
    if raw and form != "csv":
        raise UsageError("--raw needs --format csv")


def write_csv(names: Sequence[str], rows: Iterable[Sequence[Cell]], *, raw: bool) -> None:
    """Write a table as CSV: lines end in a newline, and cells are quoted where they have to be.

    Args:
        names: the titles of the columns.
        rows: the cells: numbers, texts, and None for an empty one.
        raw: whether texts are written as they are. Otherwise one that a spreadsheet would compute gets a
            leading apostrophe, and what could rewrite a terminal is escaped.
    """
    kept = LAYOUT if terminal.width(sys.stdout) is not None else f"{LAYOUT}\r"
    stream = _Lines()
    writer = csv.writer(stream, lineterminator=_Lines.END)
    for row in (names, *rows):
        writer.writerow(row if raw else [_guarded(cell, kept) for cell in row])
    terminal.write_unchanged("".join(stream.lines))


class _Lines:
    """The lines of a CSV writer, which quotes a carriage return only if its lines end in one."""

    END: Final = "\r\n"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(f"{line.removesuffix(self.END)}\n")


def _guarded(cell: Cell, kept: str) -> Cell:
    if not isinstance(cell, str) or isinstance(cell, NumberText):
        return cell
    text = escaped(cell, kept=kept)
    return f"'{text}" if cell.startswith(FORMULA) else text


def write_markdown(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table as GitHub-flavoured Markdown, whose cells show text as it is."""
    lines = [[_plain(cell) for cell in row] for row in (names, *rows)]
    lines.insert(1, ["---"] * len(names))
    terminal.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _plain(cell: str) -> str:
    """The text of a cell without links, images, HTML and emphasis."""
    text = _MARKUP.sub(r"\\\g<0>", " ".join(one_line(cell).split()))
    return text.translate(_HTML)
