"""Signal handlers that do not interrupt what has to be done as a whole.

A mask of the calling thread would not be enough: the system may deliver a signal to any thread of the
process, and Python runs the handler in the main thread.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], None]

_waiting: list[Callable[[], None]] = []  # handlers of signals that arrived in a block
_blocks = 0


def handle(number: int, handler: Handler) -> None:
    """Call the handler at each such signal, but not before the end of a block in which they are deferred."""
    signal.signal(number, partial(_receive, handler))


def _receive(handler: Handler, number: int, frame: FrameType | None) -> None:
    call = partial(handler, number, frame)
    if _blocks:
        _waiting.append(call)
    else:
        call()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """In this block no handler runs; those of signals that arrive meanwhile run at its end."""
    global _blocks  # noqa: PLW0603 - the process as a whole has one
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        while _waiting and not _blocks:
            _waiting.pop(0)()
