"""Searches on real processes: crashes, failures, pruned trials, cancels and resumes."""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.killed_searches import LOSS, X, killed
from support.patience import eventually
from support.workspace import events, kill_supervisor, log, statuses, until

from nemorun_cli.model.search import Suggestion
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.spec.expressions import conditions
from nemorun_cli.storage import events as kinds
from nemorun_cli.system import crashpoints
from nemorun_cli.tracking import record as tracked

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

CURVE = """\
echo "$EXP_TASK $EXP_ATTEMPT" >>ran
for step in 1 2 3; do
    echo "step=$step $(echo "$1 $step" | awk '{ printf "loss=%.17g", ($1 - 0.3) ^ 2 / $2 }')"
done
"""


def search(script: str = CURVE, *args: str, **keys: Any) -> dict[str, Any]:
    """A search that looks for the `x` with the smallest loss."""
    rule = {"params": {"x": X}, "metric": "loss", "goal": "minimize", "sampler": "random", "seed": 7}
    return {
        "inline": script,
        "args": args or ["${{ search.x }}"],
        "metrics": LOSS,
        "search": {**rule, "max_parallel": 1, **keys},
    }


def of_search(run: Run, *wanted: str) -> list[dict[str, Any]]:
    """The events of these kinds (default: both of a search), without what differs between runs."""
    names = wanted or (kinds.SUGGESTED, kinds.TRIAL_ENDED)
    found = [each for each in events(run) if each["event"] in names]
    return [{key: value for key, value in each.items() if key not in {"time", "by"}} for each in found]


STUDY: dict[str, Any] = {
    "train": search(
        params={"x": X, "y": X},
        trials=12 if IS_LONG else 4,
        sampler="cmaes" if IS_LONG else "random",
        pruner={"type": "median", "startup_trials": 1},
    ),
    "use": {
        "command": ["echo", "${{ tasks.train.best.id }}", "${{ tasks.train.best.params.x }}"],
        "dependencies": ["train"],
    },
}
POINTS = [point for point in crashpoints.POINTS if point.startswith("search.")]
TRIED = POINTS if IS_LONG else ["search.result"]  # each costs a second of CPU


def test_killed_at_each_point(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed around each event, a study has the suggestions, results and best of one that was not killed."""
    whole = workspace.start(STUDY)
    assert whole.wait(timeout=60).status is ExperimentStatus.COMPLETED
    expected = of_search(whole)
    assert "pruned" in {each.get("outcome") for each in expected}
    assert len(of_search(whole, kinds.SUGGESTED)) == STUDY["train"]["search"]["trials"]
    ran = workspace.lines()
    (workspace.folder / "ran").unlink()
    run = None
    for point in TRIED:
        run = killed(workspace, monkeypatch, run, f"{point}:1", tasks=STUDY)
    assert run is not None
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert len(of_search(run, kinds.SUPERVISOR_STARTED)) == len(TRIED) + 1
    assert of_search(run) == expected
    assert (workspace.lines(), log(run, "use")) == (ran, log(whole, "use"))
    assert run.status().history.ignored == []


if IS_LONG:

    @pytest.mark.parametrize("seed", range(4))
    def test_killed_at_random(workspace: ExpWorkspace, seed: int) -> None:
        """Killed ten times at any moment, a study is that of one that was not killed."""
        train = search(
            CURVE.replace("done", "sleep 0.1\ndone"),
            params={"x": X, "y": {"type": "int", "low": 1, "high": 9}},
            trials=24,
            sampler="tpe",
            pruner={"type": "asha", "reduction_factor": 2},
        )
        whole = workspace.start({"train": train})
        assert whole.wait(timeout=120).status is ExperimentStatus.COMPLETED
        judged = (kinds.SUGGESTED, kinds.RUNG_REACHED, kinds.TRIAL_ENDED)
        ran, expected = workspace.lines(), of_search(whole, *judged)
        assert "pruned" in {each.get("outcome") for each in expected}
        (workspace.folder / "ran").unlink()
        chosen = random.Random(seed)  # noqa: S311 - the moments are the same each time
        run = workspace.start({"train": train})
        for _ in range(10):
            time.sleep(chosen.uniform(0, 2))
            with contextlib.suppress(ProcessLookupError):
                kill_supervisor(run)
            run.resume()
        assert run.wait(timeout=120).status is ExperimentStatus.COMPLETED
        assert (of_search(run, *judged), workspace.lines()) == (expected, ran)
        assert run.status().history.best == whole.status().history.best

    def test_a_suggestion_is_a_function_of_what_is_before_it(workspace: ExpWorkspace) -> None:
        """With several workers and crashes, a new process gives each suggestion again from the ledger."""
        from nemorun_cli.scheduler.search.study import SearchStudy  # noqa: PLC0415 - imports Optuna

        train = search(CURVE.replace("done", "sleep 0.1\ndone"), trials=30, sampler="tpe", max_parallel=4)
        run = workspace.start({"train": train}, run={"max_parallel": 4})
        for count in (5, 12, 20):
            eventually(lambda: len(of_search(run, kinds.SUGGESTED)) >= count)  # noqa: B023 - called at once
            kill_supervisor(run)
            run.resume()
        final = run.wait(timeout=120)
        assert final.status is ExperimentStatus.COMPLETED
        (group,) = run.spec().groups
        assert group.search is not None
        study = SearchStudy(group.search, conditions.holds)
        for entry in final.history.studies["train"].order:
            if isinstance(entry, Suggestion):
                assert study.suggest(entry.number) == entry
                study.add_suggestion(entry)
            else:
                study.add_result(entry)


KINDS = """\
echo "$EXP_TASK $EXP_ATTEMPT $1" >>ran
case $1 in
    good) echo "step=1 loss=$EXP_ATTEMPT";;
    fails) echo "step=1 loss=0"; [ -e mended ];;
    nan) echo "step=1 loss=1"; echo "step=2 loss=nan"; echo "step=3 loss=0";;
    hangs) echo "step=4 loss=nan"; while :; do sleep 0.02; done;;
    other) echo "step=1 lost=0";;
    text) echo "step=1 loss=low";;
    skipped) ;;
esac
"""
WORDS = ["good", "fails", "nan", "hangs", "other", "text", "skipped"]


def test_how_trials_end(workspace: ExpWorkspace) -> None:
    """Each end is a result with its reason; NaN is a prune; a failure is kept by a resume unless named."""
    patterns = {"train": [LOSS["train"], r"step=(?P<step>\d+) lost=(?P<lost>\S+)"]}
    train = search(KINDS, params={"x": WORDS}, start_with=[{"x": word} for word in WORDS], trials=len(WORDS))
    keys = {"metrics": patterns, "stop": {"nan": "loss"}, "when": "${{ search.x != 'skipped' }}"}
    use = {
        "inline": "echo ${{ tasks.train.best.params.x }} ${{ tasks.train.best.value }}",
        "dependencies": ["train"],
        "dependency_type": "afterany",
    }
    timed = search("sleep 0.05; echo step=1 loss=1", trials=3, timeout=0.001)
    after = {"inline": ":", "dependencies": ["timed"]}
    run = workspace.start({"train": {**train, **keys}, "use": use, "timed": timed, "after": after})
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.FAILED
    names = [f"train/trial-000{number}" for number in range(1, len(WORDS) + 1)]
    states = [final.history.tasks[name] for name in names]
    assert [(str(state.status), state.reason) for state in states] == [
        ("SUCCEEDED", None),
        ("FAILED", "exit"),
        ("SUCCEEDED", "pruned"),
        ("SUCCEEDED", "pruned"),
        ("SUCCEEDED", None),
        ("SUCCEEDED", None),
        ("SKIPPED", "when"),
    ]
    ends = [(final.history.tasks[name].reason, state) for name, state in statuses(final).items()]
    assert ends[8:] == [(None, "SUCCEEDED"), ("until", "SKIPPED"), ("until", "SKIPPED"), (None, "SUCCEEDED")]
    results = list(final.history.studies["train"].results.values())
    assert [(each.outcome, each.values, each.pruned_at, each.message) for each in results] == [
        ("complete", (1,), None, None),
        ("failed", None, None, "is FAILED: exit code 1"),
        ("pruned", None, 2, "train/loss is nan at step 2"),
        ("pruned", None, 4, "train/loss is nan at step 4"),
        ("failed", None, None, "has no loss (did you mean train/lost? there are: train/lost)"),
        ("failed", None, None, "has no loss: it tracked no metric"),
        ("failed", None, None, "is SKIPPED: when: its `when` is false"),
    ]
    assert log(run, "use") == "good 1\n"
    said = workspace.exp("status", run.id).stderr
    assert "warning: train/trial-0005 has no value for its search: has no loss (did you mean" in said
    assert "; so with 1 other trial; see: exp why" in said
    record = tracked(workspace.home.dash, f"{final.history.created['prefix']}/{names[0]}")
    assert record is not None
    assert record.data().params.get() == {"x": "good"}
    text = f"{run.id} is FAILED: nothing to resume (--from {names[1]} runs this failed trial again)"
    assert text in workspace.exp("resume", run.id, code=1).stderr
    workspace.touch("mended")
    run.resume(below=[names[1]])
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED
    assert workspace.lines()[-1] == f"{names[1]} 2 fails"
    assert list(final.history.studies["train"].results)[-1] == 2, "its result is a new one"
    assert log(run, "use", 2) == "fails 0\n"
    assert workspace.exp("fsck", run.id).code == 0


HELD = f"""\
echo "$EXP_TASK $EXP_ATTEMPT $1" >>ran
{until("go")}
[ $1 = bad ] && echo "step=1 loss=9" || echo "step=1 loss=1"
[ $1 = held ] && [ $EXP_ATTEMPT = 1 ] && {until("never")}
echo "step=2 loss=0"
"""


def test_without_a_supervisor(workspace: ExpWorkspace) -> None:
    """Nothing is suggested or pruned; a resume prunes what ended meanwhile, and runs what was interrupted."""
    words = ["bad", "good", "held", "last"]
    pruner = {"type": "threshold", "upper": 5}
    given = {"params": {"x": words}, "start_with": [{"x": word} for word in words], "pruner": pruner}
    run = workspace.start({"train": search(HELD, **given, trials=4, max_parallel=3)}, run={"max_parallel": 3})
    eventually(lambda: len(workspace.lines()) == 3)
    kill_supervisor(run)
    workspace.touch("go")
    attempts = [run.files.attempt(f"train/trial-000{number}", 1) for number in (1, 2)]
    eventually(lambda: all(attempt.exit.exists() for attempt in attempts))
    snapshot = run.cancel(["train/trial-0003"])
    assert list(statuses(snapshot).values()) == ["SUCCEEDED", "SUCCEEDED", "CANCELLED", "PENDING"]
    assert [each["event"] for each in of_search(run)] == [kinds.SUGGESTED] * 3
    run.resume()
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED
    study, states = final.history.studies["train"], list(final.history.tasks.values())
    assert [suggestion.params["x"] for suggestion in study.suggestions.values()] == words
    results = [study.results[number] for number in (1, 2)]
    assert [(each.outcome, each.pruned_at) for each in results] == [("pruned", 1), ("complete", None)]
    assert [(state.reason, state.attempt) for state in states] == [
        ("pruned", 1),
        (None, 1),
        (None, 2),
        (None, 1),
    ]
    assert workspace.lines()[3:] == ["train/trial-0003 2 held", "train/trial-0004 1 last"]
    assert final.history.best["train"].winner == "train/trial-0002"


if IS_LONG:

    def test_a_cancel_without_a_supervisor(workspace: ExpWorkspace) -> None:
        """It ends the experiment although a result is not recorded; a resume records that one."""
        run = workspace.start({"train": search(HELD, params={"x": ["good"]}, trials=2, max_parallel=1)})
        eventually(workspace.lines)
        kill_supervisor(run)
        workspace.touch("go")
        eventually(run.files.attempt("train/trial-0001", 1).exit.exists)
        assert run.status().status is ExperimentStatus.INTERRUPTED
        assert run.cancel().status is ExperimentStatus.CANCELLED
        run.resume()
        final = run.wait(timeout=60)
        assert final.status is ExperimentStatus.COMPLETED
        assert list(final.history.studies["train"].results) == [1, 2]
        assert workspace.lines() == ["train/trial-0001 1 good", "train/trial-0002 1 good"]
