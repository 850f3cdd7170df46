from __future__ import annotations

import math

import pytest

from nemorun_cli.model import metric_patterns
from nemorun_cli.model.metric_patterns import PatternError, finder


def found(pattern: str, line: str) -> list[dict[str, int | float]]:
    """The rows that a pattern finds in a line."""
    return list(finder(pattern)(line))


def test_named_groups_are_numbers() -> None:
    """Each named group that is a number becomes a field; one that is none, or took no part, is left out."""
    pattern = r"epoch (?P<epoch>\d+)(?: lr (?P<lr>\S+))?: loss (?P<loss>\S+)"
    assert found(pattern, "epoch 3: loss 0.25") == [{"epoch": 3, "loss": 0.25}]
    assert found(pattern, "epoch 3 lr 1e-3: loss nothing") == [{"epoch": 3, "lr": 0.001}]
    assert found(pattern, "nothing of it") == []


def test_a_pattern_may_fit_several_times() -> None:
    """Each place in a line where it fits is a row."""
    assert found(r"loss=(?P<loss>\d+)", "loss=1 loss=2") == [{"loss": 1}, {"loss": 2}]


def test_what_is_not_finite_is_a_number() -> None:
    """NaN and infinities are numbers, as programs print them."""
    assert math.isnan(found(r"loss=(?P<loss>\S+)", "loss=nan")[0]["loss"])
    assert found(r"loss=(?P<loss>\S+)", "loss=-inf") == [{"loss": -math.inf}]


def test_steps_alone_say_nothing() -> None:
    """A row needs more than what it is recorded over."""
    assert found(r"epoch (?P<epoch>\d+)(?: loss (?P<loss>\S+))?", "epoch 3") == []


def test_json_lines_give_their_numbers() -> None:
    """Of a line that is a JSON object all numbers are taken, nested ones by dotted names; all else is not."""
    line = ' {"epoch": 2, "train": {"loss": 0.5}, "ok": true, "name": "x", "sizes": [1], "_ts": 3, "x": NaN} '
    (row,) = found("json", line)
    assert math.isnan(row.pop("x"))
    assert row == {"epoch": 2, "train.loss": 0.5}
    assert found("json", '{"epoch": 2}') == []
    assert found("json", '{"": 2, "loss": 1}') == [{"loss": 1}]


@pytest.mark.parametrize("line", ["", "{", "[1]", "text", '{"a": }', "{" * 100_000 + "}", '{"a": "b"}'])
def test_other_lines_are_no_json(line: str) -> None:
    """What is no JSON object with numbers gives nothing and raises nothing."""
    assert found("json", line) == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"loss=(\S+", "is not a regular expression"),
        (r"loss=(\S+)", "names no number to record"),
        (r"epoch (?P<epoch>\d+) (?P<_x>.)", "names no number to record other than step and epoch"),
    ],
)
def test_a_pattern_that_can_find_nothing_is_refused(pattern: str, why: str) -> None:
    """A pattern that is none, or names no number, is an error that says what to write."""
    with pytest.raises(PatternError, match=why) as caught:
        finder(pattern)
    assert caught.value.hint


def test_colours_are_no_text() -> None:
    """What colours a line on a terminal is not seen by patterns."""
    assert metric_patterns.plain("\x1b[1;32mloss\x1b[0m=1") == "loss=1"
