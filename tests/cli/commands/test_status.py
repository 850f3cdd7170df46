from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.terminals import CTRL_C, Terminal

if TYPE_CHECKING:
    from support.workspace import Exp

DAG = """
name: dag
description: A small one
tags: [demo, small]
tasks:
  prepare: {inline: 'echo n=1 >> "$EXP_OUTPUT"'}
  evaluate:
    group:
      - {inline: "true"}
      - {name: val, inline: exit 3}
    dependencies: [prepare]
  report: {inline: "true", dependencies: [evaluate]}
"""
WAITING = """
name: waiting
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done"}
"""


@pytest.fixture(scope="module")
def ended(shared: Exp) -> Exp:
    """A small experiment that has ended."""
    shared("run", shared.spec(DAG), "--key", "k7", code=1)
    return shared


def _cells(text: str, task: str) -> list[str]:
    return next(line for line in text.splitlines() if task in line.split()).split()


def test_the_table_shows_every_task(ended: Exp) -> None:
    """A task is a line: number, status, executor, job id, attempt, duration, exit code, folder, reason."""
    shown = ended("status").stdout
    number, task, status, executor, job, attempt, duration, code, folder, *reason = _cells(
        shown, "evaluate/val"
    )
    assert (number, task, status, executor, attempt, code) == (
        "2",
        "evaluate/val",
        "FAILED",
        "local",
        "1",
        "3",
    )
    assert job.isdigit()
    assert duration.endswith("s")
    assert folder == "tasks/evaluate/val/attempt-1"
    assert reason == ["exit", "code", "3"]
    assert (ended.directory() / folder).is_dir()
    assert "evaluate/val is FAILED" in shown


def test_a_group_stands_above_its_members(ended: Exp) -> None:
    """A group has a line that sums up the members indented below it."""
    lines = ended("status").stdout.splitlines()
    index = next(i for i, line in enumerate(lines) if line.split()[:2] == ["-", "evaluate"])
    assert "1/2 done · 1 failed" in lines[index]
    assert lines[index + 1].startswith("1    evaluate/0")


def test_the_header_tells_of_the_whole(ended: Exp) -> None:
    """Above the table stand id, status, counts, supervisor, folder, key, tags and description."""
    shown = ended("status").stdout
    for text in (
        "FAILED",
        "2 SUCCEEDED, 1 FAILED, 1 SKIPPED",
        "ended (pid",
        "k7",
        "demo, small",
        "A small one",
    ):
        assert text in shown
    assert str(ended.directory()) in shown


def test_a_task_can_be_asked_for(ended: Exp) -> None:
    """A task is found by its id, number or beginning, a group by its name; one task is told in full."""
    for which in ("prepare", "0", "prep"):
        assert "output:     n = '1'" in ended("status", "dag", which).stdout
    assert "report" not in ended("status", "dag", "evaluate").stdout
    document = ended("status", "dag", "evaluate", "--json").json
    assert [task["id"] for task in document["tasks"]] == ["evaluate/0", "evaluate/val"]


def test_what_is_not_there_is_code_3_and_what_is_not_unique_code_2(ended: Exp) -> None:
    """A task that is not there is told with the near ones, an ambiguous one with the candidates."""
    assert "did you mean 'prepare'" in ended("status", "dag", "prepara", code=3).stderr
    assert "evaluate/val" in ended("status", "dag", "evaluate/", code=2).stderr


def test_exit_code_tells_the_status(exp: Exp) -> None:
    """`--exit-code` ends with the code of the status, 4 while it runs; without it a look is 0."""
    first = exp("run", exp.spec(DAG), "-q", code=1).stdout.strip()
    exp("status", first, "--exit-code", code=1)
    exp("status", first)
    exp("run", exp.spec(WAITING), "-d")
    exp("status", "--exit-code", code=4)
    (exp.folder / "go").touch()
    exp("wait")
    exp("status", "--exit-code")


def test_quiet_prints_ids_only(exp: Exp) -> None:
    """`-q` prints the experiment's id, or those of the tasks asked for."""
    first = exp("run", exp.spec(DAG), "-q", code=1).stdout
    assert exp("status", "-q").stdout == first
    assert exp("status", "dag", "evaluate", "-q").stdout == "evaluate/0\nevaluate/val\n"


def test_a_supervisor_that_is_gone_is_told_with_the_remedy(exp: Exp) -> None:
    """After a kill -9 the next look says that the supervisor is gone, and how to go on."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    os.kill(exp.status()["supervisor"]["pid"], signal.SIGKILL)
    shown = eventually(lambda: (text := exp("status").stdout) and "terminated" in text and text)
    assert "exp resume waiting_" in shown
    assert "1 task(s) still running" in shown
    (exp.folder / "go").touch()
    exp("resume", "waiting")


def test_a_torn_tail_is_reported(exp: Exp) -> None:
    """What was an incomplete batch at the end of a ledger is passed over, and said so."""
    exp("run", exp.spec(DAG), code=1)
    with (exp.directory() / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b'{"event":"en')
    told = exp("status")
    assert "an incomplete batch" in told.stderr
    assert "FAILED" in told.stdout


def test_watching_ends_with_the_experiment(exp: Exp) -> None:
    """`--watch` tells each change as a line, and ends when the experiment is over."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    process = exp.start("status", "--watch")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("experiment:")
    (exp.folder / "go").touch()
    rest, _ = process.communicate(timeout=60)
    assert "a: SUCCEEDED" in rest
    assert rest.splitlines()[-1].endswith("COMPLETED")
    assert process.returncode == 0


SEARCH = """
name: study
tasks:
  train:
    inline: 'until [ -e "go$1" ]; do sleep 0.02; done; echo loss=$1'
    args: ["${{ search.x }}"]
    metrics: {train: 'loss=(?P<loss>.*)'}
    search:
      params: {x: {choices: [3, 1, 2]}}
      start_with: [{x: 3}, {x: 1}, {x: 2}]
      metric: loss
      goal: minimize
      trials: 3
      sampler: random
      max_parallel: 1
"""


def test_watching_shows_the_best_so_far(exp: Exp) -> None:
    """`--watch` has the best trial of a search once a better one has ended, as lines and on a terminal."""
    exp("run", exp.spec(SEARCH), "-d")
    process = exp.start("status", "--watch")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("experiment:")
    terminal = Terminal([*exp.argv, "status", "--watch"], env=exp.env, cwd=exp.folder)
    terminal.until("RUNNING")
    for value, number in ((3, 1), (1, 2)):
        (exp.folder / f"go{value}").touch()
        best = f"the best of train so far is train/trial-000{number}, loss {value}"
        terminal.until(best)
        assert any(line.startswith(best) for line in process.stdout)
    (exp.folder / "go2").touch()
    assert terminal.end() == 0
    rest, _ = process.communicate(timeout=60)
    assert "so far" not in rest, "the third trial is no better"
    assert "the best of train is train/trial-0002" in rest


def test_watching_as_documents(exp: Exp) -> None:
    """`--watch --json` is a document for each change, the last of them the end."""
    exp("run", exp.spec(WAITING), "-d")
    process = exp.start("status", "--watch", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["status"] == "RUNNING"
    (exp.folder / "go").touch()
    rest, _ = process.communicate(timeout=60)
    assert json.loads(rest.splitlines()[-1])["status"] == "COMPLETED"


def test_watching_on_a_terminal_is_left_with_ctrl_c(exp: Exp) -> None:
    """On a terminal `--watch` redraws the table; Ctrl-C is exit code 130 and harms nobody."""
    exp("run", exp.spec(WAITING), "-d")
    terminal = Terminal([*exp.argv, "status", "--watch"], env=exp.env, cwd=exp.folder)
    terminal.until("RUNNING")
    terminal.until("local")
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    assert exp.status()["status"] == "RUNNING"
    exp("cancel", "waiting")


def test_a_narrow_terminal_leaves_out_the_folder(exp: Exp) -> None:
    """Where the table does not fit, the column goes that the header tells of anyway."""
    exp("run", exp.spec(DAG), code=1)
    narrow = Terminal([*exp.argv, "status"], env=exp.env, cwd=exp.folder, columns=80)
    narrow.end()
    wide = Terminal([*exp.argv, "status"], env=exp.env, cwd=exp.folder, columns=160)
    wide.end()
    assert "DIRECTORY" not in narrow.seen
    assert "tasks/TASK/attempt-N" in narrow.seen
    assert "DIRECTORY" in wide.seen


def test_many_tasks_are_not_drawn(exp: Exp) -> None:
    """More than 200 tasks are plain lines even on a terminal."""
    skipped = "".join(f"  t{number}: {{command: 'true', when: false}}\n" for number in range(1, 201))
    exp("run", exp.spec(f"name: many\ntasks:\n  t0: {{command: 'true'}}\n{skipped}"), "-q")
    assert exp.task("t0")["status"] == "SUCCEEDED"
    terminal = Terminal([*exp.argv, "status"], env=exp.env, cwd=exp.folder)
    terminal.end()
    assert "t200" in terminal.seen
    assert "\x1b[32m" not in terminal.seen
