from __future__ import annotations

import select
import signal

import pytest

from nemorun_cli.cli.interrupts import Interrupts


def _is_readable(interrupts: Interrupts) -> bool:
    return bool(select.select([interrupts.fileno()], [], [], 0)[0])


def test_signals_are_counted() -> None:
    """While the block runs Ctrl-C and SIGTERM only count, and wake who sleeps."""
    with Interrupts() as interrupts:
        assert not _is_readable(interrupts)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.count == 2
        assert _is_readable(interrupts)
        interrupts.clear()
        assert not _is_readable(interrupts)


def test_before_it_is_armed_a_signal_interrupts() -> None:
    """As long as there is nothing to cancel a signal ends the command as it always does."""
    with Interrupts(is_armed=lambda: False) as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.count == 0


def test_what_cannot_look_is_interrupted() -> None:
    """Inside of `raising` a signal is a KeyboardInterrupt."""
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.raising():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.count == 1


def test_handlers_are_put_back() -> None:
    """After the block signals do what they did before."""
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
