"""The request that a training ends: the stop signal of a task that is stopped by a metric or its group."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.tracking.process import exit_hooks

if TYPE_CHECKING:
    from types import FrameType

OUTPUTS: Final = "EXP_OUTPUT"  # in the folder of the attempt
STOPPED: Final = "stopped"  # the file there that a supervisor writes before it stops the attempt


class StopRequest:
    """Notes the stop signal while a trainer runs, so that the trainer can end the training.

    Signals for other reasons, such as a cancel or a time limit, act as without it, unless the program has
    called `should_stop()`: a training that was cut off must not look like one that has ended.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}  # the handlers before, by signal
        self._is_noted = False

    @property
    def is_made(self) -> bool:
        """Whether the training should end now."""
        return self._is_noted or exit_hooks.has_stop_request()

    def listen(self) -> None:
        """Handle the stop signal from now on: in a task, in the main thread, which gets signals."""
        is_main = threading.current_thread() is threading.main_thread()
        if self._before or OUTPUTS not in os.environ or not is_main:
            return
        names = {"SIGTERM", f"SIG{os.environ.get(exit_hooks.STOP_SIGNAL, 'TERM')}"}
        for number in signal.valid_signals():
            is_catchable = number not in (signal.SIGKILL, signal.SIGSTOP)
            if isinstance(number, signal.Signals) and number.name in names and is_catchable:
                self._before[number] = signal.signal(number, self._on_signal)

    def close(self) -> None:
        """Handle signals as before, but for those that have another handler since."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, signal.SIG_DFL if before is None else before)
        self._before.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if exit_hooks.answers_stop_requests():
            exit_hooks.request_stop()
        elif Path(os.environ.get(OUTPUTS, "")).with_name(STOPPED).exists():
            self._is_noted = True
        elif callable(before := self._before.get(number)):
            before(number, frame)
        elif before in (None, signal.SIG_DFL):
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
