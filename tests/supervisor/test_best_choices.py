"""The best member of a group on real processes: who wins, who cannot, and that a crash changes nothing."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.patience import eventually
from support.workspace import kill_supervisor, log, shim_pid, statuses, until

from nemorun_cli.errors import ExpError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import events as kinds
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run

LOSS = {"train": r"loss (?P<loss>\S+)"}
OUTPUT = {"metric": "outputs.n", "goal": "minimize"}
BEST = {"metric": "loss", "goal": "minimize"}


def train(*values: Any, script: str = 'echo "loss $1"', **keys: Any) -> dict[str, Any]:
    """A sweep whose members print their value as a loss."""
    return {
        "inline": script,
        "args": ["${{ matrix.x }}"],
        "matrix": {"x": list(values)},
        "metrics": LOSS,
        "best": BEST,
        **keys,
    }


def use(*names: str, **keys: Any) -> dict[str, Any]:
    """A task that prints values of the best."""
    words = [f"${{{{ tasks.train.best.{name} }}}}" for name in names]
    return {"command": ["echo", *words], "dependencies": ["train"], **keys}


def choices(run: Run) -> list[dict[str, Any]]:
    """The choices in the ledger."""
    lines = [json.loads(line) for line in run.files.ledger.read_text().splitlines()]
    return [line for line in lines if line.get("event") == kinds.BEST_CHOSEN]


def test_a_later_task_gets_the_best_member(workspace: ExpWorkspace) -> None:
    """Its id, values, outputs and folder; of equally good members the first; the ledger has why."""
    script = 'echo "loss $1"; [ $1 != 0 ]; [ $1 != 2 ] || echo "loss nan"; echo "n=$1!" >>"$EXP_OUTPUT"'
    tasks = {
        "train": train(script=script, matrix={"x": [3, 0, 2, 1, 4], "y": [7, 8]}),
        "b": use("id", "params.x", "params.y", "value", "outputs.n", "dir", dependency_type="afterany"),
        "c": use("params", when="${{ tasks.train.best.value < 1 }}", dependency_type="afterany"),
    }
    run = workspace.start(tasks, run={"max_parallel": 4})
    final = run.wait(timeout=60)
    assert statuses(final)["b"] == "SUCCEEDED"
    assert statuses(final)["c"] == "SKIPPED"
    folder = run.files.task("train/x=1,y=7")
    assert log(run, "b") == f"train/x=1,y=7 1 7 1 1! {folder}\n"
    (choice,) = choices(run)
    assert choice["winner"] == "train/x=1,y=7"
    assert choice["value"] == 1.0
    assert choice["tied"] == ["train/x=1,y=8"]
    assert choice["excluded"] == [
        {"task": "train/x=0,y=7", "reason": "status", "message": "is FAILED"},
        {"task": "train/x=0,y=8", "reason": "status", "message": "is FAILED"},
        {"task": "train/x=2,y=7", "reason": "not_finite", "message": "ended with train/loss nan"},
        {"task": "train/x=2,y=8", "reason": "not_finite", "message": "ended with train/loss nan"},
    ]
    assert final.to_json()["best"][0]["winner"] == "train/x=1,y=7"
    exp = workspace.exp
    compared = exp("compare", run.id, "--best", "loss", "--goal", "minimize", "--json").json
    assert [row["task"] for row in compared["rows"]] == [choice["winner"]]
    assert [
        {name: entry[name] for name in ("task", "reason", "message")} for entry in compared["excluded"]
    ] == choice["excluded"]
    assert (
        "the best of train is train/x=1,y=7 (minimize loss, 1, as good: train/x=1,y=8)"
        in exp("status", run.id).stdout
    )
    why = exp("why", run.id, "train").stdout
    assert "  cannot be the best: train/x=0,y=7, train/x=0,y=8 are FAILED" in why
    assert "it used train/x=1,y=7 as the best of train (minimize loss, 1)" in exp("why", run.id, "b").stdout
    assert "it ended with train/loss nan" in exp("why", run.id, "train/x=2,y=7").stdout
    assert "train: train/x=1,y=7 (minimize loss: 1), 4 excluded" in exp("events", run.id).stdout
    assert exp("graph", run.id, "--json").json["groups"][0]["best"] == BEST
    assert " best by loss" in exp("graph", run.id).stdout
    assert exp("fsck", run.id).code == 0


PROGRAM = """
import sys
from nemorun_cli import Experiment
with Experiment(prefix="studies/" + sys.argv[1]).run as record:
    record.metrics("val").log(loss=float(sys.argv[1]))
"""


def test_what_members_are_compared_by(workspace: ExpWorkspace) -> None:
    """An output, the smallest value of a curve, and a metric in a record under a prefix of its own."""
    (workspace.folder / "own.py").write_text(PROGRAM)
    epochs = {"train": r"epoch (?P<epoch>\d+) loss (?P<loss>\S+)"}
    repeated = 'echo "epoch 1 loss $(($1 * EXP_ATTEMPT * (3 - $1)))"; [ "$1$EXP_ATTEMPT" != 11 ]'
    curve = 'echo "loss $1"; echo "loss 9"; echo "score:=-$1" >>"$EXP_OUTPUT"'
    own = {"command": [sys.executable, "own.py", "${{ matrix.x }}"], "matrix": {"x": [2, 1]}, "best": BEST}
    rules = {
        "output": train(1, 2, script=curve, best={"metric": "outputs.score", "goal": "minimize"}),
        "curve": train(2, 1, script=curve, best={"metric": "train/loss:min"}),
        "own": own,
        "tried": train(
            1, 2, script=repeated, best={"metric": "train/loss:min"}, retry={"limit": 1}, metrics=epochs
        ),
        "group": {
            "group": [
                {"name": "a", "inline": curve, "args": [2]},
                {"name": "b", "inline": curve, "args": [1]},
            ],
            "best": {"metric": "outputs.score", "goal": "maximize"},
        },
    }
    last: dict[str, Any] = {
        f"use-{name}": {"command": ["echo", f"${{{{ tasks.{name}.best.id }}}}"], "dependencies": [name]}
        for name in rules
    }
    run = workspace.start({**rules, **last})
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    found = {name: log(run, f"use-{name}").strip() for name in rules}
    assert found == {
        "output": "output/x=2",
        "curve": "curve/x=1",
        "own": "own/x=1",
        "group": "group/b",
        "tried": "tried/x=2",
    }


BROKEN = """
import os, sys
from nemorun_cli import Experiment
x = sys.argv[1]
with Experiment().run as record:
    record.metrics("val").log(loss=float(x))
own = "{EXP_DASH_ROOT}/{EXP_PREFIX}/{EXP_TASK}/.record/metrics".format(**os.environ)
files = [f"{own}/val/{name}" for name in os.listdir(f"{own}/val")]
if x == "1":
    os.rename(own, f"{own}-away")
    os.symlink("/etc", own)
if x in "23":
    with open(files[0], "r+b" if x == "2" else "ab") as file:
        file.write(b"garbage\\n")
if x == "4":
    os.unlink(files[0])
    os.mkfifo(files[0])
"""


def test_a_record_that_cannot_be_read_excludes_its_member_alone(workspace: ExpWorkspace) -> None:
    """The reason names the file; of a record with a damaged line, the other rows count."""
    (workspace.folder / "broken.py").write_text(BROKEN)
    command = [sys.executable, "broken.py", "${{ matrix.x }}"]
    run = workspace.start(
        {"train": {"command": command, "matrix": {"x": [1, 2, 3, 4, 5]}, "best": BEST}, "b": use("id")}
    )
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert log(run, "b") == "train/x=3\n"
    (choice,) = choices(run)
    reasons = {entry["task"]: (entry["reason"], entry["message"]) for entry in choice["excluded"]}
    assert list(reasons) == ["train/x=1", "train/x=2", "train/x=4"]
    assert {reason for reason, _ in reasons.values()} == {"missing"}
    assert "metrics cannot be read: its path has a symbolic link" in reasons["train/x=1"][1]
    assert "not a row" in reasons["train/x=2"][1]
    assert "it is not a regular file" in reasons["train/x=4"][1]
    assert "train/x=3: ignored" in run.files.supervisor_log.read_text()


@pytest.mark.parametrize(
    ("script", "best", "message"),
    [
        ('[ "$1" = 1 ]', BEST, "train/x=1 has no loss; train/x=2 is FAILED"),
        ('echo "n:=[1]" >>"$EXP_OUTPUT"', OUTPUT, "train/x=1 ended with n [1]"),
        ('echo "n:=true" >>"$EXP_OUTPUT"', OUTPUT, "train/x=1 ended with n true"),
        (
            'echo "n=0.5" >>"$EXP_OUTPUT"',
            OUTPUT,
            'train/x=1 ended with n "0.5", a text (write the number as n:=0.5)',
        ),
        ('echo "loss 1"; echo "lost 2"', BEST, "'loss' matches several metrics: train/loss, val/loss"),
    ],
)
def test_without_a_best_member_what_uses_it_fails(
    workspace: ExpWorkspace, script: str, best: dict[str, str], message: str
) -> None:
    """It is FAILED with reason `template` and why no member qualifies; what does not use it runs."""
    metrics = {**LOSS, "val": r"lost (?P<loss>\S+)"}
    tasks = {
        "train": train(1, 2, script=script, best=best, metrics=metrics, allow_failure=True),
        "b": use("id"),
        "c": {"command": ["true"], "dependencies": ["train"]},
        "d": use("id", when=False),
    }
    run = workspace.start(tasks)
    final = run.wait(timeout=60)
    assert {name: statuses(final)[name] for name in "bcd"} == {
        "b": "FAILED",
        "c": "SUCCEEDED",
        "d": "SKIPPED",
    }
    assert final.history.tasks["b"].reason == "template"
    assert message in (final.history.tasks["b"].message or "")
    assert message.partition(";")[0] in workspace.exp("why", run.id, "b").stdout
    assert "winner" not in choices(run)[0]


def test_a_crash_before_the_choice_changes_nothing(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when all members had ended, a resume chooses what would have been chosen, once."""
    monkeypatch.setenv(crashpoints.VARIABLE, "group.best:1")
    run = workspace.start({"train": train(2, 1, 3), "b": use("id")})
    monkeypatch.delenv(crashpoints.VARIABLE)
    eventually(lambda: run.status(observe=False).supervisor == "gone")
    assert choices(run) == []
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert log(run, "b") == "train/x=1\n"
    assert len(choices(run)) == 1


if IS_LONG:

    @pytest.mark.parametrize("point", ["ledger.before", "ledger.written", "ledger.synced", "attempt.spawned"])
    @pytest.mark.parametrize("count", range(1, 13))
    def test_a_crash_at_any_write_changes_nothing(
        workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, point: str, count: int
    ) -> None:
        """Whenever the supervisor is killed, the same member wins, and what uses it runs once."""
        monkeypatch.setenv(crashpoints.VARIABLE, f"{point}:{count}")
        tasks = {"train": train(2, 1, 3), "b": {**use("id"), "retry": {"limit": 0}}}
        try:
            run = workspace.start(tasks)
        except ExpError:
            run = find(home=workspace.home)
        monkeypatch.delenv(crashpoints.VARIABLE)
        run.wait(timeout=60)
        run.resume()
        final = run.wait(timeout=60)
        assert final.status is ExperimentStatus.COMPLETED
        assert log(run, "b") == "train/x=1\n"
        assert final.history.tasks["b"].attempt == 1
        assert {choice["winner"] for choice in choices(run)} == {"train/x=1"}
        assert len(choices(run)) == 1


def test_the_choice_in_the_ledger_counts_after_a_crash(workspace: ExpWorkspace) -> None:
    """A retry after kill -9 and a resume uses the same member, also if its record is no longer there."""
    again = {"inline": f'echo "$1"; {until("go")}; [ "$EXP_ATTEMPT" = 2 ]', "retry": {"limit": 1}}
    user = {**again, "args": ["${{ tasks.train.best.id }}"], "dependencies": ["train"]}
    run = workspace.start({"train": train(2, 1), "b": user})
    shim_pid(run, "b")
    kill_supervisor(run)
    shutil.rmtree(workspace.home.directory / "dash")
    workspace.touch("go")
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert log(run, "b", 1) == log(run, "b", 2) == "train/x=1\n"
    assert len(choices(run)) == 1


def test_a_resume_that_runs_a_member_again_chooses_again(workspace: ExpWorkspace) -> None:
    """The member that failed wins, once it has succeeded; so does another after a changed rule."""
    script = 'echo "loss $1"; [ $1 != 1 ] || [ -e mended ]'
    tasks = {"train": train(3, 2, 1, script=script), "b": use("id", dependency_type="afterany")}
    run = workspace.start(tasks)
    assert run.wait(timeout=60).status is ExperimentStatus.FAILED
    assert log(run, "b") == "train/x=2\n"
    workspace.touch("mended")
    run.resume(below=["train/x=1"])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert log(run, "b", 2) == "train/x=1\n"
    tasks["train"]["best"] = {**BEST, "goal": "maximize"}
    path = workspace.spec(tasks)
    refused = workspace.exp("resume", run.id, "--spec", path, code=2)
    assert "changed since they ran: b (tasks.train.best)" in refused.stderr
    workspace.exp("resume", run.id, "--spec", path, "--accept-changes")
    assert log(run, "b", 3) == "train/x=3\n"
    assert [choice["winner"] for choice in choices(run)] == ["train/x=2", "train/x=1", "train/x=3"]


def test_a_best_that_is_chosen_late_is_waited_for(exp: Exp) -> None:
    """Handlers use it too, also if the last member was skipped and none has a value."""
    tasks = {"train": train(1, 2, script="exit 3", fail_fast=True, matrix={"x": [1, 2], "max_parallel": 1})}
    handlers = {"tell": {"command": ["echo", "${{ tasks.train.best.id }}"]}}
    path = exp.spec(json.dumps({"name": "late", "tasks": tasks, "on_exit": handlers}))
    exp("run", path, "-q", code=1)
    state = exp.task("on_exit/tell")
    assert state["status"] == "FAILED"
    assert state["message"].endswith("train/x=1 is FAILED; train/x=2 is CANCELLED")
