"""`GET /v1/live`: one stream of events for all that a tab shows, which continues where it was cut.

Each topic that anybody watches is looked at once a second for all streams. An event has as its id the
positions of all topics of its stream, so that `Last-Event-ID` is all that is needed to continue, on a
restarted server too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from nemorun_cli.errors import ExpError, NotFoundError, UsageError
from nemorun_cli.serve import live_topics
from nemorun_cli.serve.answers import json_answer
from nemorun_cli.serve.bounded_threads import BoundedThreads
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.index.cache_file import CacheLostError
from nemorun_cli.serve.index.index import index_of_state
from nemorun_cli.serve.json_bodies import json_object
from nemorun_cli.serve.live_topics import ListTopic
from nemorun_cli.serve.record_access import judge_of, may_read
from nemorun_cli.serve.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Send
    from starlette.types import Scope as AsgiScope

    from nemorun_cli.serve.caller import Caller
    from nemorun_cli.serve.live_topics import Topic
    from nemorun_cli.serve.site import Site

LIVE_FORMAT: Final = "exp.live/1"
MOST_TOPICS: Final = 20  # of one stream
MOST_STREAMS: Final = 32  # of one user
LOOK: Final = 1.0  # seconds between two looks
LOOKS: Final = 4  # threads for topics that are looked at quickly
SLOW_LOOKS: Final = 4  # threads for those of which many files are read
SLOW_LOOKS_OF_USER: Final = 2  # of these, for one user
HEARTBEAT: Final = 15.0  # seconds
PATIENCE: Final = 30.0  # seconds that a client may take nothing
MOST_LOOKS: Final = 50  # events of one topic in a row, before others have their turn


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints; both need the scope `read`."""
    del site
    return [
        Endpoint("/v1/live", ("GET",), _open, needs=Scope.READ),
        Endpoint("/v1/live/{stream}", ("POST",), _change, needs=Scope.READ, largest_body=1 << 16),
    ]


class TabStream:
    """What one tab watches."""

    def __init__(self, caller: Caller, positions: dict[str, Any]) -> None:
        self.id = secrets.token_urlsafe(16)
        self.caller = caller
        self.topics: dict[str, Topic] = {}
        self.positions = positions
        self.versions: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.reported: dict[str, str] = {}
        self.wake = asyncio.Event()
        self.end_reason: str | None = None

    def add(self, topic: Topic) -> None:
        """Watch a topic.

        Raises:
            UsageError: there are too many.
        """
        if topic.text not in self.topics and len(self.topics) >= MOST_TOPICS:
            raise UsageError(f"a stream has at most {MOST_TOPICS} topics")
        self.topics[topic.text] = topic

    def learn(self, text: str, version: str | ExpError) -> None:
        """Wake the stream if a topic has another version than before, or another problem."""
        if isinstance(version, str):
            self.errors.pop(text, None)
            self.reported.pop(text, None)
            if self.versions.get(text) != version:
                self.versions[text] = version
                self.wake.set()
        elif self.errors.get(text) != version.message:
            self.errors[text] = version.message
            self.wake.set()

    def end(self, reason: str) -> None:
        """End the stream, with the reason as its last event."""
        self.end_reason = reason
        self.wake.set()

    def to_json(self) -> dict[str, Any]:
        """The document `exp.live/1`."""
        return {
            "schema": LIVE_FORMAT,
            "stream": self.id,
            "topics": list(self.topics),
            "errors": dict(self.errors),
        }

    def remove(self, text: str) -> None:
        """Watch a topic no more."""
        for known in (self.topics, self.positions, self.versions, self.errors, self.reported):
            known.pop(text, None)


class Hub:
    """The streams of a server, and the tasks that look at their topics and their rights.

    Each topic is looked at in a thread, and none waits for another: one that is slow has its own events late.
    """

    def __init__(self, state: Any) -> None:
        self._state = state
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks: dict[Topic, asyncio.Task[None]] = {}
        self._quick = BoundedThreads(LOOKS, LOOKS)
        self._slow = BoundedThreads(SLOW_LOOKS, SLOW_LOOKS_OF_USER)
        self._rights = BoundedThreads(1, 1)
        self._now = asyncio.Event()
        self.streams: dict[str, TabStream] = {}

    def add(self, stream: TabStream) -> None:
        """Serve a stream."""
        self.streams[stream.id] = stream
        self._now.set()
        for name, work in (("topics", self._look_at_topics), ("rights", self._check_rights)):
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.get_running_loop().create_task(work())
                self._tasks[name].add_done_callback(self._ended)

    def look_now(self) -> None:
        """Look at new topics without waiting for the next turn."""
        self._now.set()

    def remove(self, stream: TabStream) -> None:
        """Forget a stream."""
        self.streams.pop(stream.id, None)
        self._now.set()

    async def tail(self, stream: TabStream, topic: Topic) -> dict[str, Any] | None:
        """What was appended to a topic since the position of a stream, which is moved; None for nothing."""
        position = stream.positions.get(topic.text)
        found, after = await self._slow.run(stream.caller.user, lambda: self._tail(topic, position))
        if topic.text in stream.topics:
            stream.positions[topic.text] = after
        return found

    def _tail(self, topic: Topic, position: Any) -> tuple[dict[str, Any] | None, Any]:
        try:
            return topic.tail(index_of_state(self._state), position)
        except (ExpError, OSError, CacheLostError):
            return None, position
        except Exception:  # noqa: BLE001 - a position that no server sent, or what no version of exp writes
            return None, None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End all streams if a task has failed; otherwise none is left."""
        if not task.cancelled() and task.exception() is not None:
            for stream in self.streams.values():
                stream.end("failed")

    async def _look_at_topics(self) -> None:
        while self.streams:
            self._now.clear()
            wanted = {topic: stream for stream in self.streams.values() for topic in stream.topics.values()}
            for topic, stream in wanted.items():
                if topic not in self._looks:
                    look = self._look(topic, stream.caller.user)
                    self._looks[topic] = asyncio.get_running_loop().create_task(look)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), LOOK)

    async def _look(self, topic: Topic, user: str) -> None:
        """Look at a topic once, and wake the streams for which it has changed."""
        try:
            threads = self._quick if topic.is_quick else self._slow
            version = await threads.run(user, lambda: self._version(topic))
        finally:
            del self._looks[topic]
        for stream in self.streams.values():
            if stream.topics.get(topic.text) == topic:
                stream.learn(topic.text, version)

    def _version(self, topic: Topic) -> str | ExpError:
        try:
            return topic.version(index_of_state(self._state))
        except ExpError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one topic must not end the others
            return NotFoundError(f"{topic.text}: {error}")

    async def _check_rights(self) -> None:
        """End the streams whose token was revoked, has expired, or cannot be checked."""
        while self.streams:
            callers = {stream.caller for stream in self.streams.values()}
            ended = await self._rights.run("", lambda callers=callers: self._without_rights(callers))  # type: ignore[misc] # bound now
            for stream in self.streams.values():
                if stream.caller in ended:
                    stream.end("unauthorized")
            await asyncio.sleep(LOOK)

    def _without_rights(self, callers: Collection[Caller]) -> set[Caller]:
        ended = set()
        for caller in callers:
            try:
                is_current = self._state.access.is_current(caller)
            except Exception:  # noqa: BLE001 - what cannot be checked is none
                is_current = False
            if not is_current:
                ended.add(caller)
        return ended


def hub_of(request: Request) -> Hub:
    """The hub of the server that answers a request."""
    state = request.app.state
    if not hasattr(state, "hub"):
        state.hub = Hub(state)
    hub: Hub = state.hub
    return hub


async def _open(request: Request) -> Response:
    """Open a stream."""
    hub = hub_of(request)
    caller: Caller = request.state.caller
    texts = [text for value in request.query_params.getlist("topics") for text in value.split(",") if text]
    if sum(stream.caller.user == caller.user for stream in hub.streams.values()) >= MOST_STREAMS:
        message = f"{caller.user} has {MOST_STREAMS} streams open"
        return refusal(429, "too_many_streams", message, headers={"Retry-After": "10"})
    stream = TabStream(caller, live_topics.decoded(request.headers.get("last-event-id")))
    _subscribe(request, stream, texts)
    return EventStream(hub, stream)


def _subscribe(request: Request, stream: TabStream, texts: Sequence[str]) -> None:
    """Watch topics.

    Raises:
        NotFoundError: the caller may not read one; those that do not exist yet may appear.
        UsageError: one is no topic, or they are too many.
    """
    for text in texts:
        topic = live_topics.parse(text)
        if topic.prefix is not None and not may_read(request, topic.prefix):
            stream.errors[text] = f"there is no {text!r}"
            continue
        if isinstance(topic, ListTopic) and (judge := judge_of(request)) is not None:
            topic = ListTopic(text, user=stream.caller.user, judge=judge)
        stream.add(topic)


async def _change(request: Request) -> Response:
    """Subscribe to topics on an open stream, or unsubscribe."""
    hub = hub_of(request)
    stream = hub.streams.get(str(request.path_params["stream"]))
    if stream is None or stream.caller != request.state.caller:
        raise NotFoundError("there is no such stream", hint="open one: GET /v1/live?topics=…")
    try:
        body = await json_object(request)
        removed, added = (_texts(body.get(name, [])) for name in ("unsubscribe", "subscribe"))
        positions = _positions(body.get("positions", {}))
    except ValueError as error:
        raise UsageError(f"the body is not {{subscribe: […], unsubscribe: […]}}: {error}") from error
    for text in removed:
        stream.remove(text)
    stream.positions |= {text: positions[text] for text in added if text in positions}
    _subscribe(request, stream, added)
    stream.wake.set()
    hub.look_now()
    return json_answer(request, stream.to_json())


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("topics are texts")
    return value


def _positions(value: Any) -> dict[str, Any]:
    if not live_topics.are_positions(value):
        raise ValueError("positions are those of the events' ids")
    positions: dict[str, Any] = value
    return positions


class EventStream(Response):
    """The answer that sends events until the client leaves, the token ends, or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, stream: TabStream) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._stream = stream

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer."""
        del scope
        self._hub.add(self._stream)
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send(send, _event("open", self._stream.to_json()))
            await self._serve(leaving, send)
        finally:
            leaving.cancel()
            self._hub.remove(self._stream)

    async def _serve(self, leaving: asyncio.Future[None], send: Send) -> None:
        stream = self._stream
        while not leaving.done():
            waking = asyncio.ensure_future(stream.wake.wait())
            await asyncio.wait((leaving, waking), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            if leaving.done():
                return
            if not stream.wake.is_set():
                await _send(send, b": alive\n\n")
                continue
            stream.wake.clear()
            if stream.end_reason is not None:
                await _send(send, _event("end", {"reason": stream.end_reason}))
                return
            await self._send_changes(send)

    async def _send_changes(self, send: Send) -> None:
        stream = self._stream
        for text, message in list(stream.errors.items()):
            if stream.reported.get(text) == message:
                continue
            stream.reported[text] = message
            await _send(send, _event("problem", {"topic": text, "message": message}))
        for text, topic in list(stream.topics.items()):
            version = stream.versions.get(text)
            if version is None:
                continue
            if not topic.has_tail:
                if stream.positions.get(text) != version:
                    stream.positions[text] = version
                    await self._send(send, "change", {"topic": text, "version": version})
                continue
            for _ in range(MOST_LOOKS):
                found = await self._hub.tail(stream, topic)
                if found is None:
                    break
                await self._send(send, "tail", {"topic": text, "version": version, **found})
            else:
                stream.wake.set()

    async def _send(self, send: Send, kind: str, data: dict[str, Any]) -> None:
        known = {
            text: self._stream.positions[text]
            for text in self._stream.topics
            if text in self._stream.positions
        }
        await _send(send, _event(kind, data, identity=live_topics.encoded(known)))


def _event(kind: str, data: dict[str, Any], *, identity: str | None = None) -> bytes:
    head = f"id: {identity}\n" if identity is not None else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")


async def _send(send: Send, body: bytes) -> None:
    """Send a part of the answer.

    Raises:
        ClientDisconnect: the client takes nothing.
    """
    message = {"type": "http.response.body", "body": body, "more_body": True}
    try:
        await asyncio.wait_for(send(message), PATIENCE)
    except TimeoutError:
        raise ClientDisconnect from None


async def _left(receive: Receive) -> None:
    """Return once the client has left, or the server stops."""
    while (await receive())["type"] != "http.disconnect":
        pass
