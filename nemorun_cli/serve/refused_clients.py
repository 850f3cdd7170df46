"""Slows down clients that repeat a request without a valid token.

When its token is refused, ML-Dash's client 0.6.27 sends a batch again at once, and does not end. With an
answer that waits, each such program makes less than one request a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

DELAY: Final = 1.2  # seconds
MOST_WAITING: Final = 256  # a request beyond them is answered at once
_OF_ML_DASH: Final = ("/api/", "/graphql")
_OF_LOGINS: Final = ("/api/device/", "/api/auth/")  # they pace themselves, and people wait for them


class RefusedClients:
    """The requests without a valid token whose answers wait."""

    def __init__(self) -> None:
        self._waiting = 0

    async def wait(self, path: str, stopping: asyncio.Event) -> None:
        """Wait before the refusal of a request for ML-Dash's API; ends early when the server does."""
        if not path.startswith(_OF_ML_DASH) or path.startswith(_OF_LOGINS) or self._waiting >= MOST_WAITING:
            return
        self._waiting += 1
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), DELAY)
        finally:
            self._waiting -= 1
