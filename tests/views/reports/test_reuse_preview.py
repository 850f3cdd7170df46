"""The dry run finds the results that a run would get, and writes nothing for that."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.formats import checked

from nemorun_cli.experiment import preview
from nemorun_cli.spec import load

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

TASKS: dict[str, Any] = {
    "make": {
        "inline": "cp raw made; echo shared >$EXP_SHARED/x; echo n:=7 >>$EXP_OUTPUT",
        "cache": {"inputs": ["raw"], "outputs": ["made", "$EXP_SHARED/x"]},
    },
    "use": {
        "inline": "cat made $EXP_SHARED/x",
        "args": ["${{ tasks.make.outputs.n }}"],
        "cache": {"inputs": ["ma*", "$EXP_SHARED/**"], "outputs": ["used"]},
        "dependencies": ["make"],
    },
    "plain": {"inline": "true", "dependencies": ["use"]},
    "below": {"inline": "true", "dependencies": ["plain"], "cache": True},
}
TASKS["use"]["inline"] += " >used"
AGAIN = "decided when {} has ended"


def reuse(workspace: ExpWorkspace, tasks: Any = TASKS, **header: Any) -> dict[str, Any]:
    """The field `reuse` of the tasks in the plan of a spec."""
    document = load.read(workspace.spec(tasks, **header))
    plans, _ = preview.plans(document, workspace.home)
    checked(json.loads(json.dumps(plans)))
    return {task["id"]: task["reuse"] for task in plans["tasks"]}


def tree(folder: Path) -> dict[str, int]:
    """The files below a folder, with their times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "spec.yaml")
    return {str(path): path.stat().st_mtime_ns for path in files}


if IS_LONG:

    def test_a_dry_run_finds_what_a_run_would_get(workspace: ExpWorkspace) -> None:
        """Also with files that an earlier result restores; below a task that runs, nothing is decided."""
        raw = workspace.folder / "raw"
        raw.write_text("1")
        first = reuse(workspace)
        assert first["plain"] is None
        assert "no earlier experiment called tried has a success of it" in first["make"]["message"]
        assert [first[name]["message"] for name in ("use", "below")] == [
            AGAIN.format("make"),
            AGAIN.format("plain"),
        ]
        assert not workspace.home.directory.exists() or not tree(workspace.home.directory)

        run = workspace.start(TASKS)
        assert run.wait(timeout=60).status == "COMPLETED"
        (workspace.folder / "made").unlink()
        before = {**tree(workspace.home.step_cache_entries), **tree(workspace.folder)}
        again = reuse(workspace)
        assert {**tree(workspace.home.step_cache_entries), **tree(workspace.folder)} == before
        assert {name: found and found["decision"] for name, found in again.items()} == {
            "make": "reuse",
            "use": "reuse",
            "plain": None,
            "below": "later",
        }
        assert again["use"]["from"] == {"experiment": run.id, "task": "use", "attempt": 1}
        assert again["make"]["message"] == f"it gets the result of make of {run.id}"

        changed = reuse(workspace, {**TASKS, "use": {**TASKS["use"], "args": ["x"]}})
        assert (changed["make"]["decision"], changed["use"]["decision"]) == ("reuse", "run")
        assert changed["use"]["changed"] == [{"part": "args", "before": '["7"]', "after": '["x"]'}]
        assert (
            changed["use"]["message"]
            == f"it runs because its arguments (7 before) changed since use of {run.id}"
        )

        (workspace.folder / "made").write_text("by hand")
        assert "was changed since the task wrote it" in reuse(workspace)["make"]["message"]
        assert not workspace.home.step_cache_replaced.exists()
        (workspace.folder / "made").unlink()
        for options, reason in (
            ({"cache": False}, "this run reuses no results"),
            ({"refresh": ["make"]}, "it is refreshed"),
        ):
            assert reuse(workspace, run=options)["make"]["message"] == f"it runs because {reason}"
        raw.write_text("2")
        assert [part["part"] for part in reuse(workspace)["make"]["changed"]] == ["input:raw"]
        for entry in tree(workspace.home.step_cache_entries):
            os.unlink(entry)  # noqa: PTH108 - a text
        raw.write_text("1")
        assert (
            reuse(workspace)["make"]["message"]
            == f"it runs because the result of make of {run.id} is not kept"
        )


@pytest.mark.parametrize(
    "task",
    [
        {"inline": "true", "env": {"PATH": "${{ spec.dir }}/bin:/bin"}},
        {"command": ["./bin/python3", "-c", "1"], "cache": {"inputs": ["bin"]}},
    ],
)
def test_no_program_of_a_spec_is_run_to_plan_it(workspace: ExpWorkspace, task: dict[str, Any]) -> None:
    """An interpreter is asked for its version only if the caller would run it, too."""
    program = workspace.folder / "bin" / "python3"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {workspace.folder}/ran\n")
    program.chmod(0o755)
    task = json.loads(json.dumps(task).replace("${{ spec.dir }}", str(workspace.folder)))
    found = reuse(workspace, {"a": {"cache": True, **task}})["a"]
    assert found["decision"] == "later"
    assert "python3 is not run before the experiment" in found["message"]
    assert not (workspace.folder / "ran").exists()


def test_the_interpreter_of_a_program_is_known(workspace: ExpWorkspace) -> None:
    """A program that builds a spec names its own by the path, which is that of the dry run."""
    task = {"partial": "json:dumps", "args": {"obj": 1}, "entrypoint": [sys.executable], "cache": True}
    found = reuse(workspace, {"a": task})["a"]
    assert found["message"] == "it runs because no earlier experiment called tried has a success of it"


def test_what_a_value_decides_is_decided_later(workspace: ExpWorkspace) -> None:
    """Such as values of trials, `when`, and the best member of a sweep."""
    sweep = {
        "inline": "echo ${{ matrix.x }}; echo loss:=${{ matrix.x }} >>$EXP_OUTPUT",
        "matrix": {"x": [1, 2]},
        "cache": True,
        "best": {"metric": "outputs.loss", "goal": "minimize"},
    }
    search = {
        "params": {"y": {"type": "int", "low": 1, "high": 9}},
        "trials": 2,
        "metric": "outputs.loss",
        "goal": "minimize",
    }
    tasks: dict[str, Any] = {
        "sweep": sweep,
        "best": {"inline": "echo ${{ tasks.sweep.best.id }}", "dependencies": ["sweep"], "cache": True},
        "tried": {"inline": "echo ${{ search.y }}", "search": search, "cache": True},
        "if": {"inline": "true", "when": "${{ params.p }}", "cache": True},
    }
    first = reuse(workspace, tasks, params={"p": True})
    assert {first[f"tried/trial-{number:04}"]["message"] for number in (1, 2)} == {
        "decided when its trial has values"
    }
    assert first["best"]["message"] == "decided when sweep/x=1 and 1 more have ended"
    if not IS_LONG:
        return
    del tasks["tried"], tasks["if"]
    assert workspace.run(tasks).status == "COMPLETED"
    again = reuse(workspace, tasks)
    assert [again[name]["decision"] for name in ("sweep/x=1", "sweep/x=2", "best")] == [
        "reuse",
        "reuse",
        "later",
    ]
    assert again["best"]["message"] == "decided when the best of sweep is known"
