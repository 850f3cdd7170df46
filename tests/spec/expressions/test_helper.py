"""Expressions that could take long have their value, or end with the reason, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.spec.expressions import evaluate as evaluation
from nemorun_cli.spec.expressions import limits, sandbox, wire
from nemorun_cli.spec.expressions.fill import Filler
from nemorun_cli.spec.expressions.helper import Helper
from nemorun_cli.spec.expressions.syntax import TemplateError
from nemorun_cli.spec.yaml.scalars import scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

BOMBS = [
    "('a' * 999999) | list | map('list') | sum(start=[]) | length",
    "('a' * 999999) | list | reject('in', ('b' * 999999) | list) | list | length",
]


@pytest.fixture(scope="module")
def helper() -> Iterator[Helper]:
    """A process that evaluates."""
    with Helper() as process:
        yield process


def refuse(code: str, names: object) -> Any:
    """Evaluate nothing."""
    raise AssertionError(f"{code} needs a process over {names}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ params.a }}", 7),
        ("${{ params.a > 3 and not params.name == 'x' }}", True),
        ("${{ params.a * 10 + 1 }}", 71),
        ("${{ params.name | upper }}-${{ params.none | default('d') }}", "RESNET-null"),
        ("${{ params.list | join(',') }}", "1,3.10"),
        ("${{ params.name.startswith('res') }}", True),
        ("${{ 'x' * 1000 }}", "x" * 1000),
        ("${{ params.list is defined and params.name in ['resnet'] }}", True),
    ],
)
def test_plain_expressions_need_no_process(text: str, value: object) -> None:
    """Names, comparisons, arithmetic and plain filters over small values are evaluated at once."""
    params = {"a": 7, "name": "resnet", "none": None, "list": [1, scalar("3.10")]}
    assert evaluation.fill(text, {"params": params}, refuse) == value


@pytest.mark.parametrize(
    "code",
    [
        *BOMBS,
        "params.long | upper",  # its value is large
        "'x' * 3000 ~ 'y'",
        "[1, 2] | sum",
        "range(3) | length",
        "params.list | map('upper') | list",
        "'a'.rfind('b') if params.list | select | list else 1",
        "params.list | sort | first",
    ],
)
def test_other_expressions_need_one(code: str) -> None:
    """Loops of filters and tests, and large values, are not evaluated in this process."""
    names = {"params": {"long": "x" * 3000, "list": ["a"]}}
    with pytest.raises(AssertionError, match="needs a process"):
        evaluation.fill("${{ " + code + " }}", names, refuse)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("range(9999) | map('string') | map('replace', '1', 'x' * 99999) | list", "larger than"),
        ("[('ab' * 499999) | list] | map('join', 'x' * 99) | list", "larger than"),
        ("('f' * 999999) | int(0, 16) * 3", "more than 4,096 bits"),
        ("2 ** 2000 * 2 ** 2000 * 2 ** 2000", "more than 4,096 bits"),
        (" and ".join(["1"] * 300), "nested too deeply"),
    ],
)
def test_an_expression_beyond_a_limit_ends_with_its_reason(helper: Helper, code: str, message: str) -> None:
    """A bomb is an error that names the limit, and the next expression is evaluated."""
    before = time.monotonic()
    with pytest.raises(TemplateError, match=message):
        evaluation.fill("${{ " + code + " }}", {}, helper.evaluate)
    assert time.monotonic() - before < limits.ANSWER_TIME
    assert helper.evaluate("[1, 2] | sum", {}) == 3


def test_memory_is_limited(helper: Helper) -> None:
    """An expression that needs more memory than it may have is an error."""
    lists = ", ".join(["('ab,' * 333333).split(',')"] * 60)  # 20 MB each
    with pytest.raises(TemplateError, match="too much memory"):
        helper.evaluate(f"[{lists}] | length", {})


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab", max_size=1), inner, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=amount(30, long=2000))
@given(PLAIN)
def test_values_pass_unchanged(value: object) -> None:
    """Plain data is the same on the other side, also with keys that mark what JSON has no form for."""
    line = wire.encode(value)
    assert line.count(b"\n") == 1
    assert wire.decode(line) == value


@pytest.mark.parametrize("text", ["3.10", "1e-3", "010", "0x1F", "+5", ".nan", "-.inf"])
def test_numbers_stay_as_they_are_written(helper: Helper, text: str) -> None:
    """A number that the process returns is written as in the spec."""
    number = helper.evaluate("[params.n] | unique | list", {"params": {"n": scalar(text)}})[0]
    assert number.written == text


def test_a_killed_process_is_replaced(helper: Helper) -> None:
    """An expression after the process was killed is evaluated by a new one; none keeps a secret."""
    helper.evaluate("1", {})
    assert helper._process is not None
    pid = helper._process.pid
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert {name.partition(b"=")[0].decode() for name in environment.split(b"\0")} <= {
        *("", "HOME", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "VIRTUAL_ENV"),
        *(name for name in os.environ if name.startswith("PYTHON")),
    }
    os.killpg(pid, signal.SIGKILL)
    helper._process.wait()
    assert helper.evaluate("[1, 2] | sum", {}) == 3


def test_the_process_ends_with_its_caller() -> None:
    """Once the other end of its socket is closed, the process and its child are gone."""
    helper = Helper()
    helper.evaluate("1", {})
    assert helper._process is not None
    assert helper._channel is not None
    helper._channel.close()
    assert helper._process.wait(10) == 0
    helper._channel = None
    helper.close()


def test_all_expressions_of_a_spec_have_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time for all expressions, further ones are problems at their places."""
    filler = Filler({"params": {"a": 1}}, refuse)
    monkeypatch.setattr(filler, "_deadline", time.monotonic() - 1)
    filler.tree("${{ params.a + 1 }}", ("tasks", "a", "env", "X"))
    (finding,) = filler.findings
    assert finding.place == ("tasks", "a", "env", "X")
    assert "more than 60 s in all" in finding.message


def test_every_simple_part_is_one_of_the_sandbox() -> None:
    """What is evaluated in this process exists in the sandbox."""
    environment = sandbox._environment(sandbox.SMALL)
    assert environment.filters.keys() >= sandbox._SIMPLE_FILTERS
    assert sandbox._METHODS > sandbox._SIMPLE_METHODS
