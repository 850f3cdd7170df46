from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.extent import amount

from nemorun_cli.cli import table_layout, tables, wrapping
from nemorun_cli.cli.tables import Column

COLUMNS = (Column("NAME"), Column("COUNT", is_number=True), Column("NOTE", spare=1))


def test_plain_columns_are_aligned() -> None:
    """Text stands at the left of its column, numbers at the right, and no line ends in blanks."""
    text = tables.plain(COLUMNS, [["a", "1", ""], ["longer", "100", "x"]])
    assert text == "NAME    COUNT  NOTE\na           1  -\nlonger    100  x\n"


def test_a_cell_is_one_line_of_visible_characters() -> None:
    """What could rewrite a terminal is escaped, and a line break is a blank, in titles too."""
    text = tables.plain(COLUMNS, [["a\x1b[2Jb\nc", "1", "ü"]])
    assert text.splitlines()[1] == r"a\x1b[2Jb c      1  ü"
    assert tables.plain([Column("a\n\x9b")], []) == "a \\x9b\n"


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


WORDS = st.text("abcd-/=é漢", min_size=1, max_size=14)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)


@settings(max_examples=amount(60, long=2000), deadline=None)
@given(rows=st.lists(st.tuples(WORDS, WORDS, CELLS, CELLS), min_size=1), width=st.integers(24, 90))
def test_any_table_fits_any_width(rows: list[tuple[str, ...]], width: int) -> None:
    """No line is wider than the table unless a word is; ids are whole, and no word of a last cell is lost."""
    columns = (
        Column("ID"),
        Column("KIND", spare=1),
        Column("TAGS", is_flexible=True, spare=2),
        Column("NOTE", is_flexible=True),
    )
    layout = table_layout.fit(columns, rows, width=width)
    lines = ["".join(text for text, _ in line).rstrip() for line in layout.lines(rows)]
    words = [word for row in rows for word in " ".join(row).split()] + [column.title for column in columns]
    longest = max(map(wrapping.width_of, words))
    for line in lines:
        assert wrapping.width_of(line) <= max(width, longest + len(table_layout.INDENT))
    shown = " ".join(lines).split()
    for row in rows:
        assert row[0] in shown
        assert set(row[3].split()) <= set(shown)


@given(line=CELLS, width=st.integers(1, 90), hang=st.integers(0, 12))
def test_wrapping_keeps_every_word(line: str, width: int, hang: int) -> None:
    """A wrapped text has the same words in the same order, none of them broken."""
    lines = wrapping.wrapped(line, width, hang=hang)
    assert " ".join(lines).split() == line.split()
    for piece in lines:
        is_wide = any(wrapping.width_of(word) > width for word in piece.split())
        assert is_wide or wrapping.width_of(piece) <= width


def test_a_long_command_in_a_hint_can_be_copied() -> None:
    """A command that does not fit continues after a backslash; a quoted text is never broken."""
    hint = "hint: exp why training_1795899919 'train/lr=0.1, x' · exp logs training_1795899919"
    assert wrapping.fitted(hint, 44) == [
        "hint: exp why training_1795899919 \\",
        "    'train/lr=0.1, x'",
        "  exp logs training_1795899919",
    ]
    assert wrapping.shortened("漢字漢字", 5) == "漢字…"
