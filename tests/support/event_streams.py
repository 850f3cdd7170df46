"""A reader of a live stream, as a tab is one."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.served import Served

PATIENCE: Final = 20.0  # seconds for an event


class Tab:
    """A stream that is read in a thread: its events, and the id of the last one."""

    def __init__(
        self, server: Served, topics: Sequence[str], *, token: str = "", last: str | None = None
    ) -> None:
        self._connection = server.connect()
        query = "&".join(f"topics={quote(topic, safe='')}" for topic in topics)
        headers = {"Authorization": f"Bearer {token or server.token}"}
        if last is not None:
            headers["Last-Event-ID"] = last
        self._connection.request("GET", f"/v1/live?{query}", headers=headers)
        self.answer = self._connection.getresponse()
        self.last = last
        self.count = 0  # of changes so far
        self.kinds: list[str] = []  # of all events so far
        self._events: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.id = ""
        if self.answer.status == 200:
            assert self.answer.headers["content-type"].startswith("text/event-stream")
            self._thread.start()
            self.opened = self.next("open")
            self.id = self.opened["stream"]

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while line := self.answer.readline():
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(": ")
                    fields[name] = value
                elif "event" in fields:
                    self._events.put((fields["event"], json.loads(fields["data"]), fields.get("id")))  # type: ignore[arg-type]
                    fields = {}
                else:
                    fields = {}
        self._events.put(None)

    def next(self, kind: str, accept: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next event of a kind that is accepted; others are passed over."""
        while True:
            event = self._events.get(timeout=PATIENCE)
            assert event is not None, f"the stream ended before an event {kind}"
            found, data, identity = event  # type: ignore[misc]
            self.last = identity or self.last
            self.count += found == "change"
            self.kinds.append(found)
            if found == kind and accept(data):
                return data

    def ends(self) -> None:
        """Wait until the stream has ended."""
        while self._events.get(timeout=PATIENCE) is not None:
            pass
        self.close()

    def close(self) -> None:
        """Leave."""
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.answer.close()
        self._connection.close()
        self._thread.join(PATIENCE) if self._thread.ident else None
