"""Why the store refuses a request, as the status, code and offset that the client gets."""

from __future__ import annotations

import errno
from typing import Final

from nemorun_cli.replication import protocol
from nemorun_cli.system.files import RefusedFileError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENAMETOOLONG})
_IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL})


class StoreRefusal(Exception):  # noqa: N818 - it is an answer, and no fault of the server
    """A request that is refused.

    Attributes:
        status: of HTTP.
        code: a word for programs, such as `diverged`.
        message: what is wrong.
        hint: the remedy.
        offset: the bytes that the server has of the file, where the client can continue.
        retry_after: seconds that the client waits before it asks again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        offset: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.offset = offset
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        named = {protocol.OFFSET: self.offset, "Retry-After": self.retry_after}
        return {name: str(value) for name, value in named.items() if value is not None}


def not_found(what: str) -> StoreRefusal:
    """There is no such file or replica, or none of this form is kept."""
    return StoreRefusal(404, "not_found", f"there is no {what} on this server")


def of_error(error: OSError, what: str) -> StoreRefusal:
    """The refusal for an error of the server's disk; what is there can still be read.

    Args:
        error: the error.
        what: the file or replica, as clients name it.
    """
    if error.errno in _FULL:
        return StoreRefusal(
            507, "disk_full", f"the server's disk is full: {what} was not written", hint="free some of it"
        )
    if isinstance(error, RefusedFileError) or error.errno in _IN_THE_WAY:
        return StoreRefusal(
            422,
            "in_the_way",
            f"{what} cannot be stored: something else has its place on the server",
            hint="run `exp serve check` on the server",
        )
    if error.errno in _ABSENT:
        return not_found(what)
    return StoreRefusal(
        500,
        "cannot_write",
        f"the server cannot use its files of {what}: {error.strerror}",
        hint="see the log of the server",
    )
