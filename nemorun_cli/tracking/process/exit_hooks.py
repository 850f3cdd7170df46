"""How a process can end while it has records open: a normal exit, an unhandled exception, SIGTERM, a fork.

The hooks are set when the first record of the process opens and taken back when its last one closes.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import FrameType, TracebackType


class OpenRecord(Protocol):
    """What has a record open."""

    def exited(self, error: BaseException | None) -> None:
        """The interpreter ends, after this exception or without one."""

    def terminated(self, signal_number: int) -> None:
        """The process was told to end."""

    def forked(self) -> None:
        """This process is a child of the one that opened the record."""


_open: list[OpenRecord] = []
_unhandled: BaseException | None = None
_previous_hook: Any = None
_handles_sigterm = False


def watch(record: OpenRecord) -> None:
    """See to this record however the process ends."""
    _open.append(record)
    if len(_open) == 1:
        _take_excepthook()
    _take_sigterm()


def release(record: OpenRecord) -> None:
    """The record is closed."""
    if record in _open:
        _open.remove(record)
    if not _open:
        _give_back()


def _take_excepthook() -> None:
    global _previous_hook, _unhandled  # noqa: PLW0603 - hooks belong to the process as a whole
    _unhandled = None
    _previous_hook = sys.excepthook
    sys.excepthook = _note_unhandled


def _take_sigterm() -> None:
    """Set the handler where that is the default's place; only the main thread may."""
    global _handles_sigterm  # noqa: PLW0603 - the same
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)
        _handles_sigterm = True


def _give_back() -> None:
    """Take the hooks back where nobody has set others since."""
    global _handles_sigterm  # noqa: PLW0603 - the same
    if sys.excepthook is _note_unhandled:
        sys.excepthook = _previous_hook
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _handles_sigterm = False


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _note_unhandled(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Remember what ends the program (at a prompt it ends nothing) and go on as before."""
    global _unhandled  # noqa: PLW0603 - the same
    if not hasattr(sys, "ps1"):
        _unhandled = error
    (_previous_hook or sys.__excepthook__)(kind, error, trace)


def _on_sigterm(number: int, _frame: FrameType | None) -> None:
    """Mark what is open, then end as if there had been no handler, so that the exit status stays true."""
    try:
        for record in reversed(_open.copy()):
            record.terminated(number)
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@atexit.register
def _at_exit() -> None:
    with ExitStack() as stack:  # the youngest first, and each one even if another fails
        for record in _open.copy():
            stack.callback(record.exited, _unhandled)


class _Mask(threading.local):
    """The signals this thread blocked before it forked."""

    before: set[int | signal.Signals] | None = None


_mask = _Mask()


def _before_fork() -> None:
    """Hold SIGTERM back: the interpreter would forget one that a child gets before it is set up."""
    if _handles_sigterm:
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _after_fork_in_parent() -> None:
    if _mask.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)
        _mask.before = None


def _after_fork_in_child() -> None:
    """Leave SIGTERM to the system: the child has no record to mark, and a handler may come too late."""
    global _handles_sigterm  # noqa: PLW0603 - the same
    for record in _open.copy():
        record.forked()
    if _handles_sigterm and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _handles_sigterm = False
    _after_fork_in_parent()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
