"""`exp resume --spec`: what may change, what runs again, and what is kept of the specs before."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.changed_specs import attempts, change, plan
from support.patience import eventually
from support.workspace import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

SPEC = """
name: study
params: {lr: 0.1, factor: 2}
tasks:
  prepare: {script: prepare.sh}
  train:
    inline: 'echo "loss:=$1" >> "$EXP_OUTPUT"; test -e go'
    args: ["${{ params.lr }}"]
    dependencies: [prepare]
  scaled: {command: [echo, "${{ tasks.prepare.outputs.rows * params.factor }}"], dependencies: [prepare]}
  report: {command: [echo, report], dependencies: [train]}
"""


@pytest.fixture
def study(exp: Exp) -> Path:
    """The spec of an experiment whose task `train` failed."""
    (exp.folder / "prepare.sh").write_text('echo "rows:=3" >> "$EXP_OUTPUT"\n')
    spec = exp.spec(SPEC)
    exp("run", spec, code=1)
    return spec


SAFE = """
description: changed
tags: [new]
run: {max_parallel: 1}
executors: {other: {type: local}}
defaults:
  {timeout: 1h, retry: {limit: 1}, executor: other, stop_grace: 1s, tail_logs: true, resources: {cpus: 1}}
"""


def test_how_tasks_are_run_may_change(exp: Exp, study: Path) -> None:
    """Retry, timeout, resources, executor, limits, description and tags change without a word."""
    study.write_text(study.read_text() + SAFE)
    (exp.folder / "go").touch()

    exp("resume", "study", "--spec", study)

    assert attempts(exp) == {"prepare": 1, "train": 2, "scaled": 1, "report": 1}
    status = exp.status()
    assert (status["status"], status["description"], status["tags"]) == ("COMPLETED", "changed", ["new"])
    assert exp.task("train")["executor"] == "other"


def test_what_a_task_is_needs_a_word(exp: Exp, study: Path) -> None:
    """A task that ran and is something else is refused; accepted, it runs again with all that is below it."""
    (exp.folder / "go").touch()
    exp("resume", "study")
    change(study, ("lr: 0.1", "lr: 0.5"))

    refused = exp("resume", "study", "--spec", study, code=2).stderr
    assert "changed since they ran: train (args.0)" in refused
    assert "--accept-changes" in refused
    assert exp.status()["status"] == "COMPLETED"
    found = plan(exp, "--spec", study)
    assert (found["revision"], found["unaccepted"]) == (2, ["train"])
    assert found["tasks"]["prepare"] == ("keep", "it succeeded in attempt 1")
    assert found["tasks"]["train"] == ("run", "changed: args.0")
    assert found["tasks"]["report"] == ("run", "a task that it depends on changed")

    exp("resume", "study", "--spec", study, "--accept-changes")
    assert attempts(exp) == {"prepare": 1, "train": 3, "scaled": 1, "report": 2}
    assert exp.task("train")["outputs"] == {"loss": 0.5}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[echo, report]", "[echo, other]", "report (command.1)"),
        ("script: prepare.sh", "script: prepare.sh, env: {A: b}", "prepare (env.A)"),
        ("script: prepare.sh", "script: prepare.sh, args: [x]", "prepare (args)"),
        ("script: prepare.sh", "inline: echo", "prepare (script, inline)"),
        ("dependencies: [train]", "dependencies: [train, scaled]", "report (dependencies)"),
        ("factor: 2", "factor: 3", "scaled (params.factor)"),
    ],
)
def test_every_part_of_a_task_counts(exp: Exp, study: Path, old: str, new: str, why: str) -> None:
    """Command, environment, arguments, kind, dependencies, and params that are filled in only later."""
    (exp.folder / "go").touch()
    exp("resume", "study")
    change(study, (old, new))

    told = exp("resume", "study", "--spec", study, code=2).stderr

    assert why.partition(" (")[0] in told
    for field in why.partition(" (")[2].rstrip(")").split(", "):
        assert field in told


def test_the_text_of_a_script_counts(exp: Exp, study: Path) -> None:
    """A script that holds something else is a change; accepted, its new copy is what runs."""
    (exp.folder / "go").touch()
    (exp.folder / "prepare.sh").write_text('echo "rows:=5" >> "$EXP_OUTPUT"\n')

    assert "prepare (text of the script)" in exp("resume", "study", "--spec", study, code=2).stderr
    exp("resume", "study", "--spec", study, "--accept-changes")

    assert exp.task("prepare")["outputs"] == {"rows": 5}
    assert exp("logs", "study", "scaled").stdout == "10\n"
    exp("rerun", "study")
    assert exp.task("prepare")["outputs"] == {"rows": 5}


def test_what_has_not_begun_may_change(exp: Exp, study: Path) -> None:
    """A task without any attempt may become anything: nothing of it is invalid."""
    change(study, ("[echo, report]", "[echo, other]"))
    (exp.folder / "go").touch()

    exp("resume", "study", "--spec", study)

    assert exp("logs", "study", "report").stdout == "other\n"


def test_tasks_are_added_and_removed(exp: Exp, study: Path) -> None:
    """Added tasks run; removed ones are gone from all that is shown, and stay in the ledger."""
    scaled = 'scaled: {command: [echo, "${{ tasks.prepare.outputs.rows * params.factor }}"]'
    change(study, (scaled, "more: {command: [echo, more]"))
    (exp.folder / "go").touch()

    found = plan(exp, "--spec", study)
    assert (found["added"], found["removed"], found["tasks"]["more"][0]) == (["more"], ["scaled"], "wait")
    exp("resume", "study", "--spec", study)

    assert attempts(exp) == {"prepare": 1, "train": 2, "more": 1, "report": 1}
    assert [task["id"] for task in exp("show", "--json").json["tasks"]] == list(attempts(exp))
    assert '"task":"scaled"' in (exp.directory() / "ledger.jsonl").read_text()
    assert exp("fsck", "study", "--json").json["findings"] == []
    assert exp("show", "--json").json["lineage"] == {"rerun_of": None, "revision": 2, "removed": ["scaled"]}


def test_a_task_that_comes_back_runs_again(exp: Exp, study: Path) -> None:
    """What was removed and is there again is new, and its attempts go on counting."""
    (exp.folder / "go").touch()
    before = study.read_text()
    change(study, ("  scaled: {command: [echo,", "  other: {command: [echo,"))
    exp("resume", "study", "--spec", study)
    study.write_text(before)

    assert (
        plan(exp, "--spec", study)["tasks"]["scaled"][1] == "removed by an earlier revision and added again"
    )
    exp("resume", "study", "--spec", study)

    assert attempts(exp)["scaled"] == 2
    assert exp.status()["status"] == "COMPLETED"


def test_every_revision_is_kept(exp: Exp, study: Path) -> None:
    """Each spec as given is kept under its number, the ledger says who changed it, the last one counts."""
    first = study.read_text()
    exp("resume", "study", "--spec", change(study, ("lr: 0.1", "lr: 0.2")), "--accept-changes", code=1)
    exp("resume", "study", "--spec", change(study, ("lr: 0.2", "lr: 0.3")), "--accept-changes", code=1)

    folder = exp.directory()
    assert [(folder / "revisions" / str(n) / "spec.yaml").read_text() for n in (1, 2, 3)] == [
        first,
        first.replace("lr: 0.1", "lr: 0.2"),
        study.read_text(),
    ]
    assert (folder / "spec.yaml").read_text() == study.read_text()
    assert sorted(path.name for path in (folder / "revisions").iterdir()) == ["1", "2", "3"]
    steps = exp("show", "--json").json["steps"]
    assert [step["message"] for step in steps if step["event"] == "resumed"] == [
        "to run again: train, report, with revision 2 of the spec",
        "to run again: train, report, with revision 3 of the spec",
    ]
    assert "revision 3" in exp("show").stdout
    exp("resume", "study", code=1)
    assert exp("show", "--json").json["lineage"]["revision"] == 3


def test_options_of_the_start_hold(exp: Exp) -> None:
    """What -p and --set gave holds under a changed spec, less params that it has no more."""
    task = "{inline: 'echo $*; exit 1', args: ['${{ params.a }}']}"
    spec = exp.spec(f"name: study\nparams: {{a: 1, b: 1}}\ntasks: {{t: {task}}}\n")
    exp("run", spec, "-p", "a=5", "-p", "b=6", code=1)

    change(spec, (", b: 1", ""), ("args:", "timeout: 60, args:"))
    exp("resume", "study", "--spec", spec, code=1)

    assert exp("logs", "study", "t").stdout == "5\n"


def test_options_alone_change_the_spec(exp: Exp, study: Path) -> None:
    """Without --spec, -p and --set change the experiment's own one; the file may be gone."""
    study.unlink()
    (exp.folder / "go").touch()

    exp("resume", "study", "--set", "tasks.train.timeout=30")
    assert exp("show", "--json").json["spec"]["tasks"][1]["timeout"] == 30.0
    exp("resume", "study", "-p", "lr=0.9", "--accept-changes")

    assert exp.task("train")["outputs"] == {"loss": 0.9}


def test_a_sweep_grows(exp: Exp) -> None:
    """Values that are added to a matrix run, those that were done are kept, and what needs all runs again."""
    spec = exp.spec(
        "name: study\ntasks:\n  sweep: {command: [echo, '${{ matrix.x }}'], matrix: {x: [1, 2]}}\n"
        "  all: {command: [echo], dependencies: [sweep]}\n"
    )
    exp("run", spec)

    change(spec, ("[1, 2]", "[1, 2, 3]"))
    assert "all (dependencies)" in exp("resume", "study", "--spec", spec, code=2).stderr
    exp("resume", "study", "--spec", spec, "--accept-changes")

    assert attempts(exp) == {"sweep/x=1": 1, "sweep/x=2": 1, "sweep/x=3": 1, "all": 2}


def test_the_same_spec_changes_nothing(exp: Exp, study: Path) -> None:
    """A spec without a difference is no revision of its own where nothing is left to do."""
    (exp.folder / "go").touch()
    exp("resume", "study")

    assert "nothing to resume" in exp("resume", "study", "--spec", study).stderr
    assert plan(exp, "--spec", study)["revision"] is None
    assert exp("show", "--json").json["lineage"]["revision"] == 1


RUNNING = f"""
name: study
tasks:
  long: {{inline: '{until("go")}'}}
  bad: {{command: "false"}}
"""


def test_how_a_command_watched_is_no_change(exp: Exp) -> None:
    """A start with --detach or --tail-logs leaves no trace in what is different, nor a revision."""
    spec = exp.spec("name: study\ntasks: {a: {inline: exit 1}}")
    exp("run", spec, "-d", "--tail-logs")
    exp("wait", "study", code=1)

    assert "the spec is unchanged" in exp("resume", "study", "--spec", spec, code=1).stderr
    exp("rerun", "study", code=1)

    document = exp("resume", "study", "--spec", spec, "--dry-run", "--json").json
    assert (document["revision"], document["changes"]) == (None, [])


def test_what_runs_is_not_changed(exp: Exp) -> None:
    """An experiment with a living supervisor refuses another spec."""
    spec = exp.spec(RUNNING)
    exp("run", spec, "-d")
    eventually(lambda: exp.task("long")["status"] == "RUNNING")

    assert "is running" in exp("resume", "study", "--spec", change(spec, ("false", "true")), code=2).stderr

    (exp.folder / "go").touch()
    exp("wait", "study", code=1)


def test_what_lives_without_a_supervisor_stays_what_it_is(exp: Exp) -> None:
    """A task that still runs is adopted under another spec, and can be neither changed, moved nor removed."""
    spec = exp.spec(RUNNING)
    exp("run", spec, "-d")
    eventually(lambda: exp.task("long")["status"] == "RUNNING")
    holder = exp.status()["supervisor"]["pid"]
    os.kill(holder, signal.SIGKILL)
    eventually(lambda: exp.status()["supervisor"]["state"] == "gone")
    before = spec.read_text()
    for old, new in (("go", "went"), ("  long:", "  longer:"), ("{inline:", "{executor: other, inline:")):
        text = before.replace(old, new) + "executors: {other: {type: local}}\n"
        spec.write_text(text)
        assert "still alive" in exp("resume", "study", "--spec", spec, "--accept-changes", code=2).stderr
    spec.write_text(before.replace('{command: "false"}', '{command: "true"}'))

    exp("resume", "study", "--spec", spec, "--accept-changes", "-d")
    (exp.folder / "go").touch()
    exp("wait", "study")

    assert attempts(exp) == {"long": 1, "bad": 2}


def test_another_experiments_spec_is_refused(exp: Exp, study: Path) -> None:
    """A spec of another name is another experiment's; one without a name is taken for this one's."""
    change(study, ("name: study", "name: other"))
    assert "is called 'other'" in exp("resume", "study", "--spec", study, code=2).stderr

    change(study, ("name: other\n", ""))
    (exp.folder / "go").touch()
    exp("resume", "study", "--spec", study)
    exp("resume", "study", "--spec", "nowhere.yaml", code=2)


def test_tags_that_were_changed_count_in_lists(exp: Exp, study: Path) -> None:
    """`exp list --tag` goes by the tags in force, also once the experiment is over."""
    (exp.folder / "go").touch()
    exp("resume", "study", "--spec", change(study, ("name: study", "name: study\ntags: [fresh]")))
    assert exp.status()["status"] == "COMPLETED"
    (found,) = exp("list", "--tag", "fresh", "--json").json["experiments"]
    assert found["tags"] == ["fresh"]


def test_values_of_a_matrix_in_another_order_are_no_change(exp: Exp) -> None:
    """The members and their ids are the same, and so is what depends on all of them."""
    text = "name: study\ntasks:\n  t: {command: 'true', matrix: {x: [1, 2, 3]}}\n"
    text += "  last: {command: 'true', dependencies: [t]}\n"
    spec = exp.spec(text)
    exp("run", spec)
    change(spec, ("[1, 2, 3]", "[3, 1, 2]"))
    document = plan(exp, "--spec", spec)
    assert {action for action, _ in document["tasks"].values()} == {"keep"}
    assert "unchanged" in exp("resume", "study", "--spec", spec).stderr
