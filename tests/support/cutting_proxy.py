"""A proxy between a client and a server that cuts, delays, hangs, or answers itself, as a test decides."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK: Final = 1 << 14  # bytes that are passed at a time
LARGEST_HEAD: Final = 1 << 16  # bytes
_LENGTH: Final = re.compile(rb"(?im)^content-length:\s*(\d+)")


@dataclass(slots=True)
class SeenRequest:
    """A request: its first line, its headers as they were sent, and the size of its body."""

    line: str
    head: str
    size: int

    @property
    def method(self) -> str:
        """Such as PATCH."""
        return self.line.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path and the query."""
        return self.line.split(" ")[1]


@dataclass
class Faults:
    """What happens to requests; each field may be changed at any time, and holds for the next request.

    Attributes:
        answers: a function that returns the whole answer to a request, or None to pass it on.
        cuts: a function that returns after how many bytes of its body a request is cut at both ends, or None.
        loses: a function that returns whether a request is passed on, and its answer lost.
        hangs: whether requests are read and never answered.
        delay: seconds before a request is passed on.
        rate: bytes a second in each direction; None for no limit.
        resets: the part of requests that is cut at a random byte.
    """

    answers: Callable[[SeenRequest], bytes | None] = lambda _: None
    cuts: Callable[[SeenRequest], int | None] = lambda _: None
    loses: Callable[[SeenRequest], bool] = lambda _: False
    hangs: bool = False
    delay: float = 0.0
    rate: float | None = None
    resets: float = 0.0


@dataclass
class CuttingProxy:
    """A proxy on a port of this machine.

    Attributes:
        target: the port of the server.
        faults: what happens to requests.
        seen: all requests so far.
        port: where it listens.
    """

    target: int
    faults: Faults = field(default_factory=Faults)
    seen: list[SeenRequest] = field(default_factory=list)
    port: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(4))  # noqa: S311 - seeded
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> None:
        """Listen, after `disconnect` on the same port."""
        self._call(self._listen())

    def disconnect(self) -> None:
        """Refuse connections, and cut those that are open: the network is down."""
        self._call(self._close())

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type] # a coroutine

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while head := await _head(reader):
                request = _request(head)
                self.seen.append(request)
                if (answer := self.faults.answers(request)) is not None:
                    await reader.readexactly(request.size)
                    writer.write(answer)
                    await writer.drain()
                    continue
                if self.faults.hangs:
                    await asyncio.Event().wait()
                await asyncio.sleep(self.faults.delay)
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self.target)
                if not await self._pass(request, head, (reader, writer), upstream):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, *([upstream[1]] if upstream else [])):
                _reset(end)
            self._tasks.discard(task)

    async def _pass(
        self,
        request: SeenRequest,
        head: bytes,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """Pass a request on, and its answer back; returns whether both connections are still whole."""
        cut = self.faults.cuts(request)
        if cut is None and self._random.random() < self.faults.resets:
            cut = self._random.randint(0, request.size)
        server[1].write(head)
        await self._copy(client[0], server[1], request.size if cut is None else min(cut, request.size))
        if cut is not None:
            return False
        answer = await _head(server[0])
        if not answer or self.faults.loses(request):
            return False
        client[1].write(answer)
        no_body = request.method == "HEAD" or answer.split(b" ")[1] in {b"204", b"304"}
        length = _LENGTH.search(answer)
        await self._copy(server[0], client[1], 0 if no_body or length is None else int(length[1]))
        return b"connection: close" not in answer.lower()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, size: int) -> None:
        while size:
            block = await source.read(min(BLOCK, size))
            if not block:
                raise ConnectionResetError
            size -= len(block)
            target.write(block)
            await target.drain()
            if self.faults.rate is not None:
                await asyncio.sleep(len(block) / self.faults.rate)
        await target.drain()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """The first line and the headers of a request or an answer; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _request(head: bytes) -> SeenRequest:
    length = _LENGTH.search(head)
    text = head.decode("latin-1")
    return SeenRequest(text.partition("\r\n")[0], text, int(length[1]) if length else 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once, so that the other end gets a reset if it still sends."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def answer(status: str, *, body: bytes = b"", **headers: str) -> bytes:
    """An answer of HTTP; underscores in the names of headers are hyphens."""
    fields = {"Content-Length": str(len(body)), **{key.replace("_", "-"): headers[key] for key in headers}}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@contextlib.contextmanager
def cutting_proxy(target: int) -> Iterator[CuttingProxy]:
    """A proxy before the server on a port, until the block ends."""
    proxy = CuttingProxy(target)
    thread = threading.Thread(target=proxy._loop.run_forever, daemon=True)
    thread.start()
    try:
        proxy.connect()
        yield proxy
        proxy.disconnect()
    finally:
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(10)
        proxy._loop.close()
