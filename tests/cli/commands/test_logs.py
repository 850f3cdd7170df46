from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.terminals import CTRL_C, Terminal

if TYPE_CHECKING:
    from support.workspace import Exp

TWO = """
name: two
tasks:
  a: {inline: "for i in 1 2 3; do echo a$i; done"}
  b: {inline: "for i in 1 2 3; do echo b$i >&2; done", dependencies: [a]}
  c: {inline: "echo never", dependencies: [b], when: "${{ false }}"}
"""
WAITING = """
name: waiting
tasks:
  first: {inline: "echo one; touch begun; while [ ! -e go ]; do sleep 0.05; done; echo two"}
  second: {inline: "echo three", dependencies: [first]}
"""
RETRIED = """
name: retried
tasks:
  a: {inline: 'echo attempt $EXP_ATTEMPT; test "$EXP_ATTEMPT" = 2', retry: {limit: 1}}
"""


@pytest.fixture(scope="module")
def two(shared: Exp) -> Exp:
    """An experiment that has ended, with the logs of two tasks."""
    shared("run", shared.spec(TWO), "-q")
    return shared


def test_one_task_is_printed_as_it_is(two: Exp) -> None:
    """With a TASK its log is printed without anything added, error output in its place."""
    assert two("logs", "two", "b").stdout == "b1\nb2\nb3\n"


def test_all_tasks_are_led_by_their_id(two: Exp) -> None:
    """Without a TASK the logs of all follow in the order of the tasks, each line led by its own."""
    lines = [f"{task} | {task}{number}" for task in "ab" for number in (1, 2, 3)]
    assert two("logs").stdout.splitlines() == lines


def test_the_last_lines(two: Exp) -> None:
    """`-n` gives the last lines of each task."""
    assert two("logs", "two", "a", "-n", "2").stdout == "a2\na3\n"
    assert two("logs", "-n", "1").stdout == "a | a3\nb | b3\n"
    assert two("logs", "two", "a", "-n", "0").stdout == ""
    assert "whole number" in two("logs", "two", "a", "-n", "many", code=2).stderr


def test_lines_can_be_searched(two: Exp) -> None:
    """`--grep` keeps the lines in which a regular expression is found; a broken one is wrong usage."""
    assert two("logs", "--grep", "[ab]2$").stdout == "a | a2\nb | b2\n"
    assert two("logs", "two", "a", "--grep", "[12]", "-n", "1").stdout == "a2\n"
    assert "Python's re module" in two("logs", "--grep", "(", code=2).stderr


def test_lines_as_documents(two: Exp) -> None:
    """`--json` is an `exp.logs/1` for each line."""
    lines = [json.loads(line) for line in two("logs", "two", "a", "--json").stdout.splitlines()]
    assert lines[1] == {"schema": "exp.logs/1", "task": "a", "attempt": 1, "offset": 3, "text": "a2"}


def test_a_task_without_a_log_is_code_3(two: Exp) -> None:
    """A task that never began, and an attempt that never was, are not found, and why is told."""
    assert "SKIPPED" in two("logs", "two", "c", code=3).stderr
    assert "attempt 2" in two("logs", "two", "a", "--attempt", "2", code=3).stderr
    two("logs", "two", "a", "--attempt", "0", code=2)


def test_attempts_are_kept_apart(exp: Exp) -> None:
    """The latest attempt is shown, and each of them on demand."""
    exp("run", exp.spec(RETRIED), "-q")
    assert exp("logs", "retried", "a").stdout == "attempt 2\n"
    assert exp("logs", "retried", "a", "--attempt", "1").stdout == "attempt 1\n"


def test_bytes_that_are_no_text_are_shown(exp: Exp) -> None:
    """A pipe gets all bytes, a terminal only text and colours; an unfinished line is one, except as bytes."""
    exp("run", exp.spec("name: raw\ntasks: {a: {inline: \"printf 'x\\\\377\\\\033[1my'\"}}\n"), "-q")
    assert exp("logs", "raw", "a").stdout == "x\udcff\x1b[1my\n"
    assert exp("logs", "raw", "a", "--raw").stdout == "x\udcff\x1b[1my"
    assert exp("logs", "raw", "a", "--json").json["text"] == "x\ufffd\x1b[1my"
    assert exp.on_terminal("logs", "raw", "a", columns=80).stdout == "x\ufffd\x1b[1my\n\x1b[0m"
    assert exp.on_terminal("logs", "raw", "a", "--raw", columns=80).stdout == "x\udcff\x1b[1my"


def test_secrets_are_hidden_where_they_are_known(exp: Exp) -> None:
    """A secret that the reader has too is masked."""
    spec = exp.spec("name: s\nsecrets: {TOKEN: {env: TOKEN}}\ntasks: {a: {inline: echo $TOKEN}}\n")
    exp("run", spec, "-q", env={"TOKEN": "long-enough"})
    assert exp("logs", "s", "a", env={"TOKEN": "long-enough"}).stdout == "***\n"


def test_following_ends_with_the_task(exp: Exp) -> None:
    """`-f` gives lines as they come and ends when the task is over."""
    exp("run", exp.spec(WAITING), "-d")
    process = exp.start("logs", "waiting", "first", "-f")
    assert process.stdout is not None
    assert process.stdout.readline() == "one\n"
    (exp.folder / "go").touch()
    rest, _ = process.communicate(timeout=60)
    assert rest == "two\n"
    assert process.returncode == 0
    exp("wait")


def test_following_begins_before_the_task(exp: Exp) -> None:
    """`-f` waits for a task that has not begun."""
    exp("run", exp.spec(WAITING), "-d")
    process = exp.start("logs", "waiting", "second", "-f")
    (exp.folder / "go").touch()
    assert process.communicate(timeout=60)[0] == "three\n"


def test_following_all_ends_with_the_experiment(exp: Exp) -> None:
    """`-f` without a TASK leads the lines of all tasks by their ids until all is over."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    process = exp.start("logs", "-f")
    (exp.folder / "go").touch()
    lines = process.communicate(timeout=60)[0].splitlines()
    assert lines == ["first | one", "first | two", "second | three"]


def test_following_goes_on_with_new_attempts(exp: Exp) -> None:
    """`-f` follows a task from attempt to attempt."""
    spec = exp.spec(
        "name: again\n"
        "tasks:\n"
        "  a:\n"
        "    inline: |\n"
        "      echo attempt $EXP_ATTEMPT; touch begun$EXP_ATTEMPT\n"
        '      while [ ! -e go ]; do sleep 0.05; done; test "$EXP_ATTEMPT" = 2\n'
        "    retry: {limit: 1}\n"
    )
    exp("run", spec, "-d")
    eventually((exp.folder / "begun1").exists)
    process = exp.start("logs", "again", "a", "-f")
    assert process.stdout is not None
    assert process.stdout.readline() == "attempt 1\n"
    (exp.folder / "go").touch()
    assert process.communicate(timeout=60)[0] == "attempt 2\n"


def test_following_is_left_with_ctrl_c(exp: Exp) -> None:
    """Ctrl-C while following is exit code 130, and the experiment goes on."""
    exp("run", exp.spec(WAITING), "-d")
    terminal = Terminal([*exp.argv, "logs", "-f"], env=exp.env, cwd=exp.folder)
    terminal.until("one")
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    (exp.folder / "go").touch()
    exp("wait")


@pytest.mark.parametrize("kind", ["mkfifo", "mkdir"])
def test_a_log_that_is_no_file_any_more_is_told(exp: Exp, kind: str) -> None:
    """What a task puts in the place of its log hangs no command, and the other logs are shown."""
    replaced = f"L=$(readlink /proc/$$/fd/1); rm $L; {kind} $L; exit 1"
    exp.spec(
        "name: s\ntasks:\n  ok: echo fine\n  odd:\n"
        f"    inline: '{replaced}'\n    retry: {{limit: 1, on: [{{log: never}}]}}\n"
        "    metrics: {m: '(?P<x>[0-9]+)'}\n".replace("ok: echo fine", "ok: {inline: echo fine}")
    )
    exp("run", "spec.yaml", code=1)
    refused = exp("logs", "s", "odd", code=3)
    assert "the log of attempt 1 of odd is not a regular file any more" in refused.stderr
    assert "fine" in exp("logs", "s").stdout
    assert "it is not a regular file" in exp("why", "s", "odd").stdout


def test_standard_error_is_printed_on_request(exp: Exp) -> None:
    """`--stderr` prints that of the tasks that have it apart; of others it is in the log."""
    tasks = {
        "a": {"inline": "echo a; for i in 1 2 3; do echo e$i >&2; done", "stderr_to_stdout": False},
        "b": {"inline": "echo b; echo f >&2"},
        "both": {"group": [{"inline": "echo c >&2"}], "stderr_to_stdout": False},
    }
    exp("run", exp.spec(json.dumps({"name": "apart", "tasks": tasks})), "-q")
    assert exp("logs", "apart", "a").stdout == "a\n"
    assert exp("logs", "apart", "b").stdout == "b\nf\n"
    assert exp("logs", "apart", "a", "--stderr", "-n", "2").stdout == "e2\ne3\n"
    assert exp("logs", "apart", "a", "--stderr", "-f", "--grep", "1").stdout == "e1\n"
    everything = exp("logs", "apart", "--stderr").stdout.split("\n")
    assert [line.split()[-1] for line in everything if line] == ["e1", "e2", "e3", "c"]
    assert "is in its log" in exp("logs", "apart", "b", "--stderr", code=3).stderr
    assert exp("show", "apart", "--json").code == 0
