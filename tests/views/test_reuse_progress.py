"""What status and why show while a result is looked for, or kept."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.workspace import events

from nemorun_cli.model.spec import RunOptions, Spec, Task
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.views import reuse_progress

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace


def test_a_task_shows_that_its_inputs_are_read(workspace: ExpWorkspace) -> None:
    """Until its fingerprint is known a task waits, and says for what; others run meanwhile."""
    program = workspace.folder / "bin" / "python3"
    program.parent.mkdir()
    wait = f"until [ -e {workspace.folder}/go ]; do sleep 0.05; done"
    program.write_text(f'#!/bin/sh\n{wait}\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    slow = {"inline": "true", "env": {"PATH": f"{program.parent}:/usr/bin:/bin"}, "cache": True}
    run = workspace.start({"slow": slow, "other": {"inline": "true"}})
    eventually(lambda: run.status().history.tasks["other"].is_over)
    text = "what it depends on is being read, to find an earlier result"
    assert run.status().message("slow") == f"waits: {text}"
    assert f"it waits: {text}" in workspace.exp("why", run.id, "slow").stdout
    workspace.touch("go")
    assert run.wait(timeout=60).history.tasks["slow"].was_kept
    assert [event["event"] for event in events(run) if event.get("task") == "slow"] == [
        *("fingerprinted", "submitted", "started", "ended", "kept"),
    ]


@pytest.fixture
def spec() -> Spec:
    """A task with `cache`, and one without that depends on it."""
    first = Task(id="a", index=0, kind="inline", body="x", executor="local", workdir="/", cache=CacheRule())
    return Spec(name="n", folder="/", tasks=(first, replace(first, id="b", cache=None, dependencies=("a",))))


def test_what_depends_on_a_result_waits_until_that_is_kept(spec: Spec) -> None:
    """So does the end of the experiment; a result that is not reused, or not kept, delays nothing."""
    history = ExperimentState.of(spec)
    first, second = spec.tasks
    assert reuse_progress.of_task(history, second) is None
    assert reuse_progress.lines(history) == []
    state = history.tasks["a"]
    state.status, state.fingerprint = TaskStatus.SUCCEEDED, "f" * 32
    assert reuse_progress.of_task(history, second) == "the result of a is being kept"
    assert reuse_progress.lines(history) == ["the result of a is being kept"]
    assert reuse_progress.of_task(history, first) is None
    state.was_kept = False
    assert reuse_progress.of_task(history, second) is None
    assert reuse_progress.lines(history) == []

    off = replace(spec, run=RunOptions(cache=False))
    assert reuse_progress.of_task(ExperimentState.of(off), first) is None
