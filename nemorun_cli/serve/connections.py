"""Connections with bounds: slow headers, slow readers, and the number of connections.

uvicorn bounds none of these: it waits for headers, and for a client that reads nothing, without end.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from nemorun_cli.serve import limits

if TYPE_CHECKING:
    import asyncio
    from typing import Any

_CREDENTIALS: Final = struct.Struct("3i")  # `struct ucred`: process, user, group


class BoundedConnection(H11Protocol):
    """A connection that is closed if its headers take too long or its client does not read.

    If there are too many connections, the one that has waited longest without a request is closed.

    Attributes:
        most: how many connections the process accepts.
    """

    most = limits.MOST_CONNECTIONS
    _waiting: ClassVar[dict[BoundedConnection, None]] = {}  # those without a request, oldest first

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_end: asyncio.TimerHandle | None = None
        self._reading_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Count the connection and wait for its first request."""
        super().connection_made(transport)
        if _is_of_another_user(transport):
            transport.abort()
            return
        self._waiting[self] = None
        self._expect_headers()
        if len(self.connections) > self.most:
            next(iter(self._waiting)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._waiting.pop(self, None)
        self._stop(self._headers_end)
        self._stop(self._reading_end)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what arrived; a request has to be complete up to its body in time."""
        if not self._is_answering and self._headers_end is None:
            self._expect_headers()
        super().data_received(data)
        if self._is_answering:
            self._waiting.pop(self, None)
            self._stop(self._headers_end)
            self._headers_end = None

    def on_response_complete(self) -> None:
        """Wait for the next request; a body that nobody reads has to end in time."""
        super().on_response_complete()
        if not self._is_answering and not self.transport.is_closing():
            self._waiting[self] = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_headers(self) -> None:
        self._headers_end = self.loop.call_later(limits.HEADER_TIME, self.transport.abort)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()

    def pause_writing(self) -> None:
        """Note that the client reads more slowly than it is sent."""
        super().pause_writing()
        self._reading_end = self.loop.call_later(limits.READER_PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        self._stop(self._reading_end)
        self._reading_end = None


def _is_of_another_user(transport: asyncio.Transport) -> bool:
    """Whether the client of a unix socket is neither this user nor root, whatever the socket's mode."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return False
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return user not in {0, os.geteuid()}
