from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.cli import text_formats
from nemorun_cli.cli.text_formats import NumberText

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def written(
    rows: list[list[text_formats.Cell]], capsys: pytest.CaptureFixture[str], *, raw: bool = False
) -> str:
    """What is written for these rows."""
    text_formats.write_csv(["n"], rows, raw=raw)
    return capsys.readouterr().out.removeprefix("n\n")


@pytest.mark.parametrize("lead", text_formats.FORMULA)
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(
    lead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A spreadsheet shows such a text instead of computing it; a number is one also if it is negative."""
    text = f"{lead}1"
    (row,) = csv.reader(io.StringIO(written([[text]], capsys), newline=""))
    assert row == [f"'{text}"]
    (row,) = csv.reader(io.StringIO(written([[text]], capsys, raw=True), newline=""))
    assert row == [text]
    text_formats.write_csv([text], [], raw=False)
    assert capsys.readouterr().out.strip('"\n').startswith("'")


def test_numbers_stay_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a negative number nor one as a text of this program gets an apostrophe; a user's text does."""
    assert (
        written([[-1.5, NumberText("-1e-05"), float("-inf"), None, "-5"]], capsys)
        == "-1.5,-1e-05,-inf,,'-5\n"
    )


def test_csv_cannot_rewrite_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What could is escaped, except the line breaks and tabs that CSV may contain."""
    assert written([["a\x1b]0;t\x07b\u202e", "x\ny\tz"]], capsys) == 'a\\x1b]0;t\\x07b\\u202e,"x\ny\tz"\n'
    assert written([["a\x1b[2J"]], capsys, raw=True) == "a\x1b[2J\n"


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_raw_csv_has_every_text(texts: list[str]) -> None:
    """Without change, what is read is what was written."""
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr("sys.stdout", stream)
        text_formats.write_csv(["n"], [texts], raw=True)
        stream.seek(0)
        read = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
    assert read[1:] == [texts]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;"),
        ("![i](http://e.x)", r"!\[i\](http://e.x)"),
        ("[a](b) `c` *d* ~e~", r"\[a\](b) \`c\` \*d\* \~e\~"),
        ("train_loss _x_ a|b\\", r"train_loss \_x\_ a\|b\\"),
        ("a&lt;\x1b\n\u202e", r"a&amp;lt;\\x1b \\u202e"),
        ("learning rate 1e-3", "learning rate 1e-3"),
    ],
)
def test_a_cell_of_markdown_is_text(cell: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No cell is HTML, an image, a link, code, emphasis or two cells."""
    text_formats.write_markdown(["n"], [[cell]])
    assert capsys.readouterr().out == f"| n |\n| --- |\n| {shown} |\n"
