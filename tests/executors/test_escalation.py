"""A signal, a grace period, then KILL: one rule, however often it is asked for."""

from __future__ import annotations

import pytest

from nemorun_cli.executors import escalation
from nemorun_cli.executors.escalation import Escalation


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time in seconds, as its only element."""
    now = [100.0]
    monkeypatch.setattr(escalation.time, "monotonic", lambda: now[0])
    return now


def test_the_signal_is_followed_by_kill_after_the_grace_period(clock: list[float]) -> None:
    """As long as the grace period lasts it is the task's own signal."""
    stop = Escalation("INT", 10.0)
    assert stop.next_signal() == "INT"
    clock[0] += 9.9
    assert stop.next_signal() == "INT"
    clock[0] += 0.1
    assert stop.next_signal() == "KILL"


@pytest.mark.parametrize(("signal", "grace"), [("KILL", 10.0), ("TERM", 0.0), ("TERM", -3.0)])
def test_without_a_grace_period_it_is_kill_at_once(clock: list[float], signal: str, grace: float) -> None:
    """A grace period that is over, or that KILL would have, is none."""
    assert Escalation(signal, grace).next_signal() == "KILL"
    assert clock == [100.0]


def test_another_request_changes_the_signal_and_prolongs_nothing(clock: list[float]) -> None:
    """Who asks again gets the earlier of both deadlines."""
    stop = Escalation("TERM", 10.0)
    clock[0] += 5.0
    stop.hurry("INT", 60.0)
    assert (stop.next_signal(), stop.deadline) == ("INT", 110.0)
    stop.hurry("INT", 1.0)
    assert stop.deadline == 106.0
    stop.hurry("KILL", 60.0)
    assert stop.next_signal() == "KILL"
