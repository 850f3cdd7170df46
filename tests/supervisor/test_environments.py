from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.patience import eventually
from support.tiny_wheels import slow_project, wheel
from support.workspace import NOTE, events, is_running, kill_supervisor, log, status, statuses

from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.packagers.environments import store
from nemorun_cli.system import crashpoints, locks

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

SHOWS = ["python", "-c", "import sys, tinypkg; print(tinypkg.VALUE, sys.prefix)"]
SLOW: dict[str, Any] = {"uv": ["./project"]}


@pytest.fixture
def project(workspace: ExpWorkspace) -> Path:
    """A project whose build waits until the working folder has no file `hold`."""
    workspace.touch("hold")
    return slow_project(workspace.folder / "project")


def maker_of(run: Run) -> int:
    """The process that holds the lock of the only environment of an experiment."""

    def holder() -> int | None:
        found = locks.read_holder(lock(run))
        return found.pid if found and is_running(found.pid) else None

    return int(eventually(holder))


def lock(run: Run) -> Path:
    """The lock of the only environment of an experiment."""
    return store.lock_of(run.home, run.spec().environments[0].id)


def building(project: Path) -> None:
    """Wait until the installer builds the project."""
    eventually((project.parent / "building").exists)


def states(run: Run) -> list[str]:
    """What the ledger has about environments."""
    kinds = {"python_environment_started": "started", "python_environment_ended": "ended"}
    return [
        f"{kinds[event['event']]} {event.get('status', event.get('message', ''))}".strip()
        for event in events(run)
        if event["event"] in kinds
    ]


def test_tasks_of_every_kind_run_in_an_environment(workspace: ExpWorkspace) -> None:
    """Made once, from a file of requirements, it is first on the PATH of commands, texts and partials."""
    wheel(workspace.folder / "wheels")
    requirements = workspace.folder / "requirements.txt"
    requirements.write_text("--no-index\n--find-links wheels\ntinypkg==1.0\n")
    run = workspace.start(
        {
            "command": {"command": SHOWS},
            "text": {"inline": "command -v python3; python3 -c 'import tinypkg'"},
            "partial": {"partial": "tinypkg:value"},
            "none": {"python": "none", "inline": "! python3 -c 'import tinypkg' 2>/dev/null"},
        },
        defaults={"python": {"uv": "requirements.txt"}},
    )
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED, statuses(final)
    environment = run.spec().environments[0]
    folder = store.place(run.home, environment.id)
    assert log(run, "command") == f"42 {folder}\n"
    assert log(run, "text") == f"{folder}/bin/python3\n"
    assert final.history.tasks["partial"].outputs == {"value": 42}
    assert states(run) == ["started", "ended SUCCEEDED"]
    shown = workspace.exp("show", "--json").json["python_environments"]
    assert [(entry["status"], entry["packages"]) for entry in shown] == [("SUCCEEDED", {"tinypkg": "1.0"})]
    again = workspace.start({"a": {"command": SHOWS, "python": {"uv": "requirements.txt"}}})
    assert again.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert states(again) == ["ended SUCCEEDED"]
    assert "tinypkg 1.0" in workspace.exp("show").stdout


def test_a_task_waits_for_its_environment_and_others_do_not(workspace: ExpWorkspace, project: Path) -> None:
    """While it is made, `status` and `why` report it; what needs no environment runs."""
    run = workspace.start({"a": {"python": SLOW, "command": SHOWS}, "b": NOTE})
    building(project)
    eventually(lambda: status(run, "b") == "SUCCEEDED")
    assert workspace.exp.task("a")["message"] == "waits: its environment is being made"
    assert "python:     uv: ./project, Python 3." in workspace.exp("status").stdout
    why = workspace.exp("why", "latest", "a").stdout
    assert "it waits for its Python environment (uv: ./project, Python 3." in why
    other = workspace.start({"a": {"python": SLOW, "command": SHOWS}}, name="other")
    message = f"process {maker_of(run)} on {locks.hostname()} makes it"
    eventually(lambda: message in (workspace.exp.task("a", "other")["message"] or ""))
    (workspace.folder / "hold").unlink()
    for each in (run, other):
        assert each.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert states(other) == ["started", f"started {message}", "ended SUCCEEDED"]


def test_killed_with_its_supervisor_nothing_is_made_twice(workspace: ExpWorkspace, project: Path) -> None:
    """The process that makes it continues; a resume waits for it."""
    run = workspace.start({"a": {"python": SLOW, "command": SHOWS}})
    building(project)
    maker = maker_of(run)
    kill_supervisor(run)
    assert is_running(maker)
    run.resume()
    eventually(lambda: "started process" in " ".join(states(run)))
    assert maker_of(run) == maker
    (workspace.folder / "hold").unlink()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_an_environment_that_is_half_made_is_made_again(workspace: ExpWorkspace, project: Path) -> None:
    """A process that is killed is replaced, and waits until the installer of the killed one has ended."""
    run = workspace.start({"a": {"python": SLOW, "command": SHOWS}})
    building(project)
    os.kill(maker_of(run), signal.SIGKILL)
    eventually(lambda: "started process" in " ".join(states(run)))
    assert locks.is_held(lock(run)), "the installer still writes"
    (workspace.folder / "hold").unlink()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


if IS_LONG:

    @pytest.mark.parametrize("moment", ["environment.installed:1", "environment.empty:1"])
    def test_nothing_incomplete_is_used(
        workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        """Killed again and again while it is made, it fails the task; a resume makes it anew."""
        built = wheel(workspace.folder)
        monkeypatch.setenv(crashpoints.VARIABLE, moment)
        run = workspace.start({"a": {"python": {"uv": [f"./{built.name}"]}, "command": SHOWS}})
        failed = run.wait(timeout=60)
        assert failed.status is ExperimentStatus.FAILED
        assert "ended with exit code -9, 3 times" in (failed.history.tasks["a"].message or "")
        assert store.manifest(run.home, run.spec().environments[0].id) is None
        monkeypatch.delenv(crashpoints.VARIABLE)
        run.resume()
        assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_a_failed_installation_fails_its_tasks_before_they_start(
    workspace: ExpWorkspace, project: Path
) -> None:
    """The message has the installer's error; a resume tries again, and a changed file is reported."""
    (workspace.folder / "hold").unlink()
    workspace.touch("broken")
    tasks = {"a": {"python": SLOW, "command": SHOWS}, "b": {"command": SHOWS, "dependencies": ["a"]}}
    run = workspace.start(tasks)
    final = run.wait(timeout=60)
    assert statuses(final) == {"a": "FAILED", "b": "SKIPPED"}
    state = final.history.tasks["a"]
    assert state.reason == "launch"
    assert state.started is None
    assert "the compiler refused it" in (state.message or "")
    assert states(run) == ["started", "ended FAILED"]
    (workspace.folder / "broken").unlink()
    (project / "more.py").touch()
    run.resume()
    message = run.wait(timeout=60).history.tasks["a"].message or ""
    assert f"{project} changed since the experiment was created" in message


def test_a_cancel_ends_what_makes_an_environment(workspace: ExpWorkspace, project: Path) -> None:
    """Nobody waits for it any more: its processes end, and the task is CANCELLED."""
    run = workspace.start({"a": {"python": SLOW, "command": SHOWS}})
    building(project)
    maker = maker_of(run)
    workspace.exp("cancel", "latest")
    assert run.wait(timeout=60).status is ExperimentStatus.CANCELLED
    eventually(lambda: not is_running(maker))
    eventually(lambda: not locks.is_held(lock(run)))
    (workspace.folder / "hold").unlink()


def test_unused_environments_are_collected(workspace: ExpWorkspace) -> None:
    """`exp gc` removes one when no experiment refers to it any more; `exp doctor` lists what there is."""
    built = wheel(workspace.folder)
    run = workspace.start({"a": {"python": {"uv": [f"./{built.name}"]}, "command": SHOWS}})
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    name = run.spec().environments[0].id
    assert f"environment {name}" in workspace.exp("doctor", code=None).stdout
    assert workspace.exp("gc", "--json").json["removed"] == []
    workspace.exp("rm", run.id)
    assert workspace.exp("gc", "--json").json["removed"] == []
    removed = workspace.exp("gc", "--trash", "0s", "--json").json["removed"]
    assert [entry["kind"] for entry in removed] == ["trash", "environment"]
    assert store.ids(run.home) == []


def test_an_environment_that_exists_is_checked_when_a_task_needs_it(workspace: ExpWorkspace) -> None:
    """What was removed after the start fails the task with the reason, and nothing runs on another Python."""
    venv = workspace.folder / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("version = 3.12.4\n")
    (venv / "bin" / "python").symlink_to("/bin/true")
    first = {"inline": f"{NOTE}; rm -r venv"}
    run = workspace.start(
        {"a": first, "b": {"python": {"venv": "venv"}, "command": ["python"], "dependencies": ["a"]}}
    )
    final = run.wait(timeout=60)
    assert statuses(final) == {"a": "SUCCEEDED", "b": "FAILED"}
    assert f"{venv} has no bin/python that can run" in (final.history.tasks["b"].message or "")
    assert find(home=workspace.home).status().history.environments
