from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import kill_supervisor, until

from nemorun_cli import executors
from nemorun_cli.system import login_session
from nemorun_cli.views.reports import doctor_report

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

NOWHERE = "/proc/1"  # a folder that nobody can write to, root neither


def checks(
    exp: Exp, *arguments: str, code: int | None = None, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """What the doctor says, by what it looked at; by default engines of this machine may be in trouble."""
    told = exp("doctor", *arguments, "--json", code=code, env=env)
    assert told.code in ({0, 6} if code is None else {code})
    return {check["subject"]: check for check in told.json["checks"]}


def test_doctor_finds_a_machine_well(exp: Exp) -> None:
    """Every type of executor, home, locks, programs and session are looked at, and nothing is left behind."""
    exp.home.mkdir(mode=0o700)
    found = checks(exp)
    assert {f"executor {kind}" for kind in executors.types()} <= set(found)
    assert set(found) >= {"executor local", "home", "locks", "privacy", "space", "python", "bash", "session"}
    assert found["executor local"]["is_engine"]
    assert {found[name]["state"] for name in ("executor local", "home", "locks", "privacy")} == {"well"}
    assert list(exp.home.iterdir()) == []


def test_doctor_makes_nothing(exp: Exp) -> None:
    """A home that is not there yet is made by the first run, not by the doctor."""
    assert "the first run creates" in checks(exp)["home"]["message"]
    assert not exp.home.exists()


@pytest.mark.parametrize("home", [NOWHERE, f"{NOWHERE}/below"])
def test_doctor_finds_a_home_that_cannot_be_written(exp: Exp, home: str) -> None:
    """A home that cannot be written is trouble, with its remedy, and exit code 7."""
    found = checks(exp, code=7, env={"NEMORUN_HOME": home})["home"]
    assert found["state"] == "trouble"
    assert "NEMORUN_HOME" in found["remedy"]


def test_doctor_finds_a_home_that_others_may_look_into(exp: Exp) -> None:
    """What others may read is a warning, with the command that ends it."""
    exp.home.mkdir()
    exp.home.chmod(0o755)
    found = checks(exp)["privacy"]
    assert (found["state"], found["remedy"]) == ("warning", f"chmod 700 {exp.home}")


def test_doctor_finds_missing_programs(exp: Exp, tmp_path: Path) -> None:
    """What tasks need and is not on the PATH is named with its use; it stands in nobody's way yet."""
    found = checks(exp, env={"PATH": str(tmp_path)})
    assert found["bash"]["state"] == "warning"
    assert "entrypoint" in found["bash"]["message"]


def test_doctor_asks_the_engines_of_an_experiment(exp: Exp) -> None:
    """Given an experiment, its own executors are asked; an engine in trouble is exit code 6."""
    exp("run", exp.spec("executors: {box: {type: local}}\nexecutor: box\ntasks: {a: {command: [echo]}}"))
    assert [subject for subject in checks(exp, "latest", code=0) if "executor" in subject] == [
        "executor box (local)"
    ]
    resolved = exp.directory() / "resolved.json"
    document = json.loads(resolved.read_bytes())
    document["executors"]["box"]["type"] = "moon"
    resolved.write_text(json.dumps(document))
    found = checks(exp, "latest", code=6)["executor box"]
    assert (found["state"], found["is_engine"]) == ("trouble", True)
    assert "moon" in found["message"]


def test_doctor_finds_a_dead_supervisor(workspace: ExpWorkspace) -> None:
    """An experiment that is not over and has no supervisor is named with its remedy."""
    run = workspace.start({"slow": until("go"), "below": {"command": "echo", "dependencies": ["slow"]}})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    assert checks(workspace.exp, run.id)[f"experiment {run.id}"]["state"] == "well"
    kill_supervisor(run)
    found = checks(workspace.exp, run.id)[f"experiment {run.id}"]
    assert (found["state"], found["remedy"]) == ("warning", f"continue it: exp resume {run.id}")
    assert "1 of its tasks continue without it" in found["message"]
    assert f"-> continue it: exp resume {run.id}" in workspace.exp("doctor", run.id).stdout
    run.cancel()


def test_doctor_of_what_is_not_there(exp: Exp) -> None:
    """An unknown experiment is exit code 3."""
    exp("doctor", "nothing", code=3)


def test_shared_file_systems_are_known(tmp_path: Path) -> None:
    """The kind of file system is found for a folder, and those of networks are told of."""
    assert doctor_report.file_system(tmp_path) not in (None, "")
    assert doctor_report.file_system(tmp_path) not in doctor_report.SHARED
    assert {"nfs", "nfs4", "lustre", "cifs"} <= doctor_report.SHARED


def test_a_login_that_ends_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of a logind that kills at logout is a danger; outside of logins, and else, there is none."""
    program = tmp_path / "loginctl"
    program.write_text(
        '#!/bin/sh\ntest "$*" = "show-session --property=KillUserProcesses" && cat "$0.answer"\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    session = "0::/user.slice/user-1000.slice/session-3.scope\n"
    (tmp_path / "loginctl.answer").write_text("KillUserProcesses=yes\n")
    found = login_session.danger(session)
    assert found is not None
    assert "systemd-run --user --scope" in found.remedy
    (tmp_path / "loginctl.answer").write_text("KillUserProcesses=no\n")
    assert login_session.danger(session) is None
    assert login_session.danger("0::/system.slice/cron.service\n") is None
    assert login_session.danger("") is None


def test_a_slurm_job_ends_what_is_started_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor in a job ends with it, whatever becomes of logins."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    found = login_session.danger("")
    assert found is not None
    assert "4711" in found.message
    assert "login node" in found.remedy


def test_a_terminal_of_the_user_manager() -> None:
    """What belongs to the user's own manager ends with the last login, unless the user lingers."""
    found = login_session.danger(
        f"0::/user.slice/user-1.slice/user@{os.getuid()}.service/app.slice/terminal.scope\n"
    )
    assert found is None or "loginctl enable-linger" in found.remedy
