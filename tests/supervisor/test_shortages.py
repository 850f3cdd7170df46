"""How the start of tasks slows down while something is short, and recovers."""

from __future__ import annotations

import pytest

from nemorun_cli.supervisor import shortages
from nemorun_cli.supervisor.shortages import ENOUGH, FIRST_PAUSE, LONGEST_PAUSE, STEP, Shortages


class Clock:
    """A monotonic clock that a test moves."""

    now = 100.0

    def monotonic(self) -> float:
        """The time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of shortages and their pauses."""
    clock = Clock()
    monkeypatch.setattr(shortages.time, "monotonic", clock.monotonic)
    return clock


def test_after_a_pause_one_task_is_tried_then_twice_as_many(clock: Clock) -> None:
    """Each try that succeeds doubles the next one; once no task waits, there is no limit."""
    tried = Shortages()
    assert tried.allowances() == {}
    tried.failed("local")
    assert (tried.allowances(), tried.due()) == ({"local": 0}, clock.now + FIRST_PAUSE)
    clock.now += FIRST_PAUSE
    for window in (1, 2, 4):
        assert (tried.allowances(), tried.due()) == ({"local": window}, None)
        tried.started("local", window)
        assert tried.allowances() == {"local": 0}
        clock.now += STEP
    tried.started("local", 3)  # fewer than allowed: none waits
    assert (tried.allowances(), tried.due()) == ({}, None)


def test_pauses_grow_up_to_a_limit_and_begin_again_after_a_success(clock: Clock) -> None:
    """A lasting shortage is tried less often; after a task has started, the first pause is short again."""
    tried = Shortages()
    pauses = []
    for _ in range(6):
        tried.failed("local")
        due = tried.due()
        assert due is not None
        pauses.append(due - clock.now)
        clock.now = due
    assert pauses == [FIRST_PAUSE, 1.0, 2.0, 4.0, LONGEST_PAUSE, LONGEST_PAUSE]
    tried.started("local", 1)
    tried.failed("local")
    assert tried.due() == clock.now + FIRST_PAUSE


def test_executors_recover_apart_and_a_large_batch_ends_the_limit(clock: Clock) -> None:
    """One executor's shortage limits no other; after many starts at once nothing is short any more."""
    tried = Shortages()
    tried.failed("a")
    tried.started("b", 5)
    assert tried.allowances() == {"a": 0}
    window = 1
    while window <= ENOUGH:
        clock.now += LONGEST_PAUSE
        assert tried.allowances() == {"a": window}
        tried.started("a", window)
        window *= 2
    assert tried.allowances() == {}
