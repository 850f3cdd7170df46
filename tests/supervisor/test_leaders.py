"""Groups with a leader on real processes: crashes, and what ended by itself before it was stopped."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.schedules import C, F, S, schedule, task
from support.workspace import is_running, kill_supervisor, shim_pid, status, statuses, until

from nemorun_cli.model.attempt_end import from_exit_code
from nemorun_cli.model.spec import Group
from nemorun_cli.model.status import ExperimentStatus, Reason
from nemorun_cli.scheduler.attempt_result import CLOCK_SKEW, awaits_leader, cancel_of
from nemorun_cli.storage import attempts, events
from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
from nemorun_cli.system import crashpoints
from nemorun_cli.views import exit_records, needless

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.scheduler.schedule import Schedule

WAITS = {"server": until("never"), "fails": f"{until('fail')}; exit 7", "client": f"touch up; {until('go')}"}


def test_killed_between_the_end_of_a_leader_and_the_signal(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was stopped: what fails meanwhile is FAILED, and a resume stops the rest."""
    members = [{"name": name, "inline": script} for name, script in WAITS.items()]
    with monkeypatch.context() as patch:
        patch.setenv(crashpoints.VARIABLE, "group.stop:1")
        run = workspace.start({"g": {"group": members, "until": "client"}}, run={"max_parallel": 3})
    eventually((workspace.folder / "up").exists)
    pids = [shim_pid(run, f"g/{name}") for name in WAITS]
    workspace.touch("go")
    eventually(lambda: run.status(observe=False).supervisor == "gone")
    assert statuses(run.status()) == {"g/server": "RUNNING", "g/fails": "RUNNING", "g/client": S}
    assert run.wait(timeout=60).status is ExperimentStatus.INTERRUPTED, "a wait for it would have no end"
    why = workspace.exp("why", run.id).stdout
    assert "g/client succeeded, and g ends with it, but without a supervisor nothing stops it: use exp" in why
    assert "adopts it: RUNNING as attempt 1; it is stopped, as g/client has succeeded" in why
    workspace.touch("fail")
    eventually(lambda: not is_running(pids[1]))
    assert (status(run, "g/fails"), status(run, "g/server")) == (F, "RUNNING")
    run.resume()
    final = run.wait(timeout=60)
    assert statuses(final) == {"g/server": S, "g/fails": F, "g/client": S}
    assert final.history.tasks["g/server"].reason == "until"
    assert final.status is ExperimentStatus.FAILED
    assert (
        "it was stopped in attempt 1: g/client succeeded" in workspace.exp("why", run.id, "g/server").stdout
    )
    assert workspace.exp("fsck", run.id).code == 0

    assert run.resume() is False, "its leader has succeeded, so nothing has to run again"
    assert run.resume(below=["g/client"])
    again = run.wait(timeout=60)
    assert {name: state.attempt for name, state in again.history.tasks.items()} == {
        "g/server": 2,
        "g/fails": 2,
        "g/client": 2,
    }


def test_a_cancel_ends_what_a_leader_left(workspace: ExpWorkspace) -> None:
    """Without a supervisor, what still runs after the leader's end is CANCELLED by a cancel."""
    members = [{"name": name, "inline": WAITS[name]} for name in ("server", "client")]
    run = workspace.start({"g": {"group": members, "until": "client"}}, run={"max_parallel": 2})
    eventually((workspace.folder / "up").exists)
    for name in ("g/server", "g/client"):
        shim_pid(run, name)
    kill_supervisor(run)
    workspace.touch("go")
    eventually(lambda: status(run, "g/client") == S)
    assert statuses(run.cancel()) == {"g/server": C, "g/client": S}


def test_ends_are_recorded_in_the_order_in_which_they_happened(workspace: ExpWorkspace) -> None:
    """Of a failure and the leader's success, seen at once, the first one decides what the others are."""
    members = [{"name": name, "inline": script} for name, script in WAITS.items()]
    for first, other in (("go", (S, "until")), ("fail", (C, "dependency"))):
        for name in ("go", "fail"):
            (workspace.folder / name).unlink(missing_ok=True)
        run = workspace.start({"g": {"group": members, "until": "client"}}, run={"max_parallel": 3})
        for name in WAITS:
            shim_pid(run, f"g/{name}")
        holder = run.status(observe=False).holder
        assert holder is not None
        os.kill(holder.pid, signal.SIGSTOP)
        for name, ends in (("go", "client"), ("fail", "fails"))[:: 1 if first == "go" else -1]:
            workspace.touch(name)
            eventually(run.files.attempt(f"g/{ends}", 1).exit.exists)
        os.kill(holder.pid, signal.SIGCONT)
        states = run.wait(timeout=60).history.tasks
        assert (states["g/client"].status, states["g/fails"].status) == (S, F)
        assert (states["g/server"].status, states["g/server"].reason) == other


# -- evidence -----------------------------------------------------------------------------------------


def led(tmp_path: Path, *, leader: str | None = None) -> tuple[Schedule, AttemptFiles]:
    """A group whose server runs, and whose leader has ended, if a time is given; the files of the server."""
    members = [task("g/server", 0, group="g"), task("g/client", 1, group="g")]
    made = schedule(*members, groups=(Group(id="g", members=("g/server", "g/client"), until="g/client"),))
    for one in members:
        for kind in (events.SUBMITTED, events.STARTED):
            made.history.apply({"event": kind, "time": "2026-01-01T00:00:00Z", "task": one.id, "attempt": 1})
    if leader:
        ended = {
            "event": events.ENDED,
            "time": leader,
            "task": "g/client",
            "attempt": 1,
            "status": "SUCCEEDED",
        }
        made.history.apply(ended)
    files = ExperimentFiles(tmp_path).attempt("g/server", 1)
    files.directory.mkdir(parents=True)
    return made, files


def test_a_failure_before_the_stop_counts(tmp_path: Path) -> None:
    """By the time of the note where both are by one clock, else by that of the leader, with a tolerance."""
    made, files = led(tmp_path, leader="2026-01-01T00:01:00Z")
    over = made.history.tasks["g/client"].ended
    assert over is not None

    def reason(ended: float, *, has_local_clock: bool) -> str | None:
        ending = from_exit_code(7, ended=ended)
        cancel = cancel_of(made, "g/server", ending, sent=None, files=files, has_local_clock=has_local_clock)
        return cancel.reason if cancel else None

    assert reason(2e9, has_local_clock=True) is None, "nobody stopped it"
    assert attempts.note_stop(files)
    noted = attempts.stop_time(files) or 0.0
    assert reason(noted - 0.1, has_local_clock=True) is None
    assert reason(noted + 0.1, has_local_clock=True) == Reason.UNTIL
    leader_end = 1767225660.0
    assert reason(leader_end - CLOCK_SKEW - 0.1, has_local_clock=False) is None
    assert reason(leader_end - CLOCK_SKEW + 0.1, has_local_clock=False) == Reason.UNTIL


def test_what_has_ended_or_is_stopped_by_its_job_gets_no_signal(tmp_path: Path) -> None:
    """An exit record, an exceeded timeout, or the note of a job's script: a signal would be a second one."""
    _, files = led(tmp_path)
    files.timed_out.touch()
    assert not attempts.note_stop(files)
    files.timed_out.unlink()
    assert attempts.note_stop(files)
    assert attempts.note_stop(files), "an earlier supervisor noted it, and may not have sent the signal"
    files.stopped.write_text("job\n")
    assert not attempts.note_stop(files)


@pytest.mark.parametrize(
    ("kind", "together", "jobs", "found"),
    [
        ("slurm", True, ("7+0", "7+1"), []),
        ("slurm", True, ("7", "7"), []),
        ("slurm", True, ("7", "8"), ["g/server"]),
        ("slurm", False, ("7", "7"), ["g/server"]),
        ("local", True, ("7", "7"), ["g/server"]),
    ],
)
def test_only_the_job_of_a_group_stops_its_members(
    tmp_path: Path,
    kind: str,
    together: bool,  # noqa: FBT001 - a parameter of a test
    jobs: tuple[str, str],
    found: list[str],
) -> None:
    """A retry of the leader is another job, and other executors have no job for a group."""
    made, _ = led(tmp_path, leader="2026-01-01T00:01:00Z")
    group = replace(made.spec.groups[0], together=together)
    spec = replace(made.spec, groups=(group,), executors={"local": {"type": kind}})
    for name, job_id in zip(group.members, jobs, strict=True):
        made.history.tasks[name].job_id = job_id
    assert needless.members(spec, made.history) == found


def test_a_stopped_member_waits_for_the_end_of_its_leader(tmp_path: Path) -> None:
    """Records may become visible in any order; while its supervisor is stalled, too."""
    made, files = led(tmp_path)
    client = ExperimentFiles(tmp_path).attempt("g/client", 1)
    client.directory.mkdir(parents=True)
    files.stopped.write_text("job\n")
    attempts.put(files.exit, '{"exit_code":143}\n')
    ending = attempts.read_ending(files)
    assert ending is not None
    assert awaits_leader(made, "g/server", ending, files)
    assert not awaits_leader(made, "g/server", from_exit_code(143, ended=1.0), files), "not for ever"
    exit_records.apply(made.history, ExperimentFiles(tmp_path), made.spec)
    assert made.history.tasks["g/server"].status == "RUNNING"
    attempts.put(client.exit, '{"exit_code":0}\n')
    exit_records.apply(made.history, ExperimentFiles(tmp_path), made.spec)
    ends = {name: (state.status, state.reason) for name, state in made.history.tasks.items()}
    assert ends == {"g/server": (S, "until"), "g/client": (S, None)}
