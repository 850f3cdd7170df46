"""What is shown of a search before it runs: by `validate`, `graph` and the dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC: Final = """
name: study
tasks:
  train:
    command: [echo, "${{ search.lr }}"]
    search:
      params:
        optimizer: [sgd, adam]
        lr: {type: float, low: 0.001, high: 0.1, log: true}
        layers: {type: int, low: 2, high: 8, step: 2}
        momentum: {type: float, low: 0, high: 1, when: "${{ search.optimizer == 'sgd' }}"}
      metric: loss
      goal: minimize
      trials: 40
      timeout: 2h
      max_parallel: 4
      seed: 7
      pruner: {type: median, startup_trials: 3}
  report: {command: [echo, done], dependencies: [train]}
"""
LINES: Final = """\
train: 40 trials, at most 4 at once, started within 2h, sampler tpe, pruner median; minimize loss
   optimizer  sgd, adam
   lr         float from 0.001 to 0.1, log
   layers     int from 2 to 8, step 2
   momentum   float from 0 to 1, when ${{ search.optimizer == 'sgd' }}
"""


def test_the_space_and_the_number_of_trials_are_shown(exp: Exp) -> None:
    """`validate`, `graph` and the dry run have the same lines about a search."""
    spec = exp.spec(SPEC)
    assert LINES in exp("validate", spec).stdout
    drawn = exp("graph", spec).stdout
    assert LINES in drawn
    assert "train \N{MULTIPLICATION SIGN}40 trials over 4 params best by loss" in drawn
    assert LINES in exp("run", spec, "--dry-run").stdout


def test_the_dry_run_has_one_trial_for_all(exp: Exp) -> None:
    """Trials differ in their values alone, so one of them is shown, and its search stands for all of them."""
    shown = exp("run", exp.spec(SPEC), "--dry-run").stdout
    assert "1. train/trial-0001 and 39 more like it" in shown
    assert "train/trial-0002" not in shown
    assert "later:    filled in after its trial has values: /body/1" in shown
    assert "needs:    train (40 trials) (afterok)" in shown


def test_the_documents_have_the_search(exp: Exp) -> None:
    """The documents of all three have the search in the same form, and the trials as tasks."""
    spec = exp.spec(SPEC)
    plan = exp("run", spec, "--dry-run", "--json").json
    assert [task["id"] for task in plan["tasks"]][-2:] == ["train/trial-0040", "report"]
    (search,) = plan["searches"]
    assert (search["id"], search["trials"], search["timeout"], search["seed"]) == ("train", 40, 7200, 7)
    assert search["goals"] == [{"metric": "loss", "goal": "minimize"}]
    assert search["pruner_options"] == {"n_startup_trials": 3}
    assert [param["text"] for param in search["params"]][1] == "float from 0.001 to 0.1, log"
    assert exp("validate", spec, "--json").json["searches"] == [search]
    assert exp("graph", spec, "--json").json["searches"] == [search]


BEST: Final = """
name: study
tasks:
  own:
    command: [echo, "${{ search.lr }}"]
    search: {params: {lr: [1, 2]}, metric: loss, goal: minimize, trials: 2}
  other:
    command: [echo, "${{ search.lr }}"]
    search: {params: {lr: [1, 2]}, metric: loss, goal: minimize, trials: 2}
    best: {metric: outputs.accuracy, goal: maximize}
  sweep: {command: [echo, "${{ matrix.n }}"], matrix: {n: [1, 2]}, best: {metric: "loss:min"}}
  plain: {command: [echo], matrix: {n: [1, 2]}}
"""


def test_the_dry_run_has_what_the_best_members_are_chosen_by(exp: Exp) -> None:
    """The document has it of each group with a best member, the text unless it is the goal of its search."""
    spec = exp.spec(BEST)
    plan = exp("run", spec, "--dry-run", "--json").json
    assert plan["best"] == [
        {"group": "own", "metric": "loss", "goal": "minimize"},
        {"group": "other", "metric": "outputs.accuracy", "goal": "maximize"},
        {"group": "sweep", "metric": "loss:min", "goal": "minimize"},
    ]
    shown = exp("run", spec, "--dry-run").stdout
    lines = [line for line in shown.splitlines() if line.startswith("best of")]
    assert lines == ["best of other: maximize outputs.accuracy", "best of sweep: minimize loss:min"]
