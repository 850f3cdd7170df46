"""Python environments of tasks on Slurm: made here, used on the nodes that share the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.slurm_experiments import LONG, header, now
from support.tiny_wheels import slow_project
from support.workspace import events, log, statuses

from nemorun_cli.packagers.environments import store

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace


@pytest.mark.usefixtures("slurm")
def test_no_job_is_submitted_before_its_environment_is_ready(workspace: ExpWorkspace) -> None:
    """Nor one that would wait in the queue for another; once it is ready, the second waits there."""
    workspace.touch("hold")
    slow_project(workspace.folder / "project")
    shows = "python -c 'import sys, tinypkg; print(sys.prefix)'"
    run = workspace.start(
        {"one": shows, "two": {"inline": shows, "dependencies": ["one"]}},
        defaults={"python": {"uv": ["./project"]}},
        **header(),
    )
    eventually((workspace.folder / "building").exists)
    assert [now(run, name).submitted for name in ("one", "two")] == [None, None]
    (workspace.folder / "hold").unlink()
    final = run.wait(timeout=LONG)
    assert statuses(final) == {"one": "SUCCEEDED", "two": "SUCCEEDED"}
    folder = store.place(run.home, run.spec().environments[0].id)
    assert {log(run, name) for name in ("one", "two")} == {f"{folder}\n"}
    submitted = [event for event in events(run) if event["event"] == "submitted"]
    assert [(event["task"], event.get("reason")) for event in submitted] == [
        ("one", None),
        ("two", "dependency"),
    ]
