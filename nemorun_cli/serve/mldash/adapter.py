"""What all requests of ML-Dash's API need: the records, the rights, and where records are."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException

from nemorun_cli.errors import UsageError
from nemorun_cli.serve.mldash.held_records import ApiSender, HeldRecords
from nemorun_cli.serve.store.quotas import Quotas, quotas_of
from nemorun_cli.serve.store.root_folder import INCOMING, OWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import ParamSpec, TypeVar

    from starlette.requests import Request

    from nemorun_cli.serve.site import Site

    Arguments = ParamSpec("Arguments")
    Result = TypeVar("Result")

MOST_AT_ONCE: Final = (
    16  # threads: requests that wait for one record keep none of the other endpoints waiting
)
PATIENCE: Final = 20.0  # seconds for which a request of these clients is held rather than refused


class Adapter:
    """The API on one server, which collects records in its root.

    Attributes:
        site: the server.
        records: those that are written.
        changes: is notified after each write; None until the first request.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.changes: Any = None
        self._records: HeldRecords | None = None
        self._quotas: Quotas | None = None
        self._limiter: CapacityLimiter | None = None

    async def run(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """Run what works on files in a thread."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(MOST_AT_ONCE)
        return await to_thread.run_sync(functools.partial(function, *args, **named), limiter=self._limiter)

    @property
    def root(self) -> Path:
        """The folder of the records.

        Raises:
            UsageError: this server collects none.
        """
        if self.site.root is None:
            raise UsageError(
                "this server collects no records, it shows those of its machine",
                hint="start it with --root DIR",
            )
        return self.site.root

    @property
    def records(self) -> HeldRecords:
        """The records that are written.

        Raises:
            UsageError: this server collects none.
        """
        if self._records is None:
            self._records = HeldRecords(str(self.root), self._changed, self.take)
        return self._records

    @property
    def scratch(self) -> Path:
        """The folder of bodies that are being received."""
        return self.root / OWN / INCOMING

    def prepare(self, prefix: str) -> None:
        """Make sure that the files of the owner of a record were counted; its clients have 30 seconds.

        Raises:
            StoreRefusal: counting them takes long.
        """
        self._counted.prepare(prefix.partition("/")[0], patience=PATIENCE)

    def take(self, prefix: str, size: int) -> None:
        """Count bytes that are about to be written against the quota of their owner.

        Raises:
            StoreRefusal: the owner would have too many.
        """
        self._counted.take(prefix.partition("/")[0], size, is_new=False)

    @property
    def _counted(self) -> Quotas:
        if self._quotas is None:
            self._quotas = quotas_of(self.root, self.site.quota)
        return self._quotas

    def _changed(self, prefix: str, path: str) -> None:
        if self.changes is not None:
            self.changes.record(prefix, path)

    def note_change(self, prefix: str) -> None:
        """Report that a record was removed."""
        self._changed(prefix, "")

    def attach(self, request: Request) -> None:
        """Use the server's notification of changes."""
        self.changes = getattr(request.app.state, "changes", None)

    def may_read(self, request: Request, prefix: str) -> bool:
        """Whether the caller may read below a prefix."""
        return bool(request.app.state.access.may_read(request.state.caller, prefix))

    def require_read(self, request: Request, prefix: str) -> None:
        """Raise unless the caller may read below a prefix.

        Raises:
            HTTPException: 403.
        """
        if not self.may_read(request, prefix):
            raise HTTPException(403, f"this token may not read {prefix!r}")

    def require_write(self, request: Request, prefix: str) -> None:
        """Raise unless the caller may write below a prefix.

        Raises:
            HTTPException: 403.
        """
        if not request.app.state.access.may_write(request.state.caller, prefix):
            raise HTTPException(403, f"this token may not write {prefix!r}")

    def sender(self, request: Request) -> ApiSender:
        """Who sends a request; over a unix socket the address is unknown."""
        address = request.client.host if request.client and request.client.host else "unknown"
        return ApiSender(request.state.caller.user, address)
