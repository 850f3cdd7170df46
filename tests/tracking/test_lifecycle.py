from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import LedgerNewerError, NotFoundError, StateError, UsageError
from nemorun_cli.model.bounded_text import MAX_MESSAGE
from nemorun_cli.tracking import Experiment, close_openings, record
from nemorun_cli.tracking.store.record_paths import Place
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.programs import Program

    from nemorun_cli.tracking import Record


def _record(root: Path, prefix: str = "a") -> Record:
    found = record(root, prefix)
    assert found is not None
    return found


def test_record_is_running_while_it_is_open_and_completed_after(root: Path) -> None:
    """RUNNING on opening, COMPLETED after a normal end, with the times of both."""
    experiment = Experiment("a", dash_root=root)
    assert experiment.status is None
    with experiment.run:
        told = _record(root)
        assert (told.status, told.openings[0].state, told.ended) == ("RUNNING", "alive", None)
    told = _record(root)
    assert (told.status, told.openings[0].state) == ("COMPLETED", "ended")
    assert told.ended is not None
    assert told.opened <= told.ended


def test_exception_makes_it_failed_and_goes_on(root: Path) -> None:
    """FAILED with type, message and traceback, and the exception reaches the caller."""
    with pytest.raises(ValueError, match="boom"), Experiment("a", dash_root=root).run:
        raise ValueError("boom")
    told = _record(root)
    assert (told.status, told.message) == ("FAILED", "ValueError: boom")
    end = told.openings[0].end
    assert end is not None
    assert (end["exit_code"], end["error"]["type"], end["error"]["message"]) == (1, "ValueError", "boom")
    assert 'raise ValueError("boom")' in end["error"]["traceback"]


ENDS = [
    (SystemExit(0), "COMPLETED", 0),
    (SystemExit(), "COMPLETED", 0),
    (SystemExit(3), "FAILED", 3),
    (SystemExit("no data"), "FAILED", 1),
    (KeyboardInterrupt(), "CANCELLED", None),
    (GeneratorExit(), "COMPLETED", 0),
]


@pytest.mark.parametrize(("error", "status", "code"), ENDS, ids=repr)
def test_how_a_block_ends_decides(error: BaseException, status: str, code: int | None, root: Path) -> None:
    """`sys.exit(0)` completes, another code fails, Ctrl-C cancels."""
    with pytest.raises(type(error)), Experiment("a", dash_root=root).run:
        raise error
    told = _record(root)
    assert told.openings[0].end is not None
    assert (told.status, told.openings[0].end.get("exit_code")) == (status, code)


def _interrupt(code: object) -> None:
    """What happens in a program on Ctrl-C that exits with a code."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        sys.exit(code)  # type: ignore[arg-type] # any code


def _go_on_after_ctrl_c() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    sys.exit(1)


@pytest.mark.parametrize(("code", "status"), [(1, "CANCELLED"), ("stopped", "CANCELLED"), (0, "COMPLETED")])
def test_an_exit_after_ctrl_c_is_a_cancel(code: object, status: str, root: Path) -> None:
    """`sys.exit(1)` in `except KeyboardInterrupt`, as in Lightning, cancels; `sys.exit(0)` completes."""
    with pytest.raises(SystemExit), Experiment("a", dash_root=root).run:
        _interrupt(code)
    assert _record(root).status == status


def test_an_exit_long_after_ctrl_c_is_judged_by_its_code(root: Path) -> None:
    """A program that handled Ctrl-C and went on fails by a later error."""
    with pytest.raises(SystemExit), Experiment("a", dash_root=root).run:
        _go_on_after_ctrl_c()
    assert _record(root).status == "FAILED"


def test_direct_style(root: Path) -> None:
    """`complete`, `fail` and `cancel` end the record as they say, with the reason."""
    for call, status, message in (
        (lambda run: run.complete(), "COMPLETED", None),
        (lambda run: run.fail("out of data"), "FAILED", "out of data"),
        (lambda run: run.fail(OSError("gone")), "FAILED", "OSError: gone"),
        (lambda run: run.fail(), "FAILED", None),
        (lambda run: run.cancel("enough"), "CANCELLED", "enough"),
    ):
        experiment = Experiment("a", dash_root=root)
        assert experiment.run.start() is experiment
        call(experiment.run)
        told = _record(root)
        assert (told.status, told.message) == (status, message)


def test_fail_keeps_the_exception_that_is_handled(root: Path) -> None:
    """`except …: experiment.run.fail()` records what was caught."""
    experiment = Experiment("a", dash_root=root)
    experiment.run.start()
    try:
        raise RuntimeError("lost the GPU")  # noqa: TRY301 - what is tested
    except RuntimeError:
        experiment.run.fail()
    assert _record(root).message == "RuntimeError: lost the GPU"


def test_a_reason_and_the_exception_that_is_handled_are_both_kept(root: Path) -> None:
    """`except …: experiment.run.fail("reason")` shows the reason, and keeps what was caught."""
    experiment = Experiment("a", dash_root=root)
    experiment.run.start()
    try:
        raise ExceptionGroup("two", [RuntimeError("lost the GPU"), OSError("no disk")])  # noqa: TRY301 - what is tested
    except ExceptionGroup:
        experiment.run.fail("the node is bad")
    assert _record(root).message == "the node is bad"
    end = _record(root).openings[0].end
    assert end is not None
    assert end["error"]["type"] == "ExceptionGroup"
    assert "RuntimeError: lost the GPU" in end["error"]["traceback"]


@pytest.mark.parametrize("reason", [3, b"bytes", ["a"], ValueError], ids=repr)
def test_a_reason_is_a_text_or_an_exception(reason: object, root: Path) -> None:
    """Another reason is refused, and the record stays open and usable."""
    with Experiment("a", dash_root=root).run as experiment:
        for end in (experiment.run.fail, experiment.run.cancel):
            with pytest.raises(TypeError, match="reason as a text"):
                end(reason)  # type: ignore[operator] # what is tested
        experiment.metrics.log(x=1)
    assert (_record(root).status, len(experiment.metrics().read())) == ("COMPLETED", 1)


class UnshowableError(Exception):
    """An exception whose text cannot be made."""

    def __str__(self) -> str:
        raise KeyError("text")


def _noted() -> Exception:
    error = ValueError("bad\ud800")
    error.add_note("a remedy")
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnshowableError(), f"{__name__}.UnshowableError: <its text raised KeyError>"),
        (_noted(), "ValueError: bad\ud800"),
        (KeyError("name"), "KeyError: 'name'"),
        (OSError(), "OSError"),
        (SyntaxError("odd", ("file.py", 1, 1, "x", 1, 2)), "SyntaxError: odd"),
        (SystemExit(True), "sys.exit(1)"),
        (SystemExit(10**5_000), "sys.exit(255)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_exception_ends_the_record(error: BaseException, message: str, root: Path) -> None:
    """Whatever an exception says, with notes or none at all, its record is FAILED and can be read."""
    with pytest.raises(type(error)), Experiment("a", dash_root=root).run:
        raise error
    assert (_record(root).status, _record(root).message) == ("FAILED", message)


@pytest.mark.parametrize("how", ["raise", "exit", "fail", "cancel"])
def test_a_message_is_kept_to_a_bound(how: str, root: Path) -> None:
    """Of a message of megabytes its beginning and end are kept, and the frames of its traceback."""
    text = f"begin{'y' * 3_000_000}end"
    experiment = Experiment("a", dash_root=root)
    experiment.run.start()
    try:
        if how in {"raise", "exit"}:
            raise (ValueError if how == "raise" else SystemExit)(text)
        (experiment.run.fail if how == "fail" else experiment.run.cancel)(text)
    except (ValueError, SystemExit) as error:
        experiment.run.__exit__(type(error), error, None)
    told = _record(root)
    assert told.message is not None
    assert "begin" in told.message
    assert told.message.endswith("end")
    assert len(told.message) < 2 * MAX_MESSAGE
    assert (root / f"a/.record/openings/{told.openings[0].id}.jsonl").stat().st_size < 200_000
    if how == "raise":
        end = told.openings[0].end
        assert end is not None
        assert "else SystemExit)(text)" in end["error"]["traceback"]


def test_the_message_of_a_verdict_is_kept_to_the_same_bound(root: Path) -> None:
    """What a supervisor writes of an attempt is bounded too, and writing it twice changes nothing."""
    process = {"exp_id": "e", "task": "t", "attempt": 1}
    session = OpenSession.start(Place(str(root), "a"), about={}, process=process)
    session.release()
    for _ in range(2):
        close_openings(root, "a", exp_id="e", status="FAILED", message="y" * 3_000_000)
    assert len(_record(root).message or "") < 2 * MAX_MESSAGE


def test_illegal_moves_raise(root: Path) -> None:
    """What is not running cannot end, and what is running cannot start."""
    experiment = Experiment("a", dash_root=root)
    for end in (experiment.run.complete, experiment.run.fail, experiment.run.cancel):
        with pytest.raises(StateError):
            end()
    experiment.run.start()
    with pytest.raises(StateError):
        experiment.run.start()
    experiment.run.fail("x")
    for end in (experiment.run.complete, experiment.run.fail, experiment.run.cancel):
        with pytest.raises(StateError):
            end()
    assert _record(root).status == "FAILED"


def test_block_may_end_the_record_itself(root: Path) -> None:
    """What the block said stands when it is left."""
    with Experiment("a", dash_root=root).run as experiment:
        experiment.run.cancel("bad seed")
    assert _record(root).status == "CANCELLED"


def test_forgotten_complete_is_completed_at_exit(program: Program, root: Path) -> None:
    """A program that ends normally without `complete` has lost nothing and says COMPLETED."""
    program.run("e = Experiment('a', dash_root=root); e.run.start(); e.metrics('m').log(x=1).buffer(y=3)")
    told = _record(root)
    assert told.status == "COMPLETED"
    assert told.openings[0].end is not None
    assert "did not end the record" in told.openings[0].end["note"]
    assert [row.get("x", row.get("y.mean")) for row in told.data().metrics("m").read()] == [1, 3.0]


def test_unhandled_exception_without_a_block_is_failed(program: Program, root: Path) -> None:
    """A program that dies of an exception after `start` says FAILED with it, and its own hook still runs."""
    text = """
    sys.excepthook = lambda *told: print("mine", told[1])
    e = Experiment('a', dash_root=root)
    e.run.start()
    raise ValueError("boom")
    """
    assert "mine boom" in program.run(text, code=1)
    assert (_record(root).status, _record(root).message) == ("FAILED", "ValueError: boom")


def test_sigterm_cancels_and_the_exit_status_stays_true(program: Program, root: Path) -> None:
    """SIGTERM marks the record CANCELLED, keeps every row, and still kills the process."""
    text = """
    with Experiment('a', dash_root=root).run as e:
        e.metrics('m').log(x=1).buffer(y=2)
        print('ready', flush=True)
        signal.pause()
    """
    process = program.until(text, "ready")
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    told = _record(root)
    assert (told.status, told.message) == ("CANCELLED", "ended by SIGTERM")
    assert len(told.data().metrics("m").read()) == 2


def test_handler_of_the_user_is_left_alone(program: Program, root: Path) -> None:
    """A program with a SIGTERM handler keeps it, and one without gets the default back."""
    text = """
    def mine(*_): os.write(1, b'mine\\n'); sys.exit(0)  # print may be what the signal interrupts
    default = signal.getsignal(signal.SIGTERM)
    with Experiment('a', dash_root=root).run: pass
    assert signal.getsignal(signal.SIGTERM) is default
    hook = sys.excepthook
    signal.signal(signal.SIGTERM, mine)
    with Experiment('a', dash_root=root).run as e:
        print('ready', flush=True)
        signal.pause()
    """
    process = program.until(text, "ready")
    process.terminate()
    out, _ = process.communicate()
    assert (out.strip(), process.returncode) == ("mine", 0)
    assert _record(root).status == "COMPLETED"


def test_opening_in_a_thread_sets_no_handler(program: Program, root: Path) -> None:
    """Where no handler may be set, none is, and the record works."""
    text = """
    import threading
    def work():
        with Experiment('a', dash_root=root).run as e: e.metrics('m').log(x=1)
    thread = threading.Thread(target=work); thread.start(); thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    """
    program.run(text)
    assert _record(root).status == "COMPLETED"


def test_kill_9_the_moment_log_returned_loses_nothing(program: Program, root: Path) -> None:
    """What returned is there after `kill -9`, and the next read tells that the process vanished."""
    text = """
    e = Experiment('a', dash_root=root)
    e.run.start()
    for step in range(1000):
        e.metrics('train').log(loss=1.0 / (step + 1), step=step)
    e.log('last words', epoch=3)
    e.params.set(lr=0.1)
    e.tracks('pose').append(x=1)
    e.files.save_text('weights', to='w.txt')
    os.kill(os.getpid(), signal.SIGKILL)
    """
    program.run(text, code=-signal.SIGKILL)
    told = _record(root)
    assert (told.status, told.reason, told.openings[0].state) == ("FAILED", "lost", "gone")
    data = told.data()
    assert len(data.metrics("train").read()) == 1000
    assert data.logs.read()[0]["message"] == "last words"
    assert data.params.get() == {"lr": 0.1}
    assert data.files.find("w.txt")["sizeBytes"] == 7
    assert len(data.tracks("pose").read()) == 1


def test_child_that_outlives_the_process_does_not_hide_its_death(program: Program, root: Path) -> None:
    """A forked worker that still lives holds no lock of its parent: a killed parent is told as gone."""
    text = """
    e = Experiment('a', dash_root=root)
    e.run.start()
    if os.fork() == 0:
        print('ready', flush=True)
        os.close(1); os.close(2)
        signal.alarm(30)
    signal.pause()
    """
    process = program.until(text, "ready")
    process.kill()
    process.wait()
    assert (_record(root).status, _record(root).reason) == ("FAILED", "lost")


def test_supervisors_verdict_is_last_and_wins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that said COMPLETED and then exited with an error has FAILED, if the supervisor says so."""
    monkeypatch.setenv("EXP_ID", "exp_1")
    with Experiment("a", dash_root=root).run:
        pass
    assert _record(root).status == "COMPLETED"
    close_openings(root, "a", exp_id="exp_1", status="FAILED", reason="exit", exit_code=3)
    told = _record(root)
    assert (told.status, told.reason) == ("FAILED", "exit")
    assert told.openings[0].verdict is not None
    assert told.openings[0].verdict["exit_code"] == 3


def test_verdict_is_about_the_attempt_it_names(program: Program, root: Path) -> None:
    """Openings are closed by experiment, task and attempt; others keep their end; twice is once."""
    text = "e = Experiment(dash_root=root); e.run.start(); os.kill(os.getpid(), signal.SIGKILL)"
    of_task = {"EXP_ID": "sweep_1", "EXP_TASK": "train/lr=0.1", "EXP_PREFIX": "u/sweep"}
    for attempt in ("1", "2"):
        program.run(text, code=-signal.SIGKILL, EXP_ATTEMPT=attempt, **of_task)
    prefix = "u/sweep/train/lr=0.1"
    verdict = {"exp_id": "sweep_1", "task": "train/lr=0.1", "status": "CANCELLED", "reason": "timeout"}
    closed = close_openings(root, prefix, attempt=2, message="took too long", **verdict)  # type: ignore[arg-type]
    assert closed == close_openings(root, prefix, attempt=2, message="took too long", **verdict)  # type: ignore[arg-type]
    first, second = _record(root, prefix).openings
    assert (first.status, first.reason) == ("FAILED", "lost")
    assert (second.status, second.reason, second.message) == ("CANCELLED", "timeout", "took too long")
    assert [second.id] == closed == _record(root, prefix).ids(exp_id="sweep_1", attempt=2)
    assert (second.facts["exp_id"], second.facts["attempt"]) == ("sweep_1", 2)


def test_a_later_verdict_has_a_later_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a verdict that replaces another one is later, also if the clock was set back meanwhile."""
    experiment = Experiment("a", dash_root=root)
    experiment.run.start()
    times = []
    for step, status in enumerate(["FAILED", "COMPLETED", "CANCELLED"]):
        monkeypatch.setattr("time.time", partial(float, 1_800_000_000 - 3600 * step))
        close_openings(root, "a", exp_id=None, status=status)
        (opening,) = _record(root, "a").openings
        times.append(opening.verdict["time"])
    assert times == sorted(set(times))


def test_verdict_is_an_end(root: Path) -> None:
    """A supervisor cannot say RUNNING, and a record that is not there has no openings to close."""
    with pytest.raises(ValueError, match="not a final status"):
        close_openings(root, "a", exp_id="x", status="RUNNING")
    assert close_openings(root, "a", exp_id="x", status="COMPLETED") == []
    assert not root.exists()


def test_same_prefix_again_continues_the_record(root: Path) -> None:
    """A second opening is a generation of its own, and the last values of the first are at hand."""
    with Experiment("a", dash_root=root).run as first:
        first.metrics("train").log(loss=0.5, epoch=1)
    with Experiment("a", dash_root=root).run as second:
        assert second.metrics("train").last()["epoch"] == 1
        second.metrics("train").log(loss=0.3, epoch=2)
    assert [opening.generation for opening in _record(root).openings] == [1, 2]
    assert [row["epoch"] for row in second.metrics("train").read()] == [1, 2]
    latest = _record(root).openings[-1].id
    assert [row["epoch"] for row in second.metrics("train").read(openings=[latest])] == [2]


def test_openings_that_overlap_share_a_generation(root: Path) -> None:
    """Ranks of one job are one generation; the record is RUNNING while one runs and FAILED if one failed."""
    one, two = Experiment("a", dash_root=root), Experiment("a", dash_root=root)
    one.run.start()
    two.run.start()
    assert {opening.generation for opening in _record(root).openings} == {1}
    two.run.fail("x")
    assert _record(root).status == "RUNNING"
    one.run.complete()
    assert _record(root).status == "FAILED"


def test_resume_says_whether_a_record_may_be_there(root: Path) -> None:
    """`must` needs one, `never` refuses one, and neither leaves anything behind when it refuses."""
    with pytest.raises(NotFoundError, match="must"):
        Experiment("a", dash_root=root, resume="must").run.start()
    assert not root.exists()
    with Experiment("a", dash_root=root, resume="never").run:
        pass
    with pytest.raises(UsageError, match="never"):
        Experiment("a", dash_root=root, resume="never").run.start()
    with Experiment("a", dash_root=root, resume="must").run:
        pass
    assert len(_record(root).openings) == 2
    with pytest.raises(UsageError, match="allow, must, never"):
        Experiment("a", dash_root=root, resume="maybe")


def _as_of(root: Path, **facts: object) -> None:
    """Make the one opening look as if another machine had written it."""
    (path,) = (root / "a/.record/openings").glob("*.jsonl")
    first = json.loads(path.read_text().splitlines()[0])
    path.write_text(json.dumps(first | facts) + "\n")


def test_lock_is_believed_only_where_it_was_taken(program: Program, root: Path) -> None:
    """An open record of another machine is RUNNING `elsewhere`; of this one before a restart it is lost."""
    program.run(
        "Experiment('a', dash_root=root).run.start(); os.kill(os.getpid(), signal.SIGKILL)",
        code=-signal.SIGKILL,
    )
    _as_of(root, boot="another-boot", host="another-host")
    assert (_record(root).status, _record(root).openings[0].state) == ("RUNNING", "elsewhere")
    _as_of(root, boot="another-boot", host=os.uname().nodename)
    assert (_record(root).status, _record(root).reason) == ("FAILED", "lost")


def test_file_system_without_locks_is_asked_for_the_process(root: Path) -> None:
    """Where no lock could be taken, the process is looked for, and a later one with its pid is not it."""
    with Experiment("a", dash_root=root).run:
        started = _record(root).openings[0].facts["process_started"]
        _as_of(root, locked=False, pid=os.getpid())
        assert _record(root).status == "RUNNING"
        _as_of(root, locked=False, pid=os.getpid(), process_started=started - 1)
        assert _record(root).reason == "lost"


def test_newer_format_is_refused(root: Path) -> None:
    """A record of a newer version is an error, not a guess."""
    with Experiment("a", dash_root=root).run:
        pass
    _as_of(root, format="exp.record/2")
    with pytest.raises(LedgerNewerError, match=r"exp\.record/2"):
        record(root, "a")


def test_opening_that_never_got_its_first_line_is_told_and_harms_nothing(root: Path) -> None:
    """A crash between making the file and writing it leaves a torn opening, which is passed over."""
    with Experiment("a", dash_root=root).run:
        pass
    (root / "a/.record/openings/0002-20261122T000000Z-1-00000000.jsonl").write_text('{"event":"op')
    told = _record(root)
    assert (told.status, len(told.openings), len(told.torn)) == ("COMPLETED", 1, 1)
    with Experiment("a", dash_root=root).run:
        pass
    assert _record(root).openings[-1].generation == 3


def test_failure_to_close_does_not_hide_the_users_exception(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a record cannot be closed after an exception, the caller still gets that, with a note."""
    experiment = Experiment("a", dash_root=root)
    with pytest.raises(ValueError, match="mine") as caught, experiment.run:  # noqa: PT012 - the disk fails within
        monkeypatch.setattr("nemorun_cli.tracking.store.sessions._write", _disk_full)
        raise ValueError("mine")
    assert "could not be closed" in caught.value.__notes__[0]
    monkeypatch.undo()
    experiment.run.fail("at last")


def _disk_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_block_that_cannot_be_opened_leaves_no_opening(tmp_path: Path) -> None:
    """A root that is a file, or where no folder can be, is one error of the start with folder and reason."""
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file/x", "/proc/nope"):
        experiment = Experiment("a", dash_root=root)
        with pytest.raises(UsageError, match=rf"cannot be created in {root}: N") as caught:
            experiment.run.start()
        assert caught.value.__suppress_context__
        assert "EXP_DASH_ROOT" in (caught.value.hint or "")
        assert not experiment.run.is_open


def test_ctrl_c_cancels(
    program: Program, root: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """SIGINT in the midst of the block makes the record CANCELLED."""
    text = """
    with Experiment('a', dash_root=root).run as e:
        print('ready', flush=True)
        signal.pause()
    """
    process = program.until(text, "ready")
    process.send_signal(signal.SIGINT)
    process.wait()
    eventually(lambda: _record(root).status == "CANCELLED")
