"""The limits on requests, and the body of a request within them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Message, Receive

LARGEST_HEADERS: Final = 32 << 10  # bytes of a request line and its headers
LARGEST_PATH: Final = 8 << 10  # bytes
HEADER_TIME: Final = 10.0  # seconds from the first byte of a request to the end of its headers
IDLE_TIME: Final = 75.0  # seconds that an open connection may wait for its next request; proxies have 60
BODY_PATIENCE: Final = 30.0  # seconds without a byte of a body
SLOWEST_BODY: Final = 1 << 10  # bytes per second, on average after the first 30 seconds
READER_PATIENCE: Final = 60.0  # seconds that a client may take nothing of an answer
MOST_CONNECTIONS: Final = 4096
MOST_REQUESTS: Final = 256  # at once by one token, open streams included


class BoundedBody:
    """The body of a request: its size and its slowness have bounds.

    Args:
        receive: of the request.
        largest: bytes.
        stopping: is set when the server ends; to a handler that waits, the client has left then.
    """

    def __init__(self, receive: Receive, *, largest: int, stopping: asyncio.Event) -> None:
        self._receive = receive
        self._largest = largest
        self._stopping = stopping
        self._size = 0
        self._waited = 0.0
        self._is_over = False

    async def receive(self) -> Message:
        """The next message.

        Raises:
            HTTPException: 413, the body is too large; 408, it comes too slowly.
        """
        if self._is_over:
            return await self._end()
        begin = time.monotonic()
        try:
            async with asyncio.timeout(BODY_PATIENCE):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"no byte of the body for {BODY_PATIENCE:.0f} s") from None
        self._waited += time.monotonic() - begin
        self._size += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        if self._size > self._largest:
            raise HTTPException(413, f"the body has more than {self._largest} bytes")
        if self._waited > BODY_PATIENCE and self._size < self._waited * SLOWEST_BODY:
            raise HTTPException(408, f"the body comes with less than {SLOWEST_BODY} bytes per second")
        return message

    async def _end(self) -> Message:
        """Wait until the client leaves, or the server ends: open streams must not hold it up."""
        message = asyncio.ensure_future(self._receive())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((message, stop), return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message.done() else {"type": "http.disconnect"}
        finally:
            message.cancel()
            stop.cancel()
