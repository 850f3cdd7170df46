"""Copies of the writer of an open record, by `pickle` or `copy.deepcopy`: what they do at a fork and at exit.

A copy may live in any process, and as shortly as it is used: it is only watched, not kept. The numbers that
it buffered are kept by `buffered_numbers`.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from weakref import WeakSet


class WriterCopy(Protocol):
    """A copy of the writer of an open record."""

    def exited(self) -> None:
        """Called when the interpreter exits."""

    def forked(self) -> None:
        """Called in a forked child of the process of the copy."""


_copies: WeakSet[WriterCopy] | None = None


def watch(copy: WriterCopy) -> None:
    """Call the methods of a copy at a fork and when the interpreter exits, as long as it is used."""
    global _copies  # noqa: PLW0603 - a process has one fork and one exit
    if _copies is None:
        from weakref import WeakSet  # noqa: PLC0415 - few programs copy a record

        _copies = WeakSet()
        os.register_at_fork(after_in_child=_forked)
        atexit.register(_exited)
        if workers := sys.modules.get("multiprocessing.util"):  # its processes may exit without exit hooks
            workers.Finalize(None, _exited, exitpriority=0)
            # a worker forgets it if it got its copy as an argument, before it began
            workers.register_after_fork(_exited, lambda end: workers.Finalize(None, end, exitpriority=0))
    _copies.add(copy)


def _forked() -> None:
    for copy in list(_copies or ()):
        copy.forked()


def _exited() -> None:
    with ExitStack() as stack:  # each even if another fails
        for copy in list(_copies or ()):
            stack.callback(copy.exited)
