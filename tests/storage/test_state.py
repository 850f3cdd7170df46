"""The state of an experiment is what its events add up to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import StateError
from nemorun_cli.model.status import ENDS, MOVES, ExperimentStatus, TaskStatus
from nemorun_cli.storage import events
from nemorun_cli.storage.state import ExperimentState, TaskState

KINDS = {
    TaskStatus.SUBMITTED: events.SUBMITTED,
    TaskStatus.RUNNING: events.STARTED,
    TaskStatus.UNKNOWN: events.UNKNOWN,
    TaskStatus.SKIPPED: events.SKIPPED,
    TaskStatus.PENDING: events.RETRIED,
}


def make(*tasks: str, strict: bool = False) -> ExperimentState:
    return ExperimentState({name: TaskState() for name in tasks or ("a",)}, strict=strict)


def event(kind: str, task: str | None = "a", attempt: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "time": "2026-01-01T00:00:00.000Z",
        "by": "a test",
        "task": task,
        "attempt": attempt,
        **fields,
    }


def move_to(status: TaskStatus, attempt: int = 1) -> dict[str, Any]:
    """The event that tells of a move to a status."""
    return event(KINDS.get(status, events.ENDED), attempt=attempt, status=status, reason="exit")


@pytest.mark.parametrize("before", list(TaskStatus))
@pytest.mark.parametrize("after", list(TaskStatus))
def test_only_the_moves_of_the_table_are_made(before: TaskStatus, after: TaskStatus) -> None:
    """An illegal move raises in a writer, and is passed over and reported in a reader."""
    for strict in (True, False):
        history = make(strict=strict)
        history.tasks["a"].status = before
        if after in MOVES[before]:
            history.apply(move_to(after))
            assert history.tasks["a"].status is after
        elif strict:
            with pytest.raises(StateError, match=f"{before} cannot become {after}"):
                history.apply(move_to(after))
        else:
            history.apply(move_to(after))
            assert history.tasks["a"].status is before
            assert len(history.ignored) == 1


def test_second_end_of_an_attempt_is_ignored_and_reported() -> None:
    """Of two ends of one attempt the first counts."""
    history = make()
    for one in (
        event(events.SUBMITTED),
        event(events.STARTED),
        event(events.ENDED, status="FAILED", exit_code=3, reason="exit"),
        event(events.ENDED, status="SUCCEEDED", exit_code=0),
    ):
        history.apply(one)
    assert history.tasks["a"].status is TaskStatus.FAILED
    assert history.tasks["a"].exit_code == 3
    assert len(history.ignored) == 1


def test_end_of_an_earlier_attempt_is_ignored() -> None:
    """What is told late of an attempt that was replaced changes nothing."""
    history = make()
    history.apply_all(
        [
            event(events.SUBMITTED),
            event(events.ENDED, status="FAILED", exit_code=1, reason="exit"),
            event(events.RETRIED, attempt=2),
            event(events.SUBMITTED, attempt=2),
            event(events.ENDED, attempt=1, status="SUCCEEDED", exit_code=0),
        ]
    )
    assert history.tasks["a"].status is TaskStatus.SUBMITTED
    assert history.tasks["a"].attempt == 2


def test_new_attempt_keeps_nothing_of_the_old_one() -> None:
    """After a retry no exit code, output, job id or time of the former attempt is left."""
    history = make()
    history.apply_all(
        [
            event(events.SUBMITTED, job_id="1"),
            event(events.STARTED),
            event(events.ENDED, status="FAILED", exit_code=1, reason="exit", outputs={"x": 1}),
            event(events.RETRIED, attempt=2),
        ]
    )
    assert history.tasks["a"] == TaskState(attempt=2, tries=1)


def test_event_of_an_unknown_task_is_reported() -> None:
    """A reader passes over what is not in the spec; a writer is at fault."""
    history = make()
    history.apply(event(events.SUBMITTED, task="b"))
    assert "no such task" in history.ignored[0]
    with pytest.raises(StateError):
        make(strict=True).apply(event(events.SUBMITTED, task="b"))


def test_unknown_event_is_passed_over() -> None:
    """An event that a later version added is no trouble."""
    history = make(strict=True)
    history.apply({"event": "sang", "time": "x"})
    assert not history.ignored


def test_cancel_reaches_only_what_is_not_over() -> None:
    """A request marks the tasks that it names and that have not ended; without names it is the whole."""
    history = make("a", "b", "c")
    history.apply_all([event(events.SUBMITTED), event(events.ENDED, status="SUCCEEDED", exit_code=0)])
    history.apply({**event(events.CANCEL_REQUESTED, task=None), "tasks": ["a", "b"]})
    assert [state.cancel is not None for state in history.tasks.values()] == [False, True, False]
    assert history.cancel is None
    history.apply(event(events.CANCEL_REQUESTED, task=None))
    assert [state.cancel is not None for state in history.tasks.values()] == [False, True, True]
    assert history.cancel is not None


def test_cancel_after_the_end_changes_nothing() -> None:
    """A request that comes when all is over does not change how it ended."""
    history = make()
    history.apply({**event(events.FINISHED, task=None), "status": "COMPLETED"})
    history.apply(event(events.CANCEL_REQUESTED, task=None))
    assert history.cancel is None
    assert history.status is ExperimentStatus.COMPLETED


def test_resume_begins_with_a_clean_slate() -> None:
    """After a resume earlier cancels, limits and used retries no longer count; what it names runs again."""
    history = make("a", "b")
    history.apply_all(
        [
            event(events.SUBMITTED),
            event(events.ENDED, status="FAILED", exit_code=1, reason="exit"),
            event(events.RETRIED, attempt=2),
            event(events.CANCEL_REQUESTED, task=None, reason="limit", message="too long"),
            event(events.ENDED, attempt=2, status="CANCELLED", reason="limit"),
            event(events.SKIPPED, task="b", reason="dependency"),
            {**event(events.FINISHED, task=None), "status": "FAILED"},
            {**event(events.RESUMED, task=None), "tasks": {"a": 3, "b": 1}},
        ]
    )
    assert history.tasks == {"a": TaskState(attempt=3), "b": TaskState(attempt=1)}
    assert history.finished is history.cancel is history.limit is None
    assert history.cancels == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(list(TaskStatus)), st.integers(1, 3))))
def test_counts_are_those_of_the_tasks(steps: list[tuple[str, TaskStatus, int]]) -> None:
    """Whatever events come, in whatever order, the counts agree with the tasks and no status is negative."""
    history = make("a", "b")
    for task, status, attempt in steps:
        history.apply({**move_to(status, attempt), "task": task})
    assert +history.counts == Counter(state.status for state in history.tasks.values())
    assert min(history.counts.values()) >= 0
    assert history.is_settled == all(state.status in ENDS for state in history.tasks.values())


def test_what_an_engine_says_of_a_waiting_task_is_kept() -> None:
    """Its job and its reason for waiting come and go without a new attempt, and end an UNKNOWN."""
    history = make(strict=True)
    history.apply(event(events.SUBMITTED))
    submitted = history.tasks["a"].submitted
    history.apply(event(events.QUEUED, job_id="7", message="no room"))
    assert (history.tasks["a"].job_id, history.tasks["a"].message) == ("7", "no room")
    history.apply(event(events.UNKNOWN, message="no answer"))
    history.apply(event(events.QUEUED))
    state = history.tasks["a"]
    assert (state.status, state.job_id, state.message) == (TaskStatus.SUBMITTED, "7", None)
    assert state.submitted == submitted
