"""Starting a supervisor: it inherits nothing, answers when it has begun, and there is never a second one."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.patience import eventually
from support.workspace import NOTE, ExpWorkspace, events, is_running, kill_supervisor, shim_pid, until

from nemorun_cli.errors import ExpError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import requests
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.supervisor import client
from nemorun_cli.supervisor.assignment import Assignment

if TYPE_CHECKING:
    from support.workspace import Exp

pytestmark = pytest.mark.usefixtures("cold_supervisors")


def test_supervisor_that_is_not_needed_leaves(workspace: ExpWorkspace) -> None:
    """A supervisor that was started early and is never told anything is gone when it is let go of."""
    supervisor = client.SupervisorHandle()
    supervisor.abandon()
    assert not is_running(supervisor.pid)
    supervisor.abandon()
    assert not workspace.home.directory.exists()


def test_supervisor_whose_command_died_leaves() -> None:
    """When the command that started it dies before it knew what for, the supervisor ends by itself."""
    supervisor = client.SupervisorHandle()
    os.close(supervisor._order_writer)
    assert os.waitpid(supervisor.pid, 0)[1] == 0
    os.close(supervisor._answer_reader)


def test_supervisor_is_a_session_of_its_own(workspace: ExpWorkspace) -> None:
    """It has no terminal, no inherited descriptor, no working folder in use, and the mark of no task."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # a descriptor as a shell's `3>&1` leaves open
    run = workspace.start({"a": until("gate")})
    os.close(writer)
    holder = run.status().holder
    assert holder is not None
    process = psutil.Process(holder.pid)
    assert os.getsid(holder.pid) == holder.pid
    assert process.cwd() == "/"
    assert os.read(reader, 1) == b"", "the pipe would be open if it had inherited the other end"
    os.close(reader)
    targets = [str(Path(f"/proc/{holder.pid}/fd/{number}").readlink()) for number in range(3)]
    assert targets == ["/dev/null", "/dev/null", str(run.files.supervisor_log)]
    workspace.touch("gate")
    run.wait(timeout=60)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_caller_may_have_closed_its_descriptors(workspace: ExpWorkspace, closed: str) -> None:
    """Started with input, output or errors closed, as some daemons do, it runs and its ledger is whole."""
    spec = workspace.spec({"a": NOTE})
    command = f"{workspace.exp.argv[0]} run {spec} -d {closed}"
    subprocess.run(
        ["sh", "-c", command],
        env=workspace.exp.env,
        cwd=workspace.folder,
        check=">&-" not in closed.replace("2>&-", ""),
        capture_output=True,
    )
    status = workspace.exp("wait", "latest")
    assert status.code == 0
    assert workspace.lines() == ["a 1"]
    files = ExperimentFiles(workspace.exp.directory())
    assert b"finished" in files.ledger.read_bytes()
    eventually(lambda: "finished" in files.supervisor_log.read_text())  # written after the ledger


def test_started_means_started(workspace: ExpWorkspace) -> None:
    """When the command has its answer the lock is held and `supervisor_started` is on disk."""
    run = workspace.start({"a": until("gate")})
    assert [event["event"] for event in events(run)][:2] == ["created", "supervisor_started"]
    assert run.status(observe=False).supervisor == "alive"
    workspace.touch("gate")
    run.wait(timeout=60)


def test_second_supervisor_does_not_start(workspace: ExpWorkspace) -> None:
    """Beside a living supervisor no second one begins, and the first is not disturbed."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}"})
    shim_pid(run, "a")
    with pytest.raises(client.AlreadyRunning):
        client.SupervisorHandle().go(Assignment(directory=run.directory, home=workspace.home.directory))
    workspace.touch("gate")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["a 1"]
    assert len([event for event in events(run) if event["event"] == "supervisor_started"]) == 1


def test_of_many_that_resume_at_once_one_supervises(workspace: ExpWorkspace) -> None:
    """Several resumes race; exactly one supervisor results, and every task runs once."""
    run = workspace.start({"a": until("gate"), "b": {"inline": NOTE, "dependencies": ["a"]}})
    shim_pid(run, "a")
    kill_supervisor(run)
    started: list[bool] = []
    threads = [threading.Thread(target=lambda: started.append(run.resume())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == [False, False, False, True]
    workspace.touch("gate")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["b 1"]
    assert len([event for event in events(run) if event["event"] == "supervisor_started"]) == 2


def test_constant_readers_do_not_keep_a_supervisor_from_starting(workspace: ExpWorkspace) -> None:
    """However many look at an interrupted experiment, a resume gets its lock."""
    run = workspace.start(
        {"a": until("gate"), "b": {"inline": NOTE, "dependencies": ["a"]}}, run={"max_parallel": 1}
    )
    os.killpg(shim_pid(run, "a"), 9)
    eventually(lambda: run.status(observe=False).history.tasks["a"].is_over)
    run.wait(timeout=60)
    stop, seen = threading.Event(), set()

    def look() -> None:
        while not stop.is_set():
            seen.add(run.status().status)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    workspace.touch("gate")
    assert run.resume()
    stop.set()
    for thread in threads:
        thread.join()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_looking_at_an_interrupted_experiment_never_calls_it_running(workspace: ExpWorkspace) -> None:
    """Those who look at the same time do not take one another for its supervisor."""
    run = workspace.start({"a": f": >began; {until('gate')}", "b": NOTE}, run={"max_parallel": 1})
    eventually((workspace.folder / "began").exists)
    shim = shim_pid(run, "a")
    kill_supervisor(run)
    os.killpg(shim, 9)
    eventually(lambda: run.status().status is ExperimentStatus.INTERRUPTED)
    seen: set[tuple[str, str]] = set()

    def look() -> None:
        for _ in range(20):
            snapshot = run.status()
            seen.add((snapshot.status, snapshot.supervisor))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {("INTERRUPTED", "gone")}


def test_supervisor_that_cannot_start_says_why(workspace: ExpWorkspace) -> None:
    """Its error comes back to the command that waits, with the exit code that belongs to it."""
    run = workspace.start({"a": ":"})
    run.wait(timeout=60)
    eventually(lambda: events(run)[-1]["event"] == "supervisor_ended")
    run.files.ledger.write_bytes(b"rubbish\n")
    with pytest.raises(ExpError, match="not a ledger of exp") as caught:
        client.SupervisorHandle().go(Assignment(directory=run.directory, home=workspace.home.directory))
    assert caught.value.exit_code == 7


def test_wake_without_a_supervisor_does_nothing(tmp_path: Path) -> None:
    """Nobody listens, nobody is hurt, and nothing is made."""
    requests.wake(ExperimentFiles(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_prompt_is_back_at_once_in_a_pipe(exp: Exp) -> None:
    """`id=$(exp run -d)` and `| cat` return while the experiment runs, for nobody holds the pipe."""
    spec = exp.spec(f"version: 1\nname: p\ntasks: {{a: {{inline: '{until('gate')}'}}}}\n")
    command = f"{exp.argv[0]} run {spec} -d 2>&1 3>&1 | cat"
    done = subprocess.run(
        ["sh", "-c", command],
        env=exp.env,
        cwd=exp.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[0].startswith("p_")
    assert exp.status()["status"] == "RUNNING"
    (exp.folder / "gate").touch()
    exp("wait")


def test_caller_may_have_many_files_open(workspace: ExpWorkspace) -> None:
    """A Python program with more than a thousand open files can start, watch and cancel as any other."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 2000:
        pytest.skip(f"NOT TRIED: only {before[1]} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        run = workspace.start({"a": until("gate")})
        workspace.touch("gate")
        assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_nothing_stays_open_in_the_caller(workspace: ExpWorkspace) -> None:
    """A program that starts, looks at, cancels and resumes many experiments has no more files open after."""

    def once() -> None:
        run = workspace.start({"a": until("never")})
        run.status()
        run.cancel()
        run.resume()
        kill_supervisor(run)
        run.status()
        run.cancel()

    once()
    before = len(list(Path("/proc/self/fd").iterdir()))
    once()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
