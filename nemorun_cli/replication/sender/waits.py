"""When a sender tries again after a fault."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.replication.remote_errors import RemoteFault
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from nemorun_cli.replication.remote_errors import RemoteError

FIRST: Final = 1.0  # seconds
LONGEST: Final = 60.0  # seconds
SHORTEST: Final = 0.25  # seconds: jitter leaves at least so much
TOKEN_WAIT: Final = 60.0  # seconds until the token is read again


class RetryTime:
    """The time of the next try, on the monotonic clock.

    Pauses double up to a minute, and each is a random part of that.

    Random pauses keep the senders of a cluster from returning all at once to a server that was away.
    """

    def __init__(self) -> None:
        self._pauses = Backoff(first=FIRST, longest=LONGEST)
        self._random = random.Random()  # noqa: S311 - jitter is no secret
        self.at = 0.0
        self._floor = 0.0  # monotonic: the server asked not to be asked before

    @property
    def is_due(self) -> bool:
        """Whether to try now."""
        return time.monotonic() >= self.at

    def succeeded(self) -> None:
        """Begin with short pauses again."""
        self._pauses.reset()
        self.at = self._floor = 0.0

    def failed(self, error: RemoteError) -> None:
        """Wait as the fault demands."""
        if error.fault in {RemoteFault.TOKEN, RemoteFault.NO_TOKEN}:
            pause = TOKEN_WAIT * self._random.uniform(0.5, 0.9)
        else:
            pause = max(SHORTEST, self._random.uniform(0, self._pauses.next()))
            pause = max(pause, error.retry_after or 0.0)
        now = time.monotonic()
        self.at, self._floor = now + pause, now + (error.retry_after or 0.0)

    def hurry(self, *, within: float = 0.0) -> None:
        """Try at once, or at a random time within so many seconds, but not before the server allows it."""
        self.at = max(self._floor, min(self.at, time.monotonic() + self._random.uniform(0, within)))
