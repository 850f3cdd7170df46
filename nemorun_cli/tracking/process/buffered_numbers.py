"""The numbers that this process has buffered and not summarised, by the writer that will log them.

The copies of an opening in a process are one writer: a worker may get a copy with each of its tasks, and drop
it. What is buffered therefore belongs to the process, and keeps the copy that logs it. A forked child begins
with nothing: the parent summarises its own numbers.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

Numbers = dict[str, list[float]]


class RowWriter(Protocol):
    """The writer of the summaries."""

    name: str | None

    def require_open(self) -> None:
        """Raise unless rows can be logged."""


class Cached:
    """What the summary cache of one series holds."""

    def __init__(self) -> None:
        self.numbers: Numbers = {}
        self.extra: dict[str, Any] = {}
        self.is_summarised = True  # nothing was stored since the last summary


class Buffered:
    """What one writer has buffered."""

    def __init__(self) -> None:
        self.series: dict[str | None, Numbers] = {}
        self.caches: dict[str | None, Cached] = {}
        self.summarise: Callable[[], None] | None = None  # of the object that buffered last


_by_writer: dict[str, Buffered] = {}
_watched_process = 0  # the process whose end is watched

os.register_at_fork(after_in_child=_by_writer.clear)


def of(writer: str | None) -> Buffered:
    """What a writer has buffered, to read it; None is one that is closed."""
    return _by_writer.get(writer or "") or Buffered()


def kept(writer: str, summarise: Callable[[], None]) -> Buffered:
    """What a writer has buffered, to add to it.

    Args:
        writer: its name.
        summarise: logs the summaries; called at the end of the process, unless `forget` was before.
    """
    buffered = _by_writer.get(writer)
    if buffered is None:
        _watch_end()
        buffered = _by_writer[writer] = Buffered()
    buffered.summarise = summarise
    return buffered


def forget(writer: str | None, *, if_empty: bool = False) -> None:
    """Drop what a writer has buffered, which was summarised."""
    buffered = of(writer)
    if writer is not None and not (if_empty and (buffered.series or buffered.caches)):
        _by_writer.pop(writer, None)


def summarise_all(opening: str = "") -> None:
    """Log the summaries of all writers, or of one opening in this process: of its original and of copies."""
    with ExitStack() as stack:  # each even if another fails
        for writer, buffered in list(_by_writer.items()):
            if buffered.summarise is not None and opening in {"", writer, writer.partition(".")[0]}:
                stack.callback(buffered.summarise)


def _watch_end() -> None:
    """Summarise at the end of this process; that of `multiprocessing` may end without exit hooks."""
    global _watched_process  # noqa: PLW0603 - a process has one end
    if _watched_process == os.getpid():
        return
    if not _watched_process:
        atexit.register(summarise_all)  # a forked child has inherited it
    _watched_process = os.getpid()
    if workers := sys.modules.get("multiprocessing.util"):
        workers.Finalize(None, summarise_all, exitpriority=0)
