"""Actions that are carried out once, however often a client sends them with the same `Idempotency-Key`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HEADER: Final = "Idempotency-Key"
KEPT: Final = 600.0  # seconds after its end for which an action is remembered
MOST: Final = 1000  # actions that are remembered
MOST_AT_ONCE: Final = 8  # actions that are carried out
LONGEST_KEY: Final = 255
FAULT: Final = 500  # from this status on, the same key tries again


class TooManyActionsError(Exception):
    """As many actions as the server carries out at once have not ended yet."""


class ReusedKeyError(UsageError):
    """A key came with another request than before."""


class ActionOutcome(NamedTuple):
    """What an action ended with: a status of HTTP, and the document of the answer."""

    status: int
    document: dict[str, Any]


@dataclass(slots=True)
class _Action:
    digest: bytes
    task: asyncio.Task[ActionOutcome]
    ended: float | None = None  # monotonic

    @property
    def is_forgotten(self) -> bool:
        """Whether the same key begins a new action."""
        if self.ended is None:
            return False
        failed = self.task.cancelled() or self.task.exception() is not None
        return failed or self.task.result().status >= FAULT or time.monotonic() - self.ended > KEPT


class RememberedActions:
    """The actions of one server; they continue when the client leaves."""

    def __init__(self) -> None:
        self._actions: dict[tuple[str, str], _Action] = {}
        self._running: set[asyncio.Task[ActionOutcome]] = set()

    async def outcome(
        self,
        act: Callable[[], Awaitable[ActionOutcome]],
        *,
        user: str,
        key: str | None,
        request: bytes,
        patience: float,
    ) -> ActionOutcome | None:
        """The outcome of an action; None if it has not ended after `patience` seconds.

        Args:
            act: carries it out.
            user: who asks; the keys of different users are different.
            key: names the action; None for one of its own.
            request: what is asked for.
            patience: seconds.

        Raises:
            TooManyActionsError: others have not ended yet.
            ReusedKeyError: the key named another request.
            UsageError: the key is not possible.
        """
        digest = hashlib.sha256(request).digest()
        task = None if key is None else self._known(user, _checked(key), digest)
        if task is None:
            if len(self._running) >= MOST_AT_ONCE:
                raise TooManyActionsError
            task = asyncio.ensure_future(act())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            if key is not None:
                self._remember(user, key, _Action(digest, task))
        await asyncio.wait({task}, timeout=patience)
        return task.result() if task.done() else None

    def _known(self, user: str, key: str, digest: bytes) -> asyncio.Task[ActionOutcome] | None:
        action = self._actions.get((user, key))
        if action is None or action.is_forgotten:
            return None
        if action.digest != digest:
            raise ReusedKeyError(f"the {HEADER} was used for another request", hint="use a new key")
        return action.task

    def _remember(self, user: str, key: str, action: _Action) -> None:
        for name in [name for name, known in self._actions.items() if known.is_forgotten]:
            del self._actions[name]
        ended = (name for name, known in self._actions.items() if known.ended is not None)
        if len(self._actions) >= MOST and (oldest := next(ended, None)) is not None:
            del self._actions[oldest]
        self._actions[user, key] = action

        def end(_: object) -> None:
            action.ended = time.monotonic()

        action.task.add_done_callback(end)


def _checked(key: str) -> str:
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise UsageError(f"{HEADER}: must be 1 to {LONGEST_KEY} printable ASCII characters")
    return key
