"""What is written as YAML is read back as the same value."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemorun_cli.spec.yaml.parser import option_value, parse
from nemorun_cli.spec.yaml.source import SpecSource
from nemorun_cli.spec.yaml.writer import document, flow

TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=" \t\n:#-?|>&*!%@`{}[],'\"\\$a0", max_size=12),
    st.sampled_from(
        ["0o17", "1e5", ".5", "1_000", "yes", "on", "null", "~", "", "-", "<<", "2026-11-22", ".inf"]
    ),
).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=20,
)


def read(text: str) -> Any:
    return parse(SpecSource(text, file="s.yaml"))


def same(before: Any, after: Any) -> bool:
    """Whether two values are equal in value, type and order."""
    return json.dumps(before) == json.dumps(after) and repr(before) == repr(after)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_any_data_is_read_back_equal(data: dict[str, Any]) -> None:
    """In block style, whatever its texts contain."""
    assert same(data, read(document(data)))


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_any_value_of_an_option_is_read_back_equal(value: Any) -> None:
    """On one line, as `-p` reads it."""
    assert "\n" not in flow(value)
    assert same(value, option_value(flow(value)))


def test_a_document_reads_like_one_that_was_written_by_hand() -> None:
    """Plain words have no quotes, scripts stay blocks, and numbers keep their form."""
    text = """\
name: a-study
params:
  lr: 1e-3
  port: 0x1F
  version: "3.10"
  nothing: null
  sizes: [1, .inf, -.inf, true]
tasks:
  train:
    inline: |
      set -e

      echo "$1"
    args: ["${{ params.lr }}", -a]
    group:
      - name: one
        env:
          A: "b: c"
      - - nested
        - {}
  empty: {}
""".replace("        - {}\n", "        - []\n        - x: 1\n").replace(
        '["${{ params.lr }}", -a]', '["${{ params.lr }}", "-a"]'
    )
    assert document(read(text)) == text
    assert math.isnan(read(document({"x": float("nan")}))["x"])
    assert document({}) == "{}\n"
    long = {"k" * 2000: {"a": [{"b": "c"}]}, "l" * 2000: "text"}
    assert read(document(long)) == long


def test_a_text_that_could_rewrite_a_terminal_is_escaped() -> None:
    """A terminal that shows the document is not rewritten, and the value is the same."""
    data = {"a\u202eb": "\x1b[2Jx\ny\u2028\U000e0041\x85\ufeff\uffff"}
    text = document(data)
    assert text.isascii()
    assert read(text) == data


def test_what_yaml_has_no_form_for_is_refused() -> None:
    """Nothing is written as something else."""
    with pytest.raises(TypeError, match="bytes"):
        document({"a": b"x"})
