"""Copies of the writer of an open record, by `pickle` or `copy.deepcopy`: what they do at a fork.

A copy may live in any process, and as shortly as it is used: it is only watched, not kept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from weakref import WeakSet


class WriterCopy(Protocol):
    """A copy of the writer of an open record."""

    def forked(self) -> None:
        """Called in a forked child of the process of the copy."""


_copies: WeakSet[WriterCopy] | None = None


def watch(copy: WriterCopy) -> None:
    """Call `forked` of a copy in each forked child, as long as it is used."""
    global _copies  # noqa: PLW0603 - a process is forked as a whole
    if _copies is None:
        from weakref import WeakSet  # noqa: PLC0415 - few programs copy a record

        _copies = WeakSet()
        os.register_at_fork(after_in_child=_forked)
    _copies.add(copy)


def _forked() -> None:
    for copy in list(_copies or ()):
        copy.forked()
