"""Retries by what the output says, and by which rule each of them is made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from support.workspace import events

from nemorun_cli.system import log_search
from nemorun_cli.system.log_search import SearchPatternError

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

FLAKY = 'echo "RuntimeError: NCCL timeout after 30 s"; exit 9'


def retried(workspace: ExpWorkspace, script: str, on: list[Any], **task: Any) -> tuple[int, dict[str, Any]]:
    """How many attempts a task had, and its last retry."""
    run = workspace.start({"a": {"inline": script, "retry": {"limit": 2, "on": on}, **task}})
    state = run.wait(timeout=60).history.tasks["a"]
    found = [event for event in events(run) if event["event"] == "retried"]
    return state.attempt, found[-1] if found else {}


@pytest.mark.parametrize(
    ("script", "on", "rule", "attempts"),
    [
        (FLAKY, [{"log": "NCCL (error|timeout)"}], "log: NCCL (error|timeout)", 3),
        (FLAKY, [{"log": "nothing like it"}], None, 1),
        (FLAKY, [{"log": "nothing"}, {"log": "^RuntimeError"}, 75], "log: ^RuntimeError", 3),
        (FLAKY, [9, {"log": "NCCL"}], "9", 3),
        (FLAKY, ["exit"], "exit", 3),
        (FLAKY, ["any"], "any", 3),
        (FLAKY, ["oom", "timeout", "preempted", "node_fail", "lost"], None, 1),
        ("kill -KILL $$", ["exit"], "exit", 3),
        (
            "echo 'nonsense' >\"$EXP_OUTPUT\"; echo broken pipe",
            [{"log": "broken pipe"}],
            "log: broken pipe",
            3,
        ),
        ("echo NCCL", [{"log": "NCCL"}], None, 1),
    ],
)
def test_failure_is_retried_by_the_rule_that_names_it(
    workspace: ExpWorkspace, script: str, on: list[Any], rule: str | None, attempts: int
) -> None:
    """What names a failure in `retry.on` makes another attempt, and the ledger says which it was."""
    count, event = retried(workspace, script, on)
    assert (count, event.get("rule")) == (attempts, rule)


def test_timeout_and_outputs_have_rules_too(workspace: ExpWorkspace) -> None:
    """A timeout is retried by its name."""
    count, event = retried(workspace, "sleep 30", ["timeout"], timeout=1, stop_grace=1)
    assert (count, event["rule"], event["after"]) == (3, "timeout", "timeout")


def test_why_tells_the_rule(workspace: ExpWorkspace) -> None:
    """`exp why` says by which rule an attempt was a retry, and that no rule names a failure."""
    script = f'test "$EXP_ATTEMPT" = 2 && exit 3; {FLAKY}'
    run = workspace.start({"a": {"inline": script, "retry": {"limit": 5, "on": [{"log": "NCCL"}]}}})
    run.wait(timeout=60)
    told = workspace.exp("why", run.id, "a").stdout
    assert "attempt 2 is a retry by retry.on (log: NCCL), after exit" in told
    assert "it is not retried: retry.on (log: NCCL) does not name this failure" in told
    assert "by retry.on log: NCCL" in workspace.exp("events", run.id).stdout


def test_cancel_is_never_retried(workspace: ExpWorkspace) -> None:
    """A pattern in the output does not bring back what was cancelled."""
    script = "echo NCCL; sleep 60"
    run = workspace.start({"a": {"inline": script, "retry": {"limit": 2, "on": [{"log": "NCCL"}, "any"]}}})
    assert run.cancel().history.tasks["a"].attempt == 1


def test_pattern_that_is_none_is_told_once(workspace: ExpWorkspace) -> None:
    """What is no regular expression is a problem with its place, one for all members of a sweep."""
    spec = workspace.spec(
        {"a": {"inline": ":", "retry": {"limit": 1, "on": [{"log": "a("}]}, "matrix": {"n": [1, 2]}}}
    )
    told = workspace.exp("validate", spec, code=2).stderr
    assert told.count("tasks.a.retry.on") == 1
    assert "'a(' is not a regular expression: missing )" in told


def test_only_the_end_of_an_output_counts(tmp_path: Path) -> None:
    """Of an output of any size the last 64 KiB are looked at."""
    log = tmp_path / "log"
    log.write_text("early\n" + "x" * 70_000 + "\nlate\n")
    assert log_search.found(log, ["early"], report=print) is None
    assert log_search.found(log, ["early", "late"], report=print) == "late"
    assert log_search.found(tmp_path / "none", ["late"], report=print) is None


def test_lines_are_looked_at_without_their_colours(tmp_path: Path) -> None:
    """Colours are taken out, a carriage return ends a line, and what is no text does no harm."""
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[31mError\x1b[0m: 5%\rdone\xff\n")
    assert log_search.found(log, ["^Error: 5%$"], report=print)
    assert log_search.found(log, ["^done"], report=print)


def test_pattern_that_takes_for_ever_is_given_up(tmp_path: Path) -> None:
    """A pattern that is exponential in its line costs a second, is told, and the next one is tried."""
    log, told = tmp_path / "log", list[str]()
    log.write_text("a" * 60 + "!\n")
    before = time.monotonic()
    assert log_search.found(log, ["(a+)+$", "!"], report=told.append) == "!"
    assert time.monotonic() - before < 10
    assert told == ["the pattern '(a+)+$' of retry.on took more than 1 s for a line: skipped"]


def test_no_pattern_is_an_error() -> None:
    """What is no regular expression is refused."""
    with pytest.raises(SearchPatternError, match="is not a regular expression"):
        log_search.compiled("(")
