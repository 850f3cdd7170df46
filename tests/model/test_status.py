"""The one table of allowed moves, and what the words in it promise."""

from __future__ import annotations

import pytest

from nemorun_cli.model.status import (
    ENDS,
    EXIT_CODES,
    LIVE,
    MOVES,
    RETRIED_AS,
    ExperimentStatus,
    Reason,
    TaskStatus,
)


def test_table_knows_every_status() -> None:
    """Each status is in the table, and is waiting, live or an end, one of them."""
    assert set(MOVES) == set(TaskStatus)
    assert {TaskStatus.PENDING} | LIVE | ENDS == set(TaskStatus)
    assert not LIVE & ENDS


@pytest.mark.parametrize("status", sorted(ENDS))
def test_end_leads_only_to_a_new_attempt(status: TaskStatus) -> None:
    """From an end there is no way but back to PENDING, as a new attempt."""
    assert MOVES[status] == {TaskStatus.PENDING}


def test_what_runs_is_never_waiting_again() -> None:
    """What began does not become PENDING without having ended; an engine may give back what it queued."""
    assert [status for status in LIVE if TaskStatus.PENDING not in MOVES[status]] == [TaskStatus.RUNNING]


def test_nothing_runs_or_succeeds_without_being_submitted() -> None:
    """A task that waits cannot be RUNNING or SUCCEEDED next."""
    assert not MOVES[TaskStatus.PENDING] & {TaskStatus.RUNNING, TaskStatus.SUCCEEDED, TaskStatus.UNKNOWN}


def test_what_started_is_never_skipped() -> None:
    """SKIPPED is for what never ran."""
    assert TaskStatus.SKIPPED not in MOVES[TaskStatus.RUNNING]


def test_cancelled_is_never_retried() -> None:
    """No word of `retry.on` stands for a cancel, a limit, a dependency or a template."""
    kept = {Reason.CANCELLED, Reason.ABANDONED, Reason.LIMIT, Reason.DEPENDENCY, Reason.WHEN, Reason.TEMPLATE}
    assert not kept & RETRIED_AS.keys()


def test_every_experiment_status_has_its_exit_code() -> None:
    """Scripts tell the statuses apart by the exit code."""
    assert EXIT_CODES == {
        ExperimentStatus.COMPLETED: 0,
        ExperimentStatus.FAILED: 1,
        ExperimentStatus.RUNNING: 4,
        ExperimentStatus.CANCELLED: 5,
        ExperimentStatus.INTERRUPTED: 9,
    }
