"""Floods: too large, too slow, too many; limits hold, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import http.client
import socket
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from conftest import eventually
from starlette.exceptions import HTTPException
from support.asgi import ask
from support.extent import amount
from support.served import Served, served

from nemorun_cli.serve import limits, live
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.limits import BoundedBody
from nemorun_cli.serve.site import Site
from nemorun_cli.system import process_limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Message

ROWS = "/v1/records/alice/a/.record/metrics/loss/1-1-a.jsonl"
MEMORY = 60 << 20  # bytes by which a flood may make the server grow
SERVED_WITHIN = 1.0  # seconds
SLOW = amount(100, long=10_000)  # connections at once
STREAMS = amount(50, long=1000)  # live streams at once


def memory(server: Served) -> int:
    """The bytes of memory that the server uses."""
    return int(psutil.Process(server.process.pid).memory_info().rss)


def assert_others_are_served(server: Served) -> None:
    """Somebody else gets an answer within a second; the best of a few tries, on a busy machine."""
    times = []
    for _ in range(3):
        begin = time.monotonic()
        assert server.ask("GET", "/v1/whoami", token=server.token).status == http.client.OK
        times.append(time.monotonic() - begin)
    assert min(times) < SERVED_WITHIN


@contextlib.contextmanager
def raw(server: Served, data: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which these bytes were sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        yield connection


def head(server: Served, method: str, path: str, *headers: str) -> bytes:
    """The head of a request with a token."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: Bearer {server.token}",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def test_a_gzip_bomb_is_refused(server: Served) -> None:
    """A small body that would grow to a hundred megabytes is refused, and never decompressed whole."""
    before = memory(server)
    bomb = gzip.compress(b"\0" * (96 << 20), 1)
    assert len(bomb) < limits_of(server)["batch"]
    headers = {"Content-Encoding": "gzip", "Upload-Offset": "0"}
    answer = server.ask("PATCH", ROWS, token=server.token, headers=headers, body=bomb)
    assert answer.status in {400, 413, 422}
    assert memory(server) - before < MEMORY
    assert_others_are_served(server)


def limits_of(server: Served) -> dict[str, int]:
    """What the server says about its limits."""
    found: dict[str, int] = server.ask("GET", "/v1/hello").json["limits"]
    return found


def test_large_headers_are_refused(server: Served) -> None:
    """A megabyte of headers ends the connection, without being kept."""
    before = memory(server)
    with raw(server, head(server, "GET", "/v1/whoami")[:-2] + b"X: ") as connection:
        with contextlib.suppress(ConnectionError):
            for _ in range(16):
                connection.sendall(b"a" * (64 << 10))
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(1 << 16)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")) or answer == b""
    assert memory(server) - before < MEMORY
    long_path = server.ask("GET", "/v1/records/" + "a/" * 6000 + ".record", token=server.token)
    assert long_path.status == 414


def test_a_large_body_is_refused_by_its_length_and_by_its_bytes(server: Served) -> None:
    """A body beyond the limit of its endpoint is refused with 413, announced or not, and read no further."""
    announced = head(server, "POST", "/v1/link", "Content-Length: 100000000")
    with raw(server, announced) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    chunked = head(server, "POST", "/v1/link", "Transfer-Encoding: chunked")
    with raw(server, chunked) as connection:
        chunk = b"10000\r\n" + b"a" * (64 << 10) + b"\r\n"
        with contextlib.suppress(ConnectionError):
            for _ in range(4):
                connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    assert_others_are_served(server)


def test_many_slow_connections_leave_room_for_others(server: Served) -> None:
    """Connections that send their headers a byte at a time do not keep others from being served."""
    process_limits.allow_many_files()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(raw(server, b"GET /v1/hello HT")) for _ in range(SLOW)]
        assert_others_are_served(server)
        for connection in slow:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"T")
        assert_others_are_served(server)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with shorter times and fewer connections, by a `sitecustomize` of its own."""
    folder = tmp_path_factory.mktemp("hasty")
    times = "limits.HEADER_TIME, limits.BODY_PATIENCE, limits.READER_PATIENCE = 0.8, 0.8, 0.8"
    text = f"from nemorun_cli.serve import limits\n{times}\nlimits.MOST_CONNECTIONS = 4\n"
    (folder / "sitecustomize.py").write_text(text)
    with served(folder, environment={"PYTHONPATH": str(folder)}) as running:
        running.token = running.add_token()
        yield running


def test_headers_and_bodies_have_to_come_in_time(hasty: Served) -> None:
    """A connection whose headers or body do not come in time is closed; one that waits idly is not."""
    with raw(hasty, b"GET /v1/hello HTTP/1.1\r\n") as slow, raw(hasty) as silent:
        for connection in (slow, silent):
            with contextlib.suppress(ConnectionError):
                assert connection.recv(100) == b""
    kept = hasty.connect()
    assert hasty.ask("GET", "/v1/hello", connection=kept).status == http.client.OK
    own = kept.sock
    assert hasty.ask("GET", "/v1/hello", connection=kept).status == http.client.OK
    assert kept.sock is own
    kept.close()
    slow_body = head(hasty, "POST", "/v1/session", "Content-Length: 100")
    with raw(hasty, slow_body + b"{") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_the_oldest_idle_connection_makes_room(hasty: Served) -> None:
    """Beyond its number of connections, a server closes the one that has waited longest without a request."""
    for number in range(12):
        with contextlib.ExitStack() as stack:
            for _ in range(number):
                stack.enter_context(raw(hasty))
            assert hasty.ask("GET", "/v1/hello").status == http.client.OK


def test_a_client_that_does_not_read_is_dropped(hasty: Served) -> None:
    """A client that takes nothing of a large answer for some time does not keep its connection."""
    content = b"\0" * (32 << 20)
    checksum = hashlib.sha256(content).hexdigest()
    path = f"/v1/records/alice/large/.record/blobs/{checksum[:2]}/{checksum}"
    headers = {"Upload-Offset": "0", "Upload-Length": str(len(content))}
    stored = hasty.ask("PATCH", path, token=hasty.token, headers=headers, body=content)
    assert stored.status == http.client.OK
    with raw(hasty, head(hasty, "GET", path)) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        here = connection.getsockname()
        process = psutil.Process(hasty.process.pid)
        eventually(lambda: here not in {each.raddr for each in process.net_connections()})


def received(*parts: bytes, largest: int = 100, waits: float = 0.0) -> list[Message]:
    """What a bounded body passes on; after these parts the client sends nothing more."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

    async def receive() -> Any:
        await asyncio.sleep(waits)
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def read() -> list[Message]:
        body = BoundedBody(receive, largest=largest, stopping=asyncio.Event())
        return [await body.receive() for _ in range(len(parts) + 1)]

    return asyncio.run(read())


def test_a_body_that_stops_or_crawls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body without a byte for some time, or with few bytes for a long time, ends with 408."""
    monkeypatch.setattr(limits, "BODY_PATIENCE", 0.05)
    with pytest.raises(HTTPException) as stopped:
        received(b"a")
    assert stopped.value.status_code == 408
    with pytest.raises(HTTPException) as crawling:
        received(b"a", b"a", b"a", b"a", b"a", waits=0.03)
    assert crawling.value.status_code == 408
    with pytest.raises(HTTPException) as large:
        received(b"a" * 60, b"a" * 60)
    assert large.value.status_code == 413


def test_one_token_has_a_number_of_requests_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of one token beyond a number are refused with 429, and those of others are answered."""
    monkeypatch.setattr(limits, "MOST_REQUESTS", 3)
    site = Site(root=tmp_path, home=tmp_path / "home", dash_roots=(), own=tmp_path / ".server")
    app = make_app(site, hosts=())
    alice, bob = (app.state.access.tokens.add(name).secret for name in ("alice", "bob"))
    release = asyncio.Event()

    async def several() -> list[int]:
        waiting = [
            asyncio.create_task(ask(app, "POST", "/v1/link", headers=bearer(alice), until=release))
            for _ in range(3)
        ]
        for _ in range(10):  # each of them begins to wait for its body
            await asyncio.sleep(0)
        refused = await ask(app, "GET", "/v1/records/alice/a/.record", headers=bearer(alice))
        other = await ask(app, "GET", "/v1/records/alice/a/.record", headers=bearer(bob))
        release.set()
        await asyncio.gather(*waiting)
        again = await ask(app, "GET", "/v1/records/alice/a/.record", headers=bearer(alice))
        assert refused.header("retry-after") == "5"
        return [refused.status, other.status, again.status]

    assert asyncio.run(several()) == [429, 404, 404]


def bearer(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"authorization": f"Bearer {token}"}


def test_many_streams_leave_room_for_others(server: Served) -> None:
    """A user has a number of live streams, the rest is refused, and everybody is served meanwhile."""
    request = head(server, "GET", "/v1/live?topics=records", "Accept: text/event-stream")
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(raw(server, request)) for _ in range(STREAMS)]
        answers = [connection.recv(64) for connection in streams]
        assert_others_are_served(server)
    assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == live.MOST_STREAMS
    assert sum(answer.startswith(b"HTTP/1.1 429") for answer in answers) == STREAMS - live.MOST_STREAMS
