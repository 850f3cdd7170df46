"""Attempts that metrics stop, on real processes: crashes around the decision, and what ended by itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.schedules import F, S, schedule, task
from support.workspace import events, is_running, kill_supervisor, shim_pid, statuses, until

from nemorun_cli.model.attempt_end import from_exit_code, lost
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.stop_rules import StopRule
from nemorun_cli.scheduler.attempt_result import CLOCK_SKEW, cancel_of
from nemorun_cli.storage import attempts
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
from nemorun_cli.system import crashpoints
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.state import Cancel

LOSS = {"train": r"loss=(?P<loss>\S+)"}
PROGRAM = """\
import sys, time
from nemorun_cli import Experiment
with Experiment().run as experiment:
    while not experiment.should_stop():
        experiment.metrics("val").log(loss=float(sys.argv[1]))
        time.sleep(0.02)
    experiment.params.set(saved=True)
"""


def decisions(run: Run) -> list[tuple[str, str]]:
    """The attempts that metrics stop, by task, with the reason."""
    return [(each["task"], each["reason"]) for each in events(run) if each["event"] == kinds.STOP_REQUESTED]


@pytest.mark.parametrize("point", ["metric.stop", "metric.stopped"])
def test_killed_around_the_signal(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The decision holds after a crash; what ended by itself before the signal is what it was."""
    waits = f"trap 'echo saved >>ran; exit 0' USR1; echo loss=1; touch up; {until('go')}; exit 7"
    rules = {"metrics": LOSS, "stop": {"metric": "loss", "below": 2}, "stop_signal": "USR1"}
    with monkeypatch.context() as patch:
        patch.setenv(crashpoints.VARIABLE, f"{point}:1")
        run = workspace.start({"a": {"inline": waits, **rules}}, run={"max_parallel": 2})
    eventually((workspace.folder / "up").exists)
    pid = shim_pid(run, "a")
    eventually(lambda: run.status(observe=False).supervisor == "gone")
    assert decisions(run) == [("a", "target")]
    if point == "metric.stop":
        assert "is being stopped: train/loss is 1, below 2" in workspace.exp("status", run.id).stdout
        why = workspace.exp("why", run.id, "a").stdout
        assert "it is being stopped by its `stop`: train/loss is 1, below 2" in why
        run.resume()
        state = run.wait(timeout=60).history.tasks["a"]
        assert (state.status, state.reason, workspace.lines()) == (S, Reason.TARGET, ["saved"])
        assert decisions(run) == [("a", "target")], "it is decided once"
        assert "it was stopped by its `stop` in attempt 1: train" in workspace.exp("why", run.id, "a").stdout
    else:
        eventually(lambda: not is_running(pid))
        state = run.status().history.tasks["a"]
        assert (state.status, state.reason, workspace.lines()) == (S, Reason.TARGET, ["saved"])


def test_rows_that_came_without_a_supervisor(workspace: ExpWorkspace) -> None:
    """A resume judges them; what has ended by then was not stopped, and what was cancelled is CANCELLED."""
    script = f"touch $EXP_TASK; {until('go')}; echo loss=1; echo loss=nan; touch $EXP_TASK.more; "
    stop = {"metrics": LOSS, "stop": [{"nan": "loss"}, {"metric": "loss", "below": 0}]}
    tasks = {
        "runs": {"inline": script + until("never"), **stop},
        "fails": {"inline": script + "exit 3", **stop},
        "succeeds": {"inline": script + "exit 0", **stop},
    }
    run = workspace.start(tasks, run={"max_parallel": 3})
    eventually(lambda: all((workspace.folder / name).exists() for name in tasks))
    kill_supervisor(run)
    workspace.touch("go")
    eventually(lambda: all((workspace.folder / f"{name}.more").exists() for name in tasks))
    eventually(lambda: all(run.files.attempt(name, 1).exit.exists() for name in ("fails", "succeeds")))
    run.resume()
    run.wait(timeout=60)
    ends: dict[str, tuple[str, str | None]] = {}
    for each in events(run):
        if each["event"] == kinds.ENDED:  # of the first attempt: a failure that the resume sees runs again
            ends.setdefault(each["task"], (each["status"], each.get("reason")))
    assert ends == {"runs": (F, Reason.DIVERGED), "fails": (F, Reason.EXIT), "succeeds": (S, None)}
    why = workspace.exp("why", run.id, "runs").stdout
    assert "it failed with exit code 143 (diverged): train/loss is nan" in why


def test_members_that_stop_themselves(workspace: ExpWorkspace) -> None:
    """`should_stop` answers the signal; the record is COMPLETED with the reason, or FAILED with it."""
    program = [sys.executable, "-c", PROGRAM, "${{ matrix.loss }}"]
    member = {"command": program, "stop": [{"metric": "val/loss", "below": 1}, {"nan": "loss"}]}
    run = workspace.start(
        {"t": {**member, "matrix": {"loss": ["0.5", "nan"]}}}, run={"max_parallel": 2}, prefix="me/tried"
    )
    snapshot = run.wait(timeout=60)
    ends = {
        name: (state.status, state.reason, state.exit_code) for name, state in snapshot.history.tasks.items()
    }
    assert ends == {"t/loss=0.5": (S, "target", 0), "t/loss=nan": (F, "diverged", 0)}
    records = [record(workspace.home.dash, f"me/tried/{name}") for name in ends]
    found = [(each.status, each.reason, each.data().params.get()) for each in records if each is not None]
    assert found == [
        ("COMPLETED", "target", {"loss": "0.5", "saved": True}),
        ("FAILED", "diverged", {"loss": "nan", "saved": True}),
    ]


def test_a_cancel_of_what_is_being_stopped(workspace: ExpWorkspace) -> None:
    """A cancel during the grace passes its signal on, and the attempt stays what was decided first."""
    deaf = {"inline": f"trap '' TERM; echo loss=1; {until('never')}", "metrics": LOSS, "stop_grace": "60s"}
    run = workspace.start({"a": {**deaf, "stop": {"metric": "loss", "above": 0}}, "typo": "echo"})
    eventually(lambda: decisions(run))
    eventually(lambda: attempts.is_stop_confirmed(run.files.attempt("a", 1)))
    snapshot = run.cancel(signal="KILL", grace=0)
    state = snapshot.history.tasks["a"]
    assert (state.status, state.reason, state.exit_code) == (S, Reason.TARGET, 137)


def test_a_metric_that_never_came(workspace: ExpWorkspace) -> None:
    """`exp why` names it while the task runs and afterwards, and `exp status` does in one line."""
    script = f"echo loss=1; touch up; {until('go')}"
    stop = [{"metric": "val_loss", "patience": 2, "goal": "minimize"}, {"nan": "loss"}]
    run = workspace.start({"a": {"inline": script, "metrics": LOSS, "stop": stop}})
    eventually((workspace.folder / "up").exists)
    eventually(lambda: "train/loss" in workspace.exp("why", run.id, "a").stdout)
    why = workspace.exp("why", run.id, "a").stdout
    assert "stop: val_loss without an improvement (minimize) in 2 values: so far there was no metric" in why
    assert "stop: loss NaN or infinite: 1 value, the last is 1" in why
    workspace.touch("go")
    assert statuses(run.wait(timeout=60)) == {"a": S}
    said = workspace.exp("status", run.id)
    assert (
        said.stderr.count("there was no metric val_loss (did you mean train/loss?); there were: train/loss")
        == 1
    )
    why = workspace.exp("why", run.id, "a").stdout
    assert "stop: there was no metric val_loss (did you mean train/loss?); there were: train/loss" in why
    shown = workspace.exp("status", run.id, "--json").json["tasks"][0]["unjudged_metrics"]
    assert shown == [{"metric": "val_loss", "reason": "never", "names": ["train/loss"]}]


# -- evidence -----------------------------------------------------------------------------------------


def stopped(tmp_path: Path, reason: Reason = Reason.TARGET) -> tuple[Schedule, Cancel, AttemptFiles]:
    """A running task that a metric stops, the decision, and the files of its attempt."""
    made = schedule(task("a", stop=(StopRule(metric="loss", below=1),)))
    reasons = {kinds.STOP_REQUESTED: {"reason": reason}}
    for kind in (kinds.SUBMITTED, kinds.STARTED, kinds.STOP_REQUESTED):
        made.history.apply(
            {
                "event": kind,
                "time": "2026-01-01T00:00:00Z",
                "by": "x",
                "task": "a",
                "attempt": 1,
                **reasons.get(kind, {}),
            }
        )
    files = ExperimentFiles(tmp_path).attempt("a", 1)
    files.directory.mkdir(parents=True)
    decision = made.history.tasks["a"].stop
    assert decision is not None
    return made, decision, files


def test_only_what_the_signal_reached_was_stopped(tmp_path: Path) -> None:
    """Without a note nothing was sent; with one, the clocks decide, and after a crash the exit code."""
    made, decision, files = stopped(tmp_path)

    def is_stopped(code: int, ended: float, *, sent: Cancel | None = None, is_local: bool = True) -> bool:
        ending = from_exit_code(code, ended=ended)
        cancel = cancel_of(made, "a", ending, sent=sent, files=files, has_local_clock=is_local)
        return cancel is decision

    assert not is_stopped(143, 2e9)
    assert attempts.note_stop(files)
    noted = attempts.stop_time(files) or 0.0
    assert [is_stopped(code, noted + 1) for code in (143, 137, 7, 0)] == [True, True, False, False]
    assert is_stopped(7, noted + 1, sent=decision)
    attempts.confirm_stop(files)
    assert attempts.stop_time(files) == noted
    assert is_stopped(7, noted + 1)
    assert not is_stopped(7, noted - 0.1)
    assert is_stopped(7, noted - 0.1, is_local=False), "its clock may differ"
    assert not is_stopped(7, noted - CLOCK_SKEW - 0.1, is_local=False)
    assert cancel_of(made, "a", lost("gone"), sent=decision, files=files) is None


def test_a_decision_is_of_one_attempt(tmp_path: Path) -> None:
    """A retry begins without it, a resume keeps it, and a second one is ignored."""
    made, decision, _ = stopped(tmp_path, Reason.DIVERGED)
    history, state = made.history, made.history.tasks["a"]
    entry = {"time": "2026-01-01T00:00:01Z", "by": "x", "task": "a", "attempt": 1}
    history.apply({**entry, "event": kinds.STOP_REQUESTED, "reason": Reason.TARGET})
    history.apply({"event": kinds.RESUMED, "time": entry["time"], "by": "x", "tasks": {}})
    assert (state.stop, history.stopping) == (decision, {"a"})
    history.apply({**entry, "event": kinds.ENDED, "status": "FAILED", "reason": "diverged"})
    assert not history.stopping
    history.apply({**entry, "event": kinds.RETRIED, "attempt": 2})
    assert (state.stop, state.status) == (None, TaskStatus.PENDING)
