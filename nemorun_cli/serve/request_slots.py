"""How many requests of one token, or of one address, are answered at once; ML-Dash's clients wait.

After a few 429 client 0.11 fails its run, and 0.6.27 repeats them at once; both wait 30 s for an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from nemorun_cli.serve import limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE: Final = 20.0  # seconds


class TooManyRequestsError(Exception):
    """All slots are taken, and none became free."""


class RequestSlots:
    """The requests that are being answered, and those that wait, by whose they are."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._freed: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def one(self, whose: str, *, waits: bool) -> AsyncIterator[None]:
        """Hold a slot while a request is answered.

        Args:
            whose: a token or an address.
            waits: whether to wait for a slot; as many requests may wait as may be answered.

        Raises:
            TooManyRequestsError: all are taken.
        """
        if self._open[whose] >= limits.MOST_REQUESTS and not (waits and await self._is_free(whose)):
            raise TooManyRequestsError
        self._open[whose] += 1
        try:
            yield
        finally:
            self._open[whose] -= 1
            if not self._open[whose]:
                del self._open[whose]
            if whose in self._freed:
                self._freed[whose].set()

    async def _is_free(self, whose: str) -> bool:
        """Whether a slot became free in time; it is to be taken at once."""
        if self._waiting[whose] >= limits.MOST_REQUESTS:
            return False
        self._waiting[whose] += 1
        try:
            async with asyncio.timeout(PATIENCE):
                while self._open[whose] >= limits.MOST_REQUESTS:
                    freed = self._freed.setdefault(whose, asyncio.Event())
                    freed.clear()
                    await freed.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._waiting[whose] -= 1
            if not self._waiting[whose]:
                del self._waiting[whose]
                self._freed.pop(whose, None)
