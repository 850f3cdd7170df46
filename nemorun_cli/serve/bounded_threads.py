"""Threads of their own for work that may be slow, of which no user has all."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class BoundedThreads:
    """Some threads; what a user asks for beyond their part waits, and holds up nobody else.

    Args:
        count: of the threads.
        of_user: how many of them one user has at once.
    """

    def __init__(self, count: int, of_user: int) -> None:
        self._count = count
        self._of_user = of_user
        self._limiter: CapacityLimiter | None = None
        self._parts: dict[str, asyncio.Semaphore] = {}
        self._open: Counter[str] = Counter()

    async def run(self, user: str, work: Callable[[], _Result]) -> _Result:
        """What a function returns that is called in a thread."""
        if self._limiter is None:  # it belongs to a loop
            self._limiter = CapacityLimiter(self._count)
        part = self._parts.setdefault(user, asyncio.Semaphore(self._of_user))
        self._open[user] += 1
        try:
            async with part:
                return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user], self._parts[user]
