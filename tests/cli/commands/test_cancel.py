from __future__ import annotations

from typing import TYPE_CHECKING

from support.patience import eventually

if TYPE_CHECKING:
    from support.workspace import Exp

PAIR = """
name: pair
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done"}
  b: {inline: "while [ ! -e go ]; do sleep 0.05; done"}
  c: {inline: echo after, dependencies: [a]}
"""
DEAF = """
name: deaf
tasks:
  a: {inline: "trap '' TERM; touch begun; while [ ! -e go ]; do sleep 0.05; done", stop_grace: 1h}
"""


def _running(exp: Exp, spec: str) -> str:
    experiment_id = exp("run", exp.spec(spec), "-d").stdout.strip()
    eventually(lambda: (exp.folder / "begun").exists() and exp.task("a")["status"] == "RUNNING")
    return experiment_id


def test_it_never_guesses_the_experiment(exp: Exp) -> None:
    """Without an experiment `cancel` is wrong usage: the latest may not be the one that was meant."""
    assert "EXP" in exp("cancel", code=2).stderr


def test_the_whole_is_gone_when_it_returns(exp: Exp) -> None:
    """`cancel` returns when all tasks are gone and the experiment is CANCELLED."""
    experiment_id = _running(exp, PAIR)
    told = exp("cancel", experiment_id)
    assert "3 task(s) terminated" in told.stderr
    assert exp.status()["status"] == "CANCELLED"


def test_some_tasks_leave_the_others_running(exp: Exp) -> None:
    """A cancelled task takes along what needs it; the others go on."""
    experiment_id = _running(exp, PAIR)
    assert exp("cancel", experiment_id, "a", "-q").stdout == "a\n"
    assert exp.task("b")["status"] == "RUNNING"
    eventually(lambda: exp.task("c")["status"] == "SKIPPED")
    assert "nothing to cancel, these have already finished\n" in exp("cancel", experiment_id, "a").stderr
    (exp.folder / "go").touch()
    exp("wait", code=1)


def test_the_document_names_what_it_ended(exp: Exp) -> None:
    """`exp.cancel/1` lists the tasks that were not over before, and how they stand."""
    experiment_id = _running(exp, PAIR)
    document = exp("cancel", experiment_id, "--json").json
    assert document["schema"] == "exp.cancel/1"
    assert document["status"] == "CANCELLED"
    assert {task["id"]: task["status"] for task in document["tasks"]} == dict.fromkeys("abc", "CANCELLED")


def test_what_is_over_stays_as_it_is(exp: Exp) -> None:
    """Cancelling what is over changes nothing and says so."""
    exp("run", exp.spec("name: done\ntasks: {a: {command: 'true'}}\n"), "-q")
    assert "nothing to cancel, already finished (COMPLETED)" in exp("cancel", "done").stderr
    assert exp.status()["status"] == "COMPLETED"


def test_signal_and_grace_can_be_chosen(exp: Exp) -> None:
    """`--grace 0` kills at once what is deaf to its stop signal; an unknown signal is wrong usage."""
    experiment_id = _running(exp, DEAF)
    exp("cancel", experiment_id, "--signal", "BOGUS", code=2)
    exp("cancel", experiment_id, "--grace", "soon", code=2)
    exp("cancel", experiment_id, "--signal", "KILL", "--grace", "0")
    assert exp.task("a")["status"] == "CANCELLED"


def test_an_unknown_task_cancels_nothing(exp: Exp) -> None:
    """A task that is not there is exit code 3, and nothing else is touched."""
    experiment_id = _running(exp, PAIR)
    exp("cancel", experiment_id, "a", "nothing", code=3)
    assert exp.task("a")["status"] == "RUNNING"
    exp("cancel", experiment_id)
