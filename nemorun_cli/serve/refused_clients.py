"""Slows down clients that repeat a request without a valid token.

When its token is refused, ML-Dash's client 0.6.27 sends a batch again at once, and does not end. With an
answer that waits, each such program makes less than one request a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Final

DELAY: Final = 1.2  # seconds
MOST_WAITING: Final = 256  # of one address; a request beyond them is answered at once
MOST_OF_ALL: Final = 2048  # half of the connections that a server has
_OF_ML_DASH: Final = ("/api/", "/graphql")
_OF_LOGINS: Final = ("/api/device/", "/api/auth/")  # they pace themselves, and people wait for them


def is_of_ml_dash(path: str) -> bool:
    """Whether ML-Dash's programs ask for this while they run."""
    return path.startswith(_OF_ML_DASH) and not path.startswith(_OF_LOGINS)


class RefusedClients:
    """The requests without a valid token whose answers wait, by their addresses.

    A flood from one address does not shorten the waits of clients at others.
    """

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    async def wait(self, path: str, address: str, stopping: asyncio.Event) -> None:
        """Wait before the refusal of a request for ML-Dash's API; ends early when the server does."""
        if not is_of_ml_dash(path):
            return
        if self._waiting[address] >= MOST_WAITING or self._waiting.total() >= MOST_OF_ALL:
            return
        self._waiting[address] += 1
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), DELAY)
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
