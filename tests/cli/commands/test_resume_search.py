"""`exp resume --spec` of a search: what may change once it has suggested values, and what goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from support.changed_specs import attempts, change, plan

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC: Final = """
name: study
tasks:
  train:
    inline: 'echo "loss:=$1" >> "$EXP_OUTPUT"'
    args: ["${{ search.x }}"]
    search:
      params: {x: {type: float, low: 0, high: 1}}
      metric: outputs.loss
      goal: minimize
      trials: 2
      max_parallel: 1
      sampler: random
  report: {command: [echo, "${{ tasks.train.best.params.x }}"], dependencies: [train]}
"""


FIXED: Final = (
    ("high: 1", "high: 2", "params"),
    ("goal: minimize", "goal: maximize", "goal"),
    ("outputs.loss", "outputs.value", "metric"),
    ("sampler: random", "sampler: tpe", "sampler"),
    ("sampler: random", "sampler: random\n      seed: 7", "seed"),
    ("sampler: random", "start_with: [{x: 0.5}]\n      sampler: random", "start_with"),
)


def test_more_trials_are_added_to_those_there_are(exp: Exp) -> None:
    """What suggestions depend on cannot change; with more trials, those that have ended are kept."""
    spec = exp.spec(SPEC)
    exp("run", spec)
    for old, new, key in FIXED:
        changed = exp.spec(SPEC.replace(old, new), name="changed.yaml")
        refused = exp("resume", "study", "--spec", changed, "--accept-changes", code=2).stderr
        assert f"the search train has suggested values for 2 trials, so its {key} cannot change" in refused
        assert "trials, timeout, max_parallel, max_failures and pruner can change" in refused
    fewer = exp.spec(SPEC.replace("trials: 2", "trials: 1"), name="changed.yaml")
    assert "so trials cannot be 1" in exp("resume", "study", "--spec", fewer, code=2).stderr

    change(spec, ("trials: 2", "trials: 3"), ("max_parallel: 1", "max_parallel: 2"))
    planned = plan(exp, "--spec", spec, "--accept-changes")
    assert planned["tasks"]["train/trial-0002"] == ("keep", "it succeeded in attempt 1")
    assert planned["tasks"]["train/trial-0003"] == ("wait", "it has not started")
    paths = {entry["path"] for entry in planned["changes"]}
    assert paths >= {"groups.train.search.trials", "groups.train.max_parallel"}
    exp("resume", "study", "--spec", spec, "--accept-changes")
    assert attempts(exp) == {f"train/trial-000{number}": 1 for number in (1, 2, 3)} | {"report": 2}


def test_a_longer_timeout_runs_the_trials_that_were_not_started(exp: Exp) -> None:
    """Trials that were skipped as the time of the search was over run when it has more."""
    spec = exp.spec(SPEC.replace("trials: 2", "trials: 3\n      timeout: 0.001s"))
    exp("run", spec)
    skipped: dict[str, Any] = {task["id"]: task["status"] for task in exp.status()["tasks"]}
    assert "SKIPPED" in skipped.values()
    change(spec, ("timeout: 0.001s", "timeout: 1h"))
    planned = plan(exp, "--spec", spec)
    assert planned["tasks"]["train/trial-0003"] == ("run", "the search continues: changed timeout")
    exp("resume", "study", "--spec", spec)
    assert {task["status"] for task in exp.status()["tasks"]} == {"SUCCEEDED"}
