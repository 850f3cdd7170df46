"""What people see of a search, from its resolved spec and its ledger alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import made_searches
from support.extent import amount
from support.made_searches import RULE, TRIALS, MadeTrial

from nemorun_cli.model.best import Goal
from nemorun_cli.model.clock import unix
from nemorun_cli.model.search import trial_id
from nemorun_cli.model.spec import Group
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage.state import ExperimentState, TaskState
from nemorun_cli.views import sweeps
from nemorun_cli.views.searches import StudyView

if TYPE_CHECKING:
    from support.workspace import Exp

SCHEMAS = Path(__file__).parents[2] / "schemas"
TWO_GOALS = replace(
    RULE, metrics=("loss:min", "size"), goals=(Goal.MINIMIZE, Goal.MAXIMIZE), trials=4, pruner=None
)
FOUND = "the best of train so far is train/trial-0003, loss:min 0.125 (lr=0.031, units=96, kind=relu)"


@pytest.fixture
def made(exp: Exp) -> Exp:
    """The command in a home with a search of which six of eight trials have a suggestion."""
    made_searches.make(exp.home)
    return exp


def checked(exp: Exp, *words: str, schema: str) -> dict[str, Any]:
    """The document of a command, which its schema accepts."""
    document: dict[str, Any] = json.loads(exp(*words, code=None).stdout)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.schema.json").read_text(encoding="utf-8")))
    return document


def test_the_line_of_a_search_counts_pruned_beside_done(made: Exp) -> None:
    """A pruned trial is not done; the best so far follows the table, with its value and params."""
    shown = made("status", "study", code=None).stdout.splitlines()
    assert any("3/8 done · 1 pruned · " in line for line in shown)
    assert FOUND in shown


def test_documents_have_the_state_of_a_search(made: Exp) -> None:
    """Status has counts, the best and the trial of each task; show also the history and slices."""
    status = checked(made, "status", "study", "--json", schema="status")
    assert status["groups"] == [{"id": "train", "members": 8, "done": 3, "pruned": 1, "cached": 0}]
    (search,) = status["searches"]
    assert search["best"] == {
        "id": "train/trial-0003",
        "task": "train/trial-0003",
        "number": 3,
        "params": TRIALS[2].params,
        "values": [0.125],
    }
    assert [search["counts"][name] for name in ("complete", "pruned", "pending")] == [3, 1, 2]
    trials = {task["id"]: task["trial"] for task in status["tasks"]}
    assert trials["last"] is None
    assert trials["train/trial-0007"]["params"] is None
    assert trials["train/trial-0002"]["pruned_at"] == 3
    (study,) = checked(made, "show", "study", "--json", schema="show")["searches"]
    assert [entry["outcome"] for entry in study["history"]][:4] == [
        "complete",
        "pruned",
        "complete",
        "failed",
    ]
    assert study["slices"][0]["points"][1] == {"number": 3, "value": 0.031, "values": [0.125]}
    assert study["importances"] is None
    assert "3 of the 4 complete trials" in study["importances_message"]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("train", [FOUND, "1 pruned: train/trial-0002 (loss:min 0.93 at 3)", "2 trials have not started"]),
        (
            "train/trial-0001",
            ["lr=0.1, units=64, kind=relu (from start_with, the others suggested", "number 2 of 3"],
        ),
        (
            "train/trial-0002",
            ["above the median 0.4 of 2 trials", "the pruner median judged loss:min 0.93 at 3"],
        ),
        ("train/trial-0003", ["its result: loss:min 0.125, the smallest of 3 so far"]),
        ("train/trial-0004", ["failed with exit code 1: CUDA out of memory", "lr=0.9, units=128, kind=tanh"]),
        ("train/trial-0007", ["nothing starts it: its supervisor has terminated"]),
    ],
)
def test_why_explains_a_search_and_each_trial(made: Exp, task: str, said: list[str]) -> None:
    """Of a search what it found and what it waits for; of a trial its params and its result."""
    text = made("why", "study", task).stdout
    assert all(part in text for part in said), text


def test_a_trial_that_never_starts_says_why(exp: Exp) -> None:
    """Once the search is over, a trial without a suggestion is SKIPPED, with the reason of the search."""
    made_searches.make(exp.home, trials=TRIALS[:3], status="COMPLETED")
    assert "the search is over: all its trials were started" in exp("why", "study", "train/trial-0005").stdout
    document = checked(exp, "why", "study", "train", "--json", schema="why")
    assert document["searches"][0]["counts"]["skipped"] == 5
    assert document["searches"][0]["explanation"][0].startswith("the best of train is train/trial-0003")


def test_several_goals_have_a_front_and_no_best(exp: Exp) -> None:
    """Of several goals the trials that no other one dominates are counted and listed."""
    values = [(0.3, 10.0), (0.2, 5.0), (0.4, 9.0), (0.2, 7.0)]
    trials = tuple(MadeTrial(params={"lr": 0.1, "units": 8}, values=pair) for pair in values)
    made_searches.make(exp.home, rule=TWO_GOALS, trials=trials, status="COMPLETED")
    (search,) = checked(exp, "status", "study", "--json", schema="status")["searches"]
    assert search["best"] is None
    assert [entry["number"] for entry in search["front"]] == [1, 4]
    assert "train: 2 trials are not dominated by another (loss:min, size)" in exp("status", "study").stdout


def state_of(values: list[tuple[float, float] | None]) -> tuple[Group, ExperimentState]:
    """A search with two goals whose trials ended with these values, or FAILED."""
    names = [trial_id("g", number + 1) for number in range(len(values))]
    group = Group(id="g", members=tuple(names), search=replace(TWO_GOALS, trials=len(values)))
    history = ExperimentState({name: TaskState() for name in names})
    for number, (name, pair) in enumerate(zip(names, values, strict=True), start=1):
        of = {"task": name, "attempt": 1, "time": "2026-01-01T00:00:00.000Z", "by": "a"}
        status = "FAILED" if pair is None else "SUCCEEDED"
        result = {"outcome": "failed"} if pair is None else {"outcome": "complete", "values": list(pair)}
        history.apply_all(
            [
                {"event": "suggested", **of, "number": number, "params": {"lr": 0.1}},
                *({"event": kind, **of} for kind in ("submitted", "started")),
                {"event": "ended", **of, "status": status},
                {"event": "trial_ended", **of, "number": number, **result},
            ]
        )
    return group, history


numbers = st.integers(0, 4).map(float)


@settings(max_examples=amount(20, long=500))
@given(st.lists(st.one_of(st.none(), st.tuples(numbers, numbers)), min_size=1, max_size=amount(8, long=30)))
def test_the_front_is_what_no_other_trial_dominates(values: list[tuple[float, float] | None]) -> None:
    """A trial is in the front exactly if none is as good by every goal, and better by one."""
    group, history = state_of(values)
    study = StudyView.of(group, history)
    assert study is not None
    pairs = [(number, pair) for number, pair in enumerate(values, start=1) if pair is not None]
    expected = [
        number
        for number, (loss, size) in pairs
        if not any(other[0] <= loss and other[1] >= size and other != (loss, size) for _, other in pairs)
    ]
    assert [trial.number for trial in study.front] == expected


def test_an_estimate_says_what_it_is_based_on() -> None:
    """Pruned trials count with the time that they took, and none starts after the timeout of the search."""
    group = Group(id="g", members=tuple(trial_id("g", number) for number in range(1, 11)), search=RULE)
    begin, end = "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:20.000Z"
    over = TaskState(status=TaskStatus.SUCCEEDED, started=begin, ended=end)
    pruned = replace(over, reason=Reason.PRUNED, ended="2026-01-01T00:00:10.000Z")
    live = TaskState(status=TaskStatus.RUNNING, started=end)
    states = [over, pruned, live, *(TaskState() for _ in range(7))]
    now = unix(end)
    progress = sweeps.progress(states, group, now=now, is_supervised=True)
    assert progress.line == "1/10 done · 1 pruned · ~2m left"
    assert progress.estimate == "~2m left: 2 trials took 15s on average, 1 of them pruned; 1 runs at once"
    limited = sweeps.progress(states, group, now=now, is_supervised=True, starts_until=now + 10)
    assert limited.estimate is not None
    assert limited.estimate.startswith("~25s left: ")
    assert limited.estimate.endswith("; none starts after its timeout")


def test_a_thousand_trials_are_not_a_list_of_a_thousand_lines(exp: Exp) -> None:
    """Completion offers how ids continue, at most some dozens at once, up to the single trial."""
    made_searches.make(exp.home, rule=replace(RULE, trials=1000))

    def offered(word: str) -> list[str]:
        env = {"_EXP_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"exp why study {word}"}
        return exp.process(env=env).stdout.split()

    assert str(offered("train/")).count("trial-") < 10
    assert "train/trial-0007" in str(offered("train/trial-000"))
