"""Python environments of tasks on a cluster that only ssh leads to: made on its login node."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.tiny_wheels import wheel
from support.workspace import events, log, statuses

from nemorun_cli.packagers.environments import interpreters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.far import Far
    from support.workspace import ExpWorkspace

LONG = 120.0  # seconds


@pytest.fixture
def spot(far: Far) -> Iterator[Path]:
    """A folder that both sides see, with uv and a wheel."""
    before = os.umask(0o022)
    with tempfile.TemporaryDirectory(dir=far.work) as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "bin").mkdir()
        shutil.copy(interpreters.installer(), folder / "bin" / "uv")
        wheel(folder / "wheels")
        yield folder
    os.umask(before)


def header(far: Far, spot: Path, before: str) -> dict[str, Any]:
    """What makes tasks run there, with shell code before each command."""
    options = far.options()
    options["tunnel"] = {**options["tunnel"], "pre_command": f"{before}; PATH=/usr/bin:/bin:$PATH"}
    return {"executors": {"cluster": options}, "executor": "cluster", "defaults": {"workdir": str(spot)}}


def test_uv_makes_it_on_the_login_node(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """Once, in the folder of this home there; all jobs use it, its versions are known here.

    `exp gc --remote` removes it with the folders of experiments that are deleted, and not before.
    """
    python = {"uv": ["--no-index", f"--find-links {spot}/wheels", "tinypkg"]}
    shows = {"command": ["python", "-c", "import sys, tinypkg; print(sys.prefix)"], "python": python}
    tasks = {"one": shows, "two": {"partial": "tinypkg:value", "python": python, "dependencies": ["one"]}}
    run = workspace.start(tasks, **header(far, spot, f"PATH={spot}/bin:$PATH"))
    final = run.wait(timeout=LONG)
    assert statuses(final) == {"one": "SUCCEEDED", "two": "SUCCEEDED"}, final.history.tasks
    environment = run.spec().environments[0]
    place = far.home(workspace.home.directory) / "environments" / environment.id
    assert log(run, "one") == f"{place}\n"
    assert final.history.tasks["two"].outputs == {"value": 42}
    assert final.history.environments[environment.id].installed == {"tinypkg": "1.0"}
    made = (place / "manifest").stat().st_mtime_ns
    again = workspace.start({"one": shows}, **header(far, spot, f"PATH={spot}/bin:$PATH"))
    assert statuses(again.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    assert (place / "manifest").stat().st_mtime_ns == made

    workspace.exp("rm", run.id)
    collect = ("gc", "--remote", "--trash", "0s", "--json")
    first = workspace.exp(*collect).json
    there = {each["path"] for each in first["removed"] if each["kind"].startswith("remote")}
    host, home = far.options()["tunnel"]["host"], far.home(workspace.home.directory)
    assert there == {f"{host}:{home}/{run.directory.parent.name}/{run.id}"}
    assert (place / "manifest").exists()
    workspace.exp("rm", again.id)
    done = [each["kind"] for each in workspace.exp(*collect).json["removed"]]
    assert {"remote_experiment", "remote_environment"} <= set(done)
    assert not place.exists()
    assert not [path for path in home.iterdir() if path.name in {run.directory.parent.name, place.name}]


def test_what_fails_there_fails_the_task_here(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """A host without uv, and an installation that fails, with what uv printed."""
    for before, packages, wanted in (
        ("HOME=/dev/null PATH=/usr/bin", ["x"], "uv is not installed on"),
        (f"PATH={spot}/bin:$PATH", ["--no-index", "no-such-package"], "no-such-package was not found"),
    ):
        task = {"command": "true", "python": {"uv": packages}}
        run = workspace.start({"one": task}, **header(far, spot, before))
        state = run.wait(timeout=LONG).history.tasks["one"]
        assert (state.status, state.reason, state.started) == ("FAILED", "launch", None)
        assert wanted in (state.message or "")
        failed = next(event for event in events(run) if event.get("status") == "FAILED")
        assert failed["event"] == "python_environment_ended"
