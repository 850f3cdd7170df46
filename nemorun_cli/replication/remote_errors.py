"""What can go wrong between a client and a server, by what the client does about it."""

from __future__ import annotations

import enum
from typing import Final

from nemorun_cli.errors import EngineError
from nemorun_cli.tracking.outbox import notes


class RemoteFault(enum.StrEnum):
    """The kinds of faults; `docs/internals/replication.md` has what the sender does about each."""

    AWAY = "away"  # no answer, or only a part of one
    BUSY = "busy"  # 429, 503
    FULL = "full"  # 507
    QUOTA = "quota"  # 507: the limit of the owner of this record alone
    BROKEN = "broken"  # any other 5xx
    TOKEN = "unauthorized"  # noqa: S105 - 401: the token is missing, expired or revoked
    NO_TOKEN = "no_token"  # noqa: S105 - this user has no token for the server
    FORBIDDEN = "forbidden"  # 403: the token is not for this prefix
    NOT_EXP = "not_an_exp_server"  # a proxy's page, a login, a redirect
    VERSION = "version"  # another major version of the protocol
    CONFLICT = "conflict"  # 409: the server has another number of bytes
    DIVERGED = "diverged"  # 409: the server has other bytes
    EXISTS = "exists"  # 409: the record is there already
    TOO_LARGE = "too_large"  # 413
    CHECKSUM = "checksum"  # 422: the content does not have the checksum that is its name
    REFUSED = "refused"  # any other 4xx: this file is not accepted


# Faults of the server or of the way to it, which concern all that is pending; the others concern one file.
OF_ALL: Final = frozenset(map(RemoteFault, notes.OF_ALL))


class RemoteError(EngineError):
    """A request failed.

    Attributes:
        fault: the kind.
        retry_after: seconds that the server asks to wait, if it does.
        offset: the number of bytes that the server has, with `CONFLICT` and `DIVERGED`.
        is_unreachable: whether not even a connection could be made.
    """

    def __init__(
        self,
        fault: RemoteFault,
        message: str,
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        offset: int | None = None,
        is_unreachable: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault
        self.retry_after = retry_after
        self.offset = offset
        self.is_unreachable = is_unreachable
        if fault in {RemoteFault.TOKEN, RemoteFault.NO_TOKEN, RemoteFault.FORBIDDEN}:
            self.exit_code = 2  # a login is needed, or another token
