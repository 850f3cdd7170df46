"""How a table fits a width: which columns it has, how wide they are, and on which line of a row they are.

Columns without content are left out. If the rest is too wide, spare columns are dropped and flexible ones
are made narrower; if that does not suffice, the id of a row is on a line of its own above the rest. An id,
like any cell of a column that is not flexible, is never shortened, and no word is broken.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli.wrapping import padded, shortened, width_of, wrapped
from nemorun_cli.model.control_characters import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Line = list[tuple[str, str]]  # texts, each with its style

GAP: Final = "  "
INDENT: Final = "    "  # of the further lines of a row
COMFORTABLE: Final = 24  # the width to which a flexible last column is narrowed, since it is wrapped
NARROWEST: Final = 10  # the width to which another flexible column is narrowed

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
HEADING: Final = "bold"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        is_number: right-aligned.
        is_flexible: its cells may be shortened; the last cell of a row is wrapped instead.
        spare: whether it may be dropped from a table that is too wide: 0 never, else the highest first.
    """

    title: str
    _: KW_ONLY
    is_number: bool = False
    is_flexible: bool = False
    spare: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layout of a table.

    Attributes:
        columns: all columns of the table.
        blocks: the indices of the columns on each line of a row; usually there is one line.
        widths: the width of each of these columns, by index.
        width: of the whole table.
        dropped: the titles of columns that have content and do not fit.
    """

    columns: Sequence[Column]
    blocks: Sequence[Sequence[int]]
    widths: Mapping[int, int]
    width: int
    dropped: Sequence[str]

    def lines(self, rows: Sequence[Sequence[str]]) -> Iterator[Line]:
        """The lines of the table, the titles first."""
        yield from self._row([one_line(column.title) for column in self.columns], HEADING)
        above: list[str] | None = None
        for row in rows:
            cells = [one_line(cell) for cell in row]
            yield from self._row(cells, above=above)
            above = cells

    def _row(self, row: Sequence[str], style: str = "", above: Sequence[str] | None = None) -> Iterator[Line]:
        """The lines of a row; of several lines the first is left out if it repeats that of the row above."""
        for number, block in enumerate(self.blocks):
            filled = [index for index in block if row[index]]
            if above is not None and block is not self.blocks[-1] and _is_same(row, above, block):
                continue
            above = None
            if filled:
                line: Line = [(INDENT, "")] if number else []
                yield from self._block(line, row, block[: block.index(filled[-1]) + 1], style)
            elif not number:
                yield []

    def _block(self, line: Line, row: Sequence[str], block: Sequence[int], style: str) -> Iterator[Line]:
        """The cells of one line, and further lines if the last cell is wrapped."""
        for index in block[:-1]:
            line += [self._cell(row[index], index, style), (GAP, "")]
        used = sum(width_of(text) for text, _ in line)
        last, column = row[block[-1]], self.columns[block[-1]]
        if column.is_number:
            yield [*line, self._cell(last, block[-1], style)]
        elif line and width_of(max(last.split(), key=width_of)) > self.width - used:
            yield line  # a word that does not fit next to other cells has a line of its own
            yield from ([(text, style)] for text in wrapped(INDENT + last, self.width, hang=len(INDENT)))
        else:
            first, *more = wrapped(last, self.width - used)  # no cell follows: it takes all that is left
            yield [*line, (first, style or STYLES.get(last, ""))]
            yield from ([(" " * used + text, style)] for text in more)

    def _cell(self, text: str, index: int, style: str) -> tuple[str, str]:
        width, column = self.widths[index], self.columns[index]
        shown = shortened(text, width) if column.is_flexible else text
        return padded(shown, width, is_number=column.is_number), style or STYLES.get(text, "")


def _is_same(row: Sequence[str], above: Sequence[str], block: Sequence[int]) -> bool:
    return all(row[index] == above[index] for index in block)


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int) -> Layout:
    """The layout in which the rows fit the width."""
    filled = [index for index in range(len(columns)) if not rows or any(row[index] for row in rows)] or [0]
    natural = {index: _natural(columns, rows, index) for index in filled}
    blocks, widths = _stacked(columns, natural, width)
    kept = {index for block in blocks for index in block}
    dropped = [columns[index].title for index in filled if index not in kept]
    return Layout(columns=columns, blocks=blocks, widths=widths, width=width, dropped=dropped)


def _stacked(
    columns: Sequence[Column], natural: Mapping[int, int], width: int
) -> tuple[list[list[int]], dict[int, int]]:
    """The columns of each line and their widths: if one line does not suffice, the first text has its own."""
    last = max(natural)
    least = {index: _least(columns[index], natural[index], is_last=index == last) for index in natural}
    kept = _without_spare(columns, least, width)
    texts = [index for index in natural if not columns[index].is_number]
    if _total({index: least[index] for index in kept}) <= width or not texts or texts[0] == last:
        widths = _narrowed({index: natural[index] for index in kept}, least, width)
        return [list(widths)], widths
    head = {index: natural[index] for index in natural if index <= texts[0]}
    head = {index: head[index] for index in _without_spare(columns, head, width)}
    rest = {index: natural[index] for index in natural if index > texts[0]}
    blocks, widths = _stacked(columns, rest, width - len(INDENT))
    return [list(head), *blocks], head | widths


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]], index: int) -> int:
    """The width of the title and of all cells, except text that no cell follows: it takes what is left."""
    column = columns[index]
    is_last = index == len(columns) - 1
    cells = (
        row[index] for row in rows if row[index] and (column.is_number or is_last or any(row[index + 1 :]))
    )
    return max([width_of(one_line(column.title)), *(width_of(one_line(cell)) for cell in cells)])


def _least(column: Column, natural: int, *, is_last: bool) -> int:
    """The width to which a column can be narrowed."""
    if not column.is_flexible:
        return natural
    least = COMFORTABLE if is_last else NARROWEST
    return min(natural, max(least, width_of(one_line(column.title))))


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _without_spare(columns: Sequence[Column], least: Mapping[int, int], width: int) -> list[int]:
    """The columns that remain when spare ones are dropped until the others fit, if they can."""
    kept = dict(least)
    for index in sorted(least, key=lambda index: (-columns[index].spare, -index)):
        if _total(kept) <= width or not columns[index].spare:
            break
        del kept[index]
    return list(kept)


def _narrowed(widths: dict[int, int], least: Mapping[int, int], width: int) -> dict[int, int]:
    """The widths after narrowing flexible columns, the widest first, until all columns fit, if they can."""
    while (excess := _total(widths) - width) > 0:
        wide = [index for index in widths if widths[index] > least[index]]
        if not wide:
            break
        widest = max(wide, key=lambda index: widths[index] - least[index])
        widths[widest] -= min(excess, max(1, (widths[widest] - least[widest]) // 2))
    return widths
