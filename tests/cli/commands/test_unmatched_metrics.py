from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.workspace import Exp, Result

SPEC = r"""
name: patterns
tasks:
  good: {inline: 'echo loss=1', metrics: {t: 'loss=(?P<loss>\S+)'}}
  comma: {inline: 'printf "epoch 1\nloss=0,5\n"', metrics: {t: 'loss=(?P<loss>\S+)'}}
  never:
    inline: 'printf "\033]0;title\007one %0500d\ntwo\nthree\nfour\n" 0; exit 3'
    metrics: {t: ['loss=(?P<loss>\S+)', json]}
  later:
    inline: 'test "$EXP_ATTEMPT" = 2 || { echo loss=1; exit 1; }'
    retry: {limit: 1}
    metrics: {t: 'loss=(?P<loss>\S+)'}
  twice:
    inline: 'test "$EXP_ATTEMPT" = 2'
    retry: {limit: 1}
    metrics: {t: 'loss=(?P<loss>\S+)'}
  half: {inline: 'echo loss=1', metrics: {t: ['loss=(?P<loss>\S+)', 'acc=(?P<acc>\S+)']}}
"""


@pytest.fixture(scope="module")
def ended(shared: Exp) -> tuple[Exp, Result]:
    """An experiment whose patterns did not all match, and what its run printed."""
    return shared, shared("run", shared.spec(SPEC), code=1)


def test_a_run_ends_with_one_warning(ended: tuple[Exp, Result]) -> None:
    """`exp run` and `exp status` name the tasks, but not those of which one attempt matched."""
    exp, run = ended
    for text in (run.stderr, exp("status", "patterns").stderr):
        (line,) = (line for line in text.splitlines() if "warning: metrics of" in line)
        assert r"metrics of comma: the pattern 'loss=(?P<loss>\S+)' matched only texts that are no" in line
        assert "so with never, twice, half; see: exp why patterns_" in line
    assert "warning" not in exp("status", "patterns", "good").stderr
    assert "metrics of never: " in exp("status", "patterns", "never").stderr


def test_documents_have_the_patterns(ended: tuple[Exp, Result]) -> None:
    """The status of a task lists its patterns, each with a word for the reason."""
    exp, _ = ended
    tasks = exp("status", "patterns", "--json").json["tasks"]
    reasons = {task["id"]: [entry["reason"] for entry in task["unmatched_metrics"]] for task in tasks}
    assert reasons == {
        "good": [],
        "comma": ["text"],
        "never": ["never", "never"],
        "later": [],
        "twice": ["never"],
        "half": ["never"],
    }


def test_a_pattern_beside_one_that_matched_is_reported(ended: tuple[Exp, Result]) -> None:
    """`exp metrics` shows the rows of the one, and says that the other matched nothing."""
    exp, _ = ended
    shown = exp("metrics", "patterns", "half")
    assert "t/loss" in shown.stdout
    (hint,) = (line for line in shown.stderr.splitlines() if line.startswith("hint:"))
    assert r"metrics.t: the pattern 'acc=(?P<acc>\S+)' matched no line of the output" in hint
    assert hint.endswith("the output begins with: loss=1")
    assert exp("metrics", "patterns", "good").stderr == ""


def test_the_first_lines_are_shown(ended: tuple[Exp, Result]) -> None:
    """`exp why`, and `exp metrics` without rows, show three short lines, without sequences."""
    exp, _ = ended
    why = exp("why", "patterns", "never").stdout
    assert f"the output begins with: one {'0' * 196}… | two | three" in why
    assert "four" not in why.partition("last lines")[0]
    assert "\033" not in why
    assert "that line: loss=0,5" in exp("why", "patterns", "comma").stdout
    assert "that line: loss=0,5" in exp("metrics", "patterns", "comma").stderr
    causes = exp("why", "patterns", "twice", "--json").json["tasks"][0]["causes"]
    assert [cause["message"] for cause in causes if cause["kind"] == "metrics"] == [
        r"metrics.t: the pattern 'loss=(?P<loss>\S+)' matched no line of the output, which is empty"
    ]
