"""Requests to an ASGI application in the test's own process, thousands of them in a second."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message

HOST = "127.0.0.1:8300"


class Reply(NamedTuple):
    """An answer: its headers have names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The value of a header; None without it."""
        return dict(self.headers).get(name)


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    client: str = "127.0.0.1",
    until: asyncio.Event | None = None,
) -> Reply:
    """The answer to one request, as a server would pass it on.

    Args:
        app: the application.
        method: such as `GET`.
        target: the path, percent-encoded, and the query.
        headers: more headers; names in lower case.
        body: of the request.
        client: its address.
        until: when the body arrives; at once by default.
    """
    raw, _, query = target.partition("?")
    named = {"host": HOST, "content-length": str(len(body)), **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
        "client": (client, 1),
        "server": ("127.0.0.1", 8300),
    }
    sent: list[Message] = []
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()
        is_read = True
        if until is not None:
            await until.wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    pairs = [(name.decode().lower(), value.decode("latin-1")) for name, value in sent[0].get("headers", ())]
    return Reply(sent[0]["status"], pairs, b"".join(part.get("body", b"") for part in sent[1:]))
