"""What counts as a pause of an experiment, by its events."""

from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli.model.clock import stamp
from nemorun_cli.storage.active_time import ActiveTime

OURS, THEIRS, OBSERVER = "supervisor 1@box", "supervisor 2@box", "ann@box:7 (exp status)"


def active_time(*steps: tuple[Any, ...]) -> ActiveTime:
    """The active time after events, each (second, kind, author) and for an `ended` its start and reason."""
    active = ActiveTime()
    for second, kind, by, *rest in steps:
        started, reason = [*rest, None, None][:2]
        event = {"time": stamp(second), "event": kind, "by": by, "reason": reason}
        active.note(event, None if started is None else stamp(started))
    return active


def seconds(active: ActiveTime, now: float, *live: float, is_supervised: bool = False) -> float | None:
    """Its seconds at `now`, with attempts that run since `live`."""
    return active.seconds(now, live=map(stamp, live), is_supervised=is_supervised)


FAILED = (
    (100, "supervisor_started", OURS),
    (101, "ended", OURS, 100),
    (102, "finished", OURS),
    (103, "supervisor_ended", OURS),
)
RESUMED = ((500, "supervisor_started", THEIRS), (510, "finished", THEIRS), (510, "supervisor_ended", THEIRS))


def test_nothing_is_known_before_the_start() -> None:
    """An experiment that never had a supervisor has no active time."""
    assert seconds(active_time((100, "created", OBSERVER)), 200) is None


def test_time_between_two_supervisors_does_not_count() -> None:
    """From the end of a supervisor to the next one nothing ran; time after the end does not count either."""
    active = active_time(*FAILED, *RESUMED)
    assert active.pauses == [(103, 500)]
    assert seconds(active, 900) == pytest.approx(13)


def test_a_running_experiment_counts_until_now() -> None:
    """With a supervisor at work the time goes to now, although it wrote nothing for long."""
    begun = active_time(*FAILED[:2])
    assert seconds(begun, 200, is_supervised=True) == pytest.approx(100)
    assert seconds(active_time(*FAILED, RESUMED[0]), 600, is_supervised=True) == pytest.approx(103)


def test_a_killed_supervisor_ends_with_its_last_event() -> None:
    """Nobody records when a supervisor is killed, so the time after its last event is a pause."""
    killed = active_time(*FAILED[:2])
    assert seconds(killed, 200) == pytest.approx(1)
    assert seconds(active_time(*FAILED[:2], *RESUMED), 900) == pytest.approx(11)


def test_a_task_that_runs_without_a_supervisor_counts() -> None:
    """While a task still ran there was no pause, whoever records its end: a reader or the next supervisor."""
    observed = (300, "ended", OBSERVER, 100)
    assert seconds(active_time(FAILED[0], observed), 900) == pytest.approx(200)
    assert seconds(active_time(FAILED[0], observed, *RESUMED), 900) == pytest.approx(210)
    adopted = active_time(FAILED[0], RESUMED[0], (505, "ended", THEIRS, 100), *RESUMED[1:])
    assert adopted.pauses == []
    assert seconds(active_time(FAILED[0], RESUMED[0]), 600, 100, is_supervised=True) == pytest.approx(500)


def test_an_end_that_was_only_discovered_does_not_count() -> None:
    """The end of a lost attempt is when somebody noticed it, so the pause remains, for the attempt too."""
    lost = active_time(FAILED[0], (110, "started", OURS), RESUMED[0], (501, "ended", THEIRS, 110, "lost"))
    assert lost.pauses == [(110, 500)]
    assert lost.of_attempt(stamp(105), 501) == pytest.approx(6)
    assert lost.of_attempt(stamp(500), 520) == pytest.approx(20)


def test_an_observer_that_records_the_end_of_the_experiment_adds_no_time() -> None:
    """If a reader finds that all tasks have ended, the experiment took until the last of them ended."""
    active = active_time(FAILED[0], (130, "ended", OBSERVER, 100), (900, "finished", OBSERVER))
    assert seconds(active, 950) == pytest.approx(30)
