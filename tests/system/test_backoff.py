"""Pauses between tries grow to a limit, and begin again when there is something new."""

from __future__ import annotations

import time

from nemorun_cli.system.backoff import Backoff


def test_pauses_grow_up_to_the_longest() -> None:
    """Each is the one before times the growth."""
    pauses = Backoff(first=1.0, longest=5.0)
    assert [pauses.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    pauses.reset()
    assert pauses.next() == 1.0


def test_a_pause_can_be_shortened_but_not_made_longer() -> None:
    """What is urgent waits less than the first pause, and what follows grows from there."""
    pauses = Backoff(first=1.0, longest=8.0, growth=1.5)
    pauses.shorten(0.2)
    pauses.shorten(4.0)
    assert [round(pauses.next(), 3) for _ in range(2)] == [0.2, 0.3]


def test_the_next_try_is_due_after_the_pause() -> None:
    """By the clock that nobody sets."""
    before = time.monotonic()
    assert before + 3.0 <= Backoff(first=3.0, longest=9.0).due() <= time.monotonic() + 3.0
