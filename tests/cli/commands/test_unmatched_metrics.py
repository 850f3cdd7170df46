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
        assert "so with" not in line
        assert "; see: exp why patterns_" in line
        assert "; and patterns of 3 other tasks: exp why patterns_" in line
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


def test_only_tasks_with_the_same_pattern_and_reason_are_one_group(ended: tuple[Exp, Result]) -> None:
    """A warning names the tasks of which it is true, and counts the others."""
    exp, _ = ended
    warning = exp("metrics", "patterns").stderr
    assert "metrics of comma: " in warning
    exp("run", exp.spec(ALIKE))
    line = exp("metrics", "alike").stderr + exp("status", "alike").stderr
    assert "metrics of a: no line of the output was a JSON object with numbers; so with c; see: " in line
    assert "; and patterns of 1 other task: exp why alike_" in line
    assert "the JSON objects in the output have no numbers; that line: {" in exp("why", "alike", "b").stdout


ALIKE = """
name: alike
tasks:
  a: {inline: "true", metrics: {j: json}}
  b:
    inline: |
      echo '{"loss": "0.5"}'
    metrics: {j: json}
  c: {inline: "true", metrics: {i: json, k: 'k=(?P<k>.+)'}}
"""


def test_a_metric_that_is_missing_is_explained_by_its_pattern(ended: tuple[Exp, Result]) -> None:
    """The error about an unknown series or field says how the pattern that names it failed."""
    exp, _ = ended
    spec = (
        "name: named\ntasks: {a: {inline: echo loss=1, metrics: {t: 'loss=(?P<loss>.+)', e: '(?P<acc>a+)b'}}}"
    )
    exp("run", exp.spec(spec))
    for key in ("e", "acc", "e/*"):
        error = exp("metrics", "named", "-k", key, code=2).stderr
        assert f"there is no metric '{key}': in a, the pattern '(?P<acc>a+)b' matched no line" in error
    assert "pattern" not in exp("metrics", "named", "-k", "x", code=2).stderr
    assert "warning" not in exp("metrics", "named", "-k", "loss").stderr
    assert "hint: a: metrics.e: the pattern '(?P<acc>a+)b'" in exp("metrics", "named").stderr
