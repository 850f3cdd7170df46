"""Tasks on real hosts behind ssh, and what happens when a host, its disk or the connection fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest
from engines import ssh_hosts as engine
from support.extent import IS_LONG
from support.other_user import UID
from support.patience import eventually
from support.workspace import events, kill_supervisor, log, statuses, until

from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.model.status import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.ssh_hosts import SshHosts
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.state import TaskState

LONG: Final = 120.0  # seconds


def header(*hosts: Any, **others: Any) -> dict[str, Any]:
    """What makes tasks run on hosts."""
    return {"executors": {"boxes": engine.options(*hosts, **others)}, "executor": "boxes"}


def soon(condition: Any) -> Any:
    """The first true value of a condition, for which the network takes its time."""
    return eventually(condition, within=LONG)


def now(run: Run, task: str = "one") -> TaskState:
    """The state of a task, as its supervisor recorded it."""
    return run.status().history.tasks[task]


def end_shared_connection(name: str) -> None:
    """End the process that keeps the shared connection to a host."""
    tunnel = Tunnel(host=name, job_dir=str(engine.JOBS))
    argv = [*tunnel.ssh(), "-O", "exit", name]
    subprocess.run(argv, capture_output=True, check=False)


@pytest.fixture
def apart(ssh_hosts: SshHosts) -> Iterator[SshHosts]:
    """Hosts whose connections end after the test."""
    yield ssh_hosts
    for name in engine.NAMES:
        end_shared_connection(name)


@contextlib.contextmanager
def small_disk(hosts: SshHosts, name: str) -> Iterator[tuple[str, list[str]]]:
    """A folder of a host that is a disk of its own, and the command that runs commands there."""
    config = str(hosts.folder / f"sshd_config-{name}")
    argvs = psutil.process_iter(["cmdline"])
    listening = next(process.pid for process in argvs if config in (process.info["cmdline"] or ()))
    there = ["nsenter", f"--target={listening}", "--mount"]
    with tempfile.TemporaryDirectory(prefix="exp-disk-") as folder:
        argv = [*there, "mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", folder]
        subprocess.run(argv, check=True)
        yield folder, there
        subprocess.run([*there, "umount", "-l", folder], check=True)


def test_tasks_are_spread_and_members_meet(workspace: ExpWorkspace, ssh_hosts: SshHosts) -> None:
    """Members of a group start on hosts with room at the same time, and know each other's addresses."""
    members = [{"name": name, "inline": 'uname -n; echo "$EXP_HOST_A $EXP_HOST_B"'} for name in "ab"]
    hosts = [{"host": name, "slots": 1} for name in engine.NAMES]
    run = workspace.start({"pair": {"group": members, "together": True}}, **header(*hosts))
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
    first, second = (log(run, f"pair/{name}").splitlines() for name in "ab")
    assert sorted([first[0], second[0]]) == list(engine.NAMES)
    assert first[1] == second[1] == " ".join(ssh_hosts.address(lines[0]) for lines in (first, second))


if IS_LONG:

    def test_two_homes_share_a_host(workspace: ExpWorkspace, apart: SshHosts, exp: Exp) -> None:
        """Slots are those of the host, for all experiments; `exp why` names what has them."""
        del apart
        hosts = header({"host": "box1", "slots": 1})
        first = workspace.start({"one": f"touch up; {until('go')}"}, **hosts)
        soon((workspace.folder / "up").exists)
        second = workspace.start({"two": "true"}, **hosts)
        message = soon(lambda: now(second, "two").message)
        assert message == f"waits for a slot: box1 is full with {first.id}/one"
        assert message in " ".join(exp("why", second.id, "two").stdout.split())
        workspace.touch("go")
        assert [statuses(run.wait(timeout=LONG)) for run in (first, second)] == [
            {"one": "SUCCEEDED"},
            {"two": "SUCCEEDED"},
        ]

    def test_what_waits_is_cancelled(workspace: ExpWorkspace, ssh_hosts: SshHosts) -> None:
        """A task that has no host yet never starts."""
        del ssh_hosts
        tasks = {"one": f"touch up; {until('go')}", "two": "touch ran"}
        run = workspace.start(tasks, **header({"host": "box1", "slots": 1}))
        soon((workspace.folder / "up").exists)
        soon(lambda: now(run, "two").message)
        run.cancel(["two"])
        workspace.touch("go")
        assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED", "two": "CANCELLED"}
        assert not (workspace.folder / "ran").exists()

    def test_a_host_that_restarts_loses_its_tasks(workspace: ExpWorkspace, apart: SshHosts) -> None:
        """They are lost, with the reason, and a retry runs when the host is there again."""
        script = f'echo $EXP_ATTEMPT >>ran; [ "$EXP_ATTEMPT" = 2 ] || {until("never")}'
        task = {"inline": script, "retry": {"limit": 1, "on": ["lost"]}}
        run = workspace.start({"one": task}, **header("box1"))
        soon(lambda: now(run).status == "RUNNING")
        apart.restart("box1")
        state = run.wait(timeout=LONG).history.tasks["one"]
        assert (state.status, state.attempt) == ("SUCCEEDED", 2)
        assert workspace.lines() == ["1", "2"]
        failed = next(event for event in events(run) if event.get("attempt") == 1 and "reason" in event)
        assert (failed["reason"], failed["message"]) == (Reason.LOST, "box1 was restarted while it ran")

    def test_a_host_that_is_away_takes_nothing(workspace: ExpWorkspace, apart: SshHosts) -> None:
        """Its tasks are UNKNOWN and continue; new ones go to the other host; then the truth is known."""
        run = workspace.start({"one": f"touch up; {until('go')}; exit 3"}, **header("box1", "box2"))
        soon(lambda: now(run).job_id)
        name = str(now(run).job_id).partition(":")[0]
        other = next(host for host in engine.NAMES if host != name)
        apart.machines[name].plug(is_in=False)
        end_shared_connection(name)
        try:
            soon(lambda: now(run).status == "UNKNOWN")
            assert f"ssh cannot reach {name}" in str(now(run).message)
            kill_supervisor(run)
            run.resume()
            second = workspace.start({"two": "uname -n"}, **header("box1", "box2"))
            assert statuses(second.wait(timeout=LONG)) == {"two": "SUCCEEDED"}
            assert log(second, "two").strip() == other
            workspace.touch("go")
        finally:
            apart.machines[name].plug(is_in=True)
        state = run.wait(timeout=LONG).history.tasks["one"]
        assert (state.status, state.exit_code, state.attempt) == ("FAILED", 3, 1)

    def test_a_full_disk_takes_nothing(workspace: ExpWorkspace, ssh_hosts: SshHosts) -> None:
        """A task waits, and the reason is shown, until the disk of its only host has room again."""
        tasks = {
            "first": "true",
            "gate": {"inline": until("go"), "executor": "local", "dependencies": ["first"]},
            "one": {"inline": "echo ran", "dependencies": ["gate"]},
        }
        with small_disk(ssh_hosts, "box2") as (folder, there):
            executors = {"boxes": {**engine.options("box2"), "job_dir": folder}}
            run = workspace.start(tasks, executors=executors, executor="boxes")
            soon(lambda: now(run, "gate").status == "RUNNING")
            fill = f"dd if=/dev/zero of={folder}/ballast bs=4k 2>/dev/null; true"
            subprocess.run([*there, "sh", "-c", fill], check=True)
            workspace.touch("go")
            soon(lambda: "waits for a host: box2: " in str(now(run).message))
            subprocess.run([*there, "rm", f"{folder}/ballast"], check=True)
            assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
            assert log(run, "one") == "ran\n"

    def test_what_a_person_has_to_mend_is_reported_at_once(
        workspace: ExpWorkspace, ssh_hosts: SshHosts, exp: Exp
    ) -> None:
        """An unknown host key ends a start, unless another host can be used."""
        known = ssh_hosts.folder / "known_hosts"
        before = known.read_text(encoding="ascii")
        lines = [line for line in before.splitlines() if ssh_hosts.address("box2") not in line]
        known.write_text("\n".join([*lines, ""]), encoding="ascii")
        end_shared_connection("box2")
        try:
            spec = workspace.spec({"one": "uname -n"}, **header("box2"))
            assert "the host key of box2 is unknown" in exp("run", spec, code=6).stderr
            run = workspace.start({"one": "uname -n"}, **header("box2", "box1"))
            assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
            assert log(run, "one").strip() == "box1"
            checks = json.loads(exp("doctor", run.id, "--json", code=None).stdout)["checks"]
            assert any("host key of box2" in check["message"] for check in checks if check["state"] != "well")
        finally:
            known.write_text(before, encoding="ascii")

    def test_nothing_starts_in_a_folder_of_another_user(workspace: ExpWorkspace, apart: SshHosts) -> None:
        """The default folder may have been made by somebody who could replace what runs there."""
        del apart
        folder = Path(f"/var/tmp/exp-tests-{os.getpid()}")  # noqa: S108 - named like the default
        folder.mkdir()
        try:
            os.chown(folder, UID, UID)
            boxes = {**engine.options("box1"), "job_dir": str(folder)}
            run = workspace.start({"one": "touch ran"}, executors={"boxes": boxes}, executor="boxes")
            soon(lambda: f"{folder} belongs to another user" in str(now(run).message))
            os.chown(folder, 0, 0)
            assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
        finally:
            shutil.rmtree(folder)

    def test_a_clock_that_differs_is_reported(workspace: ExpWorkspace, apart: SshHosts, exp: Exp) -> None:
        """`exp doctor` names the host and the difference; tasks run, with the times of their host."""
        del apart
        program = workspace.folder / "date"
        program.write_text("#!/bin/sh\nexec /bin/date -d '+1 hour' \"$@\"\n")
        program.chmod(0o755)
        run = workspace.start({"one": "true"}, **header("box1", pre_command=f"PATH={program.parent}:$PATH"))
        assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
        checks = json.loads(exp("doctor", run.id, "--json", code=None).stdout)["checks"]
        (found,) = [check["message"] for check in checks if "clock of box1" in check["message"]]
        assert re.match(r"the clock of box1 is 3(59|60)\d s ahead", found)
