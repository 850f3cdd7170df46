"""Hooks for the end of a process with open records: normal exit, unhandled exception, SIGTERM, fork.

The hooks are set when the first record of the process opens and removed when its last one closes. So is the
handler by which a program that asks whether it should stop learns of its stop signal.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from types import FrameType, TracebackType


class OpenRecord(Protocol):
    """The owner of an open record."""

    def exited(self, error: BaseException | None) -> None:
        """Called when the interpreter exits, with the unhandled exception if there was one."""

    def terminated(self, signal_number: int) -> None:
        """Called when the process received a signal to terminate."""

    def forked(self) -> None:
        """Called in a forked child of the process that opened the record."""


_open: list[OpenRecord] = []
_unhandled: BaseException | None = None
_previous_hook: Any = None
_handles_sigterm = False
_deferred: dict[int, Any] = {}  # the handlers before `_on_stop_request`, by signal
_stop_is_requested = False

STOP_SIGNAL: Final = "EXP_STOP_SIGNAL"  # of the task, if it is not TERM


def watch(record: OpenRecord) -> None:
    """Register a record to be closed when the process ends."""
    _open.append(record)
    if len(_open) == 1:
        _set_excepthook()
    _set_sigterm()


def release(record: OpenRecord) -> None:
    """Unregister a record that was closed."""
    if record in _open:
        _open.remove(record)
    if not _open:
        _restore_hooks()


def is_stop_requested() -> bool:
    """Whether the process received its stop signal since the first call, from which on it only answers this.

    Only the main thread can make the first call.
    """
    if not _deferred and not _is_main_thread():
        import warnings  # noqa: PLC0415 - rarely needed

        text = "should_stop() is always false here: call it once in the main thread, which gets the signals"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    elif not _deferred:
        names = {"SIGTERM", f"SIG{os.environ.get(STOP_SIGNAL, 'TERM')}"}
        for number in signal.valid_signals():
            if isinstance(number, signal.Signals) and number.name in names:
                with suppress(OSError):  # KILL and STOP have no handler
                    _deferred[number] = signal.signal(number, _on_stop_request)
    return _stop_is_requested


def has_stop_request() -> bool:
    """Whether the process received its stop signal since it asked for the first time; this does not ask."""
    return _stop_is_requested


def answers_stop_requests() -> bool:
    """Whether the program has asked if it should stop, so that its stop signal does nothing else."""
    return bool(_deferred)


def request_stop() -> None:
    """Note that the stop signal has arrived."""
    global _stop_is_requested  # noqa: PLW0603 - it belongs to the process as a whole
    _stop_is_requested = True


def _on_stop_request(number: int, frame: FrameType | None) -> None:
    """Note the request; a handler that the program has set is called too."""
    request_stop()
    previous = _deferred.get(number)
    if callable(previous) and previous not in (_on_sigterm, signal.default_int_handler):
        previous(number, frame)


def _restore_deferred() -> None:
    for number, previous in _deferred.items():
        if signal.getsignal(number) is _on_stop_request:
            is_own = previous is None or previous is _on_sigterm
            signal.signal(number, signal.SIG_DFL if is_own else previous)
    _deferred.clear()


def _set_excepthook() -> None:
    global _previous_hook, _unhandled  # noqa: PLW0603 - hooks belong to the process as a whole
    _unhandled = None
    _previous_hook = sys.excepthook
    sys.excepthook = _note_unhandled


def _set_sigterm() -> None:
    """Set the handler if the default one is active; only the main thread can."""
    global _handles_sigterm  # noqa: PLW0603 - the same
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)
        _handles_sigterm = True


def _restore_hooks() -> None:
    """Restore the previous hooks unless others were set since."""
    global _handles_sigterm  # noqa: PLW0603 - the same
    if sys.excepthook is _note_unhandled:
        sys.excepthook = _previous_hook
    if _is_main_thread():
        _restore_deferred()
        if signal.getsignal(signal.SIGTERM) is _on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _handles_sigterm = False


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _note_unhandled(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Remember the exception that ends the program (at a prompt none does) and call the previous hook."""
    global _unhandled  # noqa: PLW0603 - the same
    if not hasattr(sys, "ps1"):
        _unhandled = error
    (_previous_hook or sys.__excepthook__)(kind, error, trace)


def _on_sigterm(number: int, _frame: FrameType | None) -> None:
    """End the open records, then terminate as without a handler, so that the exit status is correct."""
    try:
        for record in reversed(_open.copy()):
            record.terminated(number)
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@atexit.register
def _at_exit() -> None:
    with ExitStack() as stack:  # newest first, and each even if another fails
        for record in _open.copy():
            stack.callback(record.exited, _unhandled)


class _Mask(threading.local):
    """The signals that this thread had blocked before it forked."""

    before: set[int | signal.Signals] | None = None


_mask = _Mask()


def _before_fork() -> None:
    """Block SIGTERM: the interpreter would lose one that a child receives before it is set up."""
    if _handles_sigterm:
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _after_fork_in_parent() -> None:
    if _mask.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)
        _mask.before = None


def _after_fork_in_child() -> None:
    """Restore the default of SIGTERM: the child has no record to end, and a handler may run too late."""
    global _handles_sigterm  # noqa: PLW0603 - the same
    for record in _open.copy():
        record.forked()
    _restore_deferred()
    if _handles_sigterm and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _handles_sigterm = False
    _after_fork_in_parent()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
