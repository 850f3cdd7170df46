from __future__ import annotations

from rich.console import Console

from nemorun_cli.cli import tables
from nemorun_cli.cli.tables import Column

COLUMNS = (Column("NAME"), Column("COUNT", is_number=True), Column("NOTE", spare=1))


def test_plain_columns_are_aligned() -> None:
    """Text stands at the left of its column, numbers at the right, and no line ends in blanks."""
    text = tables.plain(COLUMNS, [["a", "1", ""], ["longer", "100", "x"]])
    assert text == "NAME    COUNT  NOTE\na           1  -\nlonger    100  x\n"


def test_a_cell_is_one_line_of_visible_characters() -> None:
    """What could rewrite a terminal, or break a line, is blanked out."""
    text = tables.plain(COLUMNS, [["a\x1b[2Jb\nc", "1", "ü"]])
    assert text.splitlines()[1] == "a [2Jb c      1  ü"


def test_a_table_without_rows_has_its_titles() -> None:
    """Nothing to show is still a table, for scripts that skip its first line."""
    assert tables.plain(COLUMNS, []) == "NAME  COUNT  NOTE\n"


def _drawn(rows: list[list[str]], *, width: int) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(tables.drawn(COLUMNS, rows, width=width))
    return capture.get()


def test_a_drawn_table_drops_what_does_not_fit() -> None:
    """A spare column goes where there is no room for it, an empty one goes in any case."""
    rows = [["a", "1", "something long"]]
    assert "NOTE" in _drawn(rows, width=40)
    assert "NOTE" not in _drawn(rows, width=20)
    assert "COUNT" not in _drawn([["a", "", "x"]], width=40)
