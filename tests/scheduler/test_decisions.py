"""What follows from the state of an experiment, in whatever order its engines report what they know."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import pytest
from support.schedules import schedule, task

from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.scheduler.decisions import Decisions
from nemorun_cli.scheduler.evaluations import Evaluations
from nemorun_cli.storage import events
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.storage.ledger_writer import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARENT, CHILD = task("parent"), task("child", 1, dependencies=("parent",))
CANCELLED_BY_ENGINE = AttemptEnd(
    status=TaskStatus.CANCELLED, reason=Reason.CANCELLED, message="it was cancelled in the engine"
)


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    """Those of a parent that runs, and of its child in the engine's queue."""
    graph = schedule(PARENT, CHILD)
    journal = LedgerWriter(
        Ledger(tmp_path / "ledger.jsonl", tmp_path / "ledger.lock"),
        graph.history,
        by="test",
        report=pytest.fail,
    )
    made = Decisions(graph, journal, Evaluations(select.poll(), pytest.fail), can_submit=True)
    made.begin()
    for name, reason in (("parent", None), ("child", Reason.DEPENDENCY)):
        journal.note(events.SUBMITTED, task=name, attempt=1, reason=reason)
        journal.note(events.QUEUED, task=name, attempt=1, job_id="7")
    return made


def parent_fails(decisions: Decisions) -> None:
    """Its end is recorded, and what follows from it decided."""
    decisions.end_unstarted("parent", decisions.history.tasks["parent"], AttemptEnd(status=TaskStatus.FAILED))
    decisions.settle(PARENT)


def parent_fails_unseen(decisions: Decisions) -> None:
    """Its end is recorded, and nothing decided yet."""
    decisions.end_unstarted("parent", decisions.history.tasks["parent"], AttemptEnd(status=TaskStatus.FAILED))


@pytest.mark.parametrize("happens", [parent_fails, parent_fails_unseen])
def test_a_child_that_its_engine_cancelled_for_its_parent_is_skipped(
    decisions: Decisions, happens: Callable[[Decisions], None]
) -> None:
    """Also if its own end is reported after exp has decided to cancel it, and before the engine was told."""
    happens(decisions)
    child = decisions.history.tasks["child"]
    assert decisions.skip_early("child", child, CANCELLED_BY_ENGINE)
    assert child.status is TaskStatus.SKIPPED
    assert (child.reason, child.message) == ("dependency", "parent is FAILED")


def test_a_child_that_somebody_cancelled_is_not_skipped(decisions: Decisions) -> None:
    """Neither if it was cancelled in the engine, nor if exp was asked to."""
    child = decisions.history.tasks["child"]
    assert not decisions.skip_early("child", child, CANCELLED_BY_ENGINE)
    decisions.journal.note(events.CANCEL_REQUESTED, tasks=["child"])
    assert not decisions.skip_early("child", child, CANCELLED_BY_ENGINE)
    parent_fails(decisions)
    assert not decisions.skip_early("child", child, CANCELLED_BY_ENGINE)
