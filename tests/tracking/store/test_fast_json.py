"""Where orjson is installed, rows are read with it, and what is read is what `json.loads` returns."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nemorun_cli.tracking.store import fast_json

NUMBERS = st.integers() | st.floats() | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**19, -(10**18)])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
# What programs in other languages write, and what nobody should.
TEXTS = (
    *("-0", "-0.0", "1E5", "1e999", "-1e999", "1e-400", "0.00012345678901234567", "1234567890123456789.5"),
    *(
        "[ 12345678901234567890]",
        "[1,\n-12345678901234567890]",
        '{"a":\t12345678901234567890}',
        "NaN",
        "[-Infinity]",
    ),
    *('"\\ud800"', '"\\ud83d\\ude00"', '"\x7f"', '{"a":1,"a":2}', '"\xe9"', '"\u2028"', " [1] "),
    *("", "01", "1.", "+1", ".5", "[1,]", "{a:1}", "'a'", '"\t"', "nul", "[1] 2", "\ufeff1", "1_0"),
)


def _outcome(parse: Any, text: str) -> str:
    """The value, or that it is no JSON; floats by their bits, so that -0.0 is not 0.0."""
    try:
        return repr(parse(text))
    except ValueError:
        return "no JSON"


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_one_meaning(text: str) -> None:
    """Whichever parser reads it."""
    assert _outcome(fast_json.loads, text) == _outcome(json.loads, text)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
@example([2**64, math.pi], True, None)
@example(2**64, True, None)
def test_a_value_comes_back(value: Any, is_ascii: Any, indent: int | None) -> None:
    """Also integers of any size, numbers that JSON lacks, and characters beyond ASCII."""
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    assert _outcome(fast_json.loads, text) == _outcome(json.loads, text)


def test_plain_rows_are_read_by_the_fast_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers that programs log are among what it may read; the others are not."""
    seen: list[str] = []

    def parse(text: str) -> Any:
        seen.append(text)
        return orjson.loads(text)

    monkeypatch.setattr(fast_json, "fast_parser", lambda: parse)
    plain = '[{"_ts":1796055354.3583663,"loss":0.0012345678901234567,"step":123456789012345678,"lr":-1e-05}]'
    assert fast_json.loads(plain) == json.loads(plain)
    assert fast_json.loads("[12345678901234567890]") == [12345678901234567890]
    assert seen == [plain]


def test_without_orjson_the_standard_library_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is an extra."""
    monkeypatch.setattr(fast_json, "fast_parser", lambda: None)
    assert fast_json.loads('{"a": [1, 2.5]}') == {"a": [1, 2.5]}


def test_a_short_text_is_not_worth_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that reads a few rows does not wait for orjson; one that has it uses it."""
    asked: list[None] = []
    monkeypatch.setattr(fast_json, "fast_parser", lambda: asked.append(None))
    monkeypatch.delitem(sys.modules, "orjson")
    assert fast_json.loads("[1]") == [1]
    assert asked == []
    assert fast_json.loads("[1" + " " * fast_json.WORTH + "]") == [1]
    assert asked == [None]
