from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.storage import outputs
from nemorun_cli.storage.outputs import OutputsError, parse

if TYPE_CHECKING:
    from pathlib import Path


def test_three_forms_are_read() -> None:
    """A line is `key=text` or `key:=json`; `key<<END` takes the lines up to END."""
    text = (
        'rows=12\nname=a = b\nloss:=0.5\nmany:={"a": [1, null]}\nnotes<<EOF\none\n\ntwo\nEOF\nlast.one-x=\n'
    )

    assert parse(text) == {
        "rows": "12",
        "name": "a = b",
        "loss": 0.5,
        "many": {"a": [1, None]},
        "notes": "one\n\ntwo",
        "last.one-x": "",
    }


def test_last_of_a_repeated_key_counts() -> None:
    """A key that is written twice has its last value."""
    assert parse("a=1\na:=2\n") == {"a": 2}


def test_carriage_returns_at_line_ends_do_not_count() -> None:
    """Lines that end as on Windows are read the same."""
    assert parse("a=1\r\nb<<END\r\nx\r\nEND\r\n")["a"] == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "line 1: 'hello' is not an output"),
        ("a=1\n1b=2", "line 2"),
        ("a b=1", "line 1"),
        ("a:={", "is not JSON"),
        ("a:=", "is not JSON"),
        ("a:=" + "[" * 100 + "]" * 100, "nested"),
        ("a:=" + "[" * 100_000, "is not JSON"),
        ("a:=" + "9" * 5000, "is not JSON"),
        ("\na<<END\nx\n", "line 2: the text of a is not closed"),
        ("a<<\nx", "has no delimiter"),
    ],
)
def test_rubbish_is_refused_with_its_line(text: str, message: str) -> None:
    """What is no output is refused, and the message says which line and why."""
    with pytest.raises(OutputsError) as caught:
        parse(text)

    assert message in str(caught.value)


def test_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Outputs hold one megabyte at most."""
    path = tmp_path / "outputs"
    path.write_text("a=" + "x" * outputs.MAX_BYTES)

    with pytest.raises(OutputsError, match="larger than"):
        outputs.read(path)


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    """Outputs are UTF-8."""
    path = tmp_path / "outputs"
    path.write_bytes(b"a=1\nb=\xff\n")

    with pytest.raises(OutputsError, match="line 2: is not UTF-8"):
        outputs.read(path)


def test_numbers_without_end_are_kept() -> None:
    """NaN and the infinities survive, as Python's json writes them."""
    assert parse("a:=NaN\nb:=-Infinity")["b"] == float("-inf")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]*\Z"), JSON))
def test_values_survive_as_json(values: dict[str, Any]) -> None:
    """What is written as `key:=json` is read as it was."""
    assert parse("".join(f"{key}:={json.dumps(value)}\n" for key, value in values.items())) == values


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\r")))
def test_texts_of_many_lines_survive(text: str) -> None:
    """What stands between `key<<END` and `END` is read as it was, separators of Unicode included."""
    assert parse(f"key<<7d3f-END\n{text}\n7d3f-END\n") == {"key": text}


@given(st.text())
def test_any_text_is_outputs_or_refused(text: str) -> None:
    """No file makes the reader fail in another way."""
    with contextlib.suppress(OutputsError):
        parse(text)
