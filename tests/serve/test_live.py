"""The live stream of a tab, on a real server: what it announces, how it continues, and when it ends."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from starlette.requests import ClientDisconnect
from support.event_streams import Tab
from support.extent import amount
from support.served import Served, served
from support.view_sites import TIME, collector, replica

from nemorun_cli.serve import live, live_topics
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.index.index import Index
from nemorun_cli.serve.index.record_index import root_id
from nemorun_cli.serve.live import MOST_STREAMS, MOST_TOPICS
from nemorun_cli.serve.live_topics import ListTopic, RecordTopic, Topic
from nemorun_cli.serve.site import Site
from nemorun_cli.serve.tokens import Tokens
from nemorun_cli.tracking.store.json_values import dump, encode_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPENING = "0001-x-1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that collects."""
    with served(tmp_path_factory.mktemp("live")) as running:
        running.token = running.add_token()
        yield running


class Sent:
    """A record that is sent to a server."""

    def __init__(self, server: Served, prefix: str, token: str = "") -> None:
        self.server = server
        self.prefix = prefix
        self.token = token or server.token
        self.sizes: dict[str, int] = {}
        facts = {"event": "opened", "format": "exp.record/1", "time": TIME, "prefix": prefix}
        self.append(f"openings/{OPENING}.jsonl", f"{dump({**facts, 'host': 'far', 'pid': 1})}\n".encode())

    def append(self, path: str, data: bytes) -> None:
        """Append to a file."""
        offset = self.sizes.get(path, 0)
        answer = self.server.ask(
            "PATCH",
            f"/v1/records/{self.prefix}/.record/{path}",
            token=self.token,
            body=data,
            headers={"Upload-Offset": str(offset)},
        )
        assert answer.status == 200, answer.body
        self.sizes[path] = offset + len(data)

    def log(self, first: int, end: int, *, opening: str = OPENING) -> None:
        """Append rows of the metric `m`."""
        rows = b"".join(
            encode_row(1000.0 + step, {"step": step, "loss": step / 8}) for step in range(first, end)
        )
        self.append(f"metrics/m/{opening}.jsonl", rows)

    def curve(self) -> Any:
        """The curve of the metric."""
        path = f"/v1/views/records/{self.prefix}/.record/curve?key=m/loss"
        return self.server.ask("GET", path, token=self.token).json["curves"][0]


def test_a_list_is_announced_when_it_changes(server: Served) -> None:
    """A tab that shows the list gets an event for a new record within two seconds."""
    tab = Tab(server, ["records", "experiments"])
    first = tab.next("change", lambda data: data["topic"] == "records")
    begin = time.monotonic()
    Sent(server, "alice/list/new")
    second = tab.next("change", lambda data: data["topic"] == "records")
    assert second["version"] != first["version"]
    assert time.monotonic() - begin < 5
    tab.close()


def test_a_stream_continues_where_it_was_cut(tmp_path: Path) -> None:
    """With the id of the last event, a new stream has each later row once, also on a restarted server."""
    with served(tmp_path) as server:
        server.token = server.add_token()
        sent = Sent(server, "alice/cut/a")
        sent.log(0, 10)
        curve = sent.curve()
        topic = "curve:alice/cut/a?key=m/loss"
        tab = Tab(server, [topic], last=json.dumps({topic: curve["position"]}))
        sent.log(10, 20)
        steps = [*curve["x"], *tab.next("tail", lambda data: data["points"]["step"])["points"]["step"]]
        tab.close()
        sent.log(20, 30)
    with served(tmp_path) as server:
        server.token = server.add_token()
        sent.server, sent.token = server, server.token
        again = Tab(server, [topic], last=tab.last)
        steps += again.next("tail", lambda data: data["points"]["step"])["points"]["step"]
        sent.log(30, 31)
        steps += again.next("tail", lambda data: data["points"]["step"])["points"]["step"]
        again.close()
    assert steps == [*range(31)]


def test_a_later_attempt_resets_a_curve(server: Served) -> None:
    """Once rows that a tab has are superseded, it gets a reset: the curve has to be read again."""
    sent = Sent(server, "alice/reset/a")
    sent.log(0, 10)
    topic = "curve:alice/reset/a?key=m/loss"
    tab = Tab(server, [topic], last=json.dumps({topic: sent.curve()["position"]}))
    second = OPENING.replace("0001", "0002")
    facts = {"event": "opened", "format": "exp.record/1", "time": TIME, "prefix": "alice/reset/a"}
    sent.append(f"openings/{second}.jsonl", f"{dump({**facts, 'host': 'far', 'pid': 2})}\n".encode())
    sent.log(5, 6, opening=second)
    assert tab.next("tail")["reset"] is True
    assert sent.curve()["x"] == [*range(6)]
    tab.close()


def test_topics_are_changed_on_an_open_stream(server: Served) -> None:
    """A tab subscribes and unsubscribes without a new stream; nobody else can do it for them."""
    tab = Tab(server, [])
    sent = Sent(server, "alice/topics/a")
    path = f"/v1/live/{tab.id}"
    body = json.dumps({"subscribe": ["record:alice/topics/a"]})
    assert server.ask("POST", path, token=server.add_token("bob"), body=body).status == 404
    assert server.ask("POST", path, token=server.token, body=body).json["topics"] == ["record:alice/topics/a"]
    tab.next("change")
    sent.log(0, 1)
    tab.next("change", lambda data: data["topic"] == "record:alice/topics/a")
    body = json.dumps({"unsubscribe": ["record:alice/topics/a"], "subscribe": ["records"]})
    assert server.ask("POST", path, token=server.token, body=body).json["topics"] == ["records"]
    odd = json.dumps({"subscribe": ["curve:alice/topics/a?key=\ud800"]})  # not Unicode
    assert server.ask("POST", path, token=server.token, body=odd).status == 400
    many = json.dumps({"subscribe": [f"record:alice/r{number}" for number in range(MOST_TOPICS)]})
    assert server.ask("POST", path, token=server.token, body=many).status == 400
    for wrong in ("[]", "x", '{"subscribe": 1}', '{"subscribe": ["nothing"]}'):
        assert server.ask("POST", path, token=server.token, body=wrong).status == 400
    tab.close()


@pytest.mark.parametrize(
    "position",
    [-1, 1.5, True, None, [1], 1 << 70, {"x": 1}, {"x": [1]}, {"x": [1, -1]}, {"x": ["a", "b"]}, {"x": {}}],
)
def test_what_is_no_position_is_refused(server: Served, position: Any) -> None:
    """A position of a form that no event has is a 400 in a body, and is none in `Last-Event-ID`."""
    tab = Tab(server, [])
    topic = "curve:alice/positions/a?key=loss"
    body = json.dumps({"subscribe": [topic], "positions": {topic: position}})
    assert server.ask("POST", f"/v1/live/{tab.id}", token=server.token, body=body).status == 400
    assert live_topics.decoded(json.dumps({topic: position})) == {}
    tab.close()


@pytest.mark.parametrize(
    "topic",
    [
        "record:a\0b", "record:../a", "record:/a", "record:\ud800", "curve:a/../../b?key=x", "experiment:a/b",
        "experiment:../../x", "log:a/b/t_1?task=../../x", "log:a/b/t_1?task=/etc", "log:a/b/t_1?task=%00",
        "log:a/b/t_1", "log:a/b/t_1?task=x&attempt=-1", "log:a/b/t_1?task=x&stream=mark", "x" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_topic_is_refused(server: Served, topic: str) -> None:
    """A topic that would leave its folder, or has another form, is a 400 and reaches no file."""
    tab = Tab(server, [])
    body = json.dumps({"subscribe": [topic]})
    assert server.ask("POST", f"/v1/live/{tab.id}", token=server.token, body=body).status == 400
    tab.close()


def test_a_revoked_token_ends_its_streams(server: Served) -> None:
    """A stream that is open when its token is revoked ends with the reason; those of others continue."""
    secret = server.add_token("carol")
    tab, other = Tab(server, ["records"], token=secret), Tab(server, ["records"])
    Tokens(server.own).revoke(["carol"])
    assert tab.next("end") == {"reason": "unauthorized"}
    tab.ends()
    Sent(server, "alice/revoked/after")
    other.next("change", lambda data: data["topic"] == "records")
    other.close()


def test_a_private_server_announces_nothing_of_others(tmp_path: Path) -> None:
    """A topic that the token may not read is like one that does not exist, and its list does not move."""
    with served(tmp_path, "--private") as server:
        server.token = server.add_token()
        sent = Sent(server, "alice/private/a")
        bob = Tab(server, ["record:alice/private/a", "records"], token=server.add_token("bob"))
        assert list(bob.opened["errors"]) == ["record:alice/private/a"]
        first = bob.next("change")
        assert first["topic"] == "records"
        alice = Tab(server, ["records"])
        known = alice.next("change")
        sent.log(0, 5)
        Sent(server, "alice/private/b")
        assert alice.next("change") != known
        token = server.add_token("bob")
        Sent(server, "bob/own", token=token)
        second = bob.next("change")
        listed = server.ask("GET", "/v1/views/records", token=token).json
        assert (second["topic"], listed["total"]) == ("records", 1)
        assert bob.last == json.dumps({"records": second["version"]}, separators=(",", ":"))
        assert bob.count == 2
        alice.close()
        bob.close()


def test_many_tabs_do_not_hold_up_others(server: Served) -> None:
    """With as many tabs as there may be, another user's requests are answered within a second."""
    tabs: list[Tab] = []
    for number in range(amount(2, long=35)):
        token = server.add_token(f"user{number}")
        tabs += [Tab(server, ["records"], token=token) for _ in range(amount(25, long=MOST_STREAMS))]
        if number == 0:
            more = [Tab(server, [], token=token) for _ in range(MOST_STREAMS + 1 - len(tabs))]
            assert [tab.answer.status for tab in more][-1] == 429
            for tab in more:
                tab.close()
    begin = time.monotonic()
    Sent(server, "alice/many/tabs")
    assert server.ask("GET", "/v1/views/records?limit=10", token=server.token).status == 200
    assert time.monotonic() - begin < 1
    for tab in tabs:
        tab.next("change")
    for tab in tabs:
        tab.close()


def test_a_tab_that_reads_nothing_costs_nothing(server: Served) -> None:
    """A stream that is not read does not keep others from their events, and the server ends nevertheless."""
    sent = Sent(server, "alice/slow/a")
    connection = server.connect()
    topic = "curve%3Aalice/slow/a%3Fkey=m/loss"
    headers = {"Authorization": f"Bearer {server.token}"}
    connection.request("GET", f"/v1/live?topics={topic}", headers=headers)
    tab = Tab(server, ["record:alice/slow/a"])
    for number in range(5):
        tab.next("change")
        sent.log(number * 2000, number * 2000 + 2000)
    connection.close()
    tab.close()


def test_a_reader_that_takes_nothing_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes nothing for the patience of a stream is disconnected, and forgotten."""
    monkeypatch.setattr(live, "PATIENCE", 0.05)
    state = make_app(collector(tmp_path), hosts=["testserver"]).state
    hub = live.Hub(state)
    stream = live.TabStream(state.access.tokens.add("alice").token.caller, {})
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if len(sent) > 1:
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        asyncio.run(live.EventStream(hub, stream)({}, receive, send))
    assert (sent, hub.streams) == (["http.response.start", "http.response.body"], {})


def test_a_stopped_server_ends_its_streams_at_once(tmp_path: Path) -> None:
    """Open streams do not hold up the end of a server."""
    with served(tmp_path) as server:
        server.token = server.add_token()
        tabs = [Tab(server, ["records"]) for _ in range(5)]
        begin = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - begin < 5
        for tab in tabs:
            tab.ends()


def test_a_log_is_followed_without_gaps(tmp_path: Path) -> None:
    """A tab has each byte of a growing log once, although it reconnects while the log grows."""
    folder = tmp_path / "root/.experiments/alice/far-0a1b2c3d/experiments/t/t_1"
    attempt = folder / "tasks/a/attempt-1"
    attempt.mkdir(parents=True)
    (folder / "ledger.jsonl").write_text("")
    log = attempt / "log"
    log.write_text("begin\n")
    expected = "begin\n" + "".join(f"line {number} ü\n" for number in range(150))
    with served(tmp_path) as server:
        server.token = server.add_token()
        topic = "log:alice/far-0a1b2c3d/t_1?task=a&attempt=1&from=0"

        def grow() -> None:
            with log.open("ab", buffering=0) as stream:
                for number in range(150):
                    data = f"line {number} ü\n".encode()
                    stream.write(data[:-2])
                    stream.write(data[-2:])
                    time.sleep(0.005)

        thread = threading.Thread(target=grow)
        thread.start()
        text, last = "", None
        while text != expected:
            tab = Tab(server, [topic], last=last)
            text += tab.next("tail", lambda data: data["text"])["text"]
            last = tab.last
            tab.close()
            assert expected.startswith(text)
        thread.join()


@dataclass(frozen=True, slots=True)
class SlowTopic(Topic):
    """A topic at which nobody can look before an event."""

    ready: threading.Event = field(default_factory=threading.Event)
    is_quick: ClassVar[bool] = False

    def version(self, index: Any) -> str:
        """The version."""
        del index
        assert self.ready.wait(60)
        return "1"


@dataclass(frozen=True, slots=True)
class BrokenTopic(Topic):
    """A topic with an error that nobody expects."""

    def version(self, index: Any) -> str:
        """The version."""
        del index
        raise ZeroDivisionError("of the test")

    def tail(self, index: Any, position: Any) -> tuple[dict[str, Any] | None, Any]:
        """What was appended."""
        del index
        raise ValueError(position)


def test_no_topic_delays_or_ends_what_others_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While topics of a user are slow, and one is broken, others have their events, revoked streams end."""
    monkeypatch.setattr(live, "LOOK", 0.02)
    state = make_app(collector(tmp_path), hosts=["testserver"]).state
    replica(tmp_path, "bob/a")
    ready = threading.Event()
    streams = {
        name: live.TabStream(state.access.tokens.add(name).token.caller, {})
        for name in ("alice", "bob", "carol")
    }
    for number in range(MOST_TOPICS):
        streams["alice"].add(SlowTopic(f"slow{number}", ready=ready))
    for topic in (ListTopic("records"), RecordTopic("record:bob/a", "bob/a"), BrokenTopic("broken")):
        streams["bob"].add(topic)
    streams["carol"].add(SlowTopic("slow0", ready=ready))

    async def until(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - conditions of several kinds
                await asyncio.sleep(0.01)

    async def watch() -> None:
        hub = live.Hub(state)
        for stream in streams.values():
            hub.add(stream)
        bob = streams["bob"]
        await until(lambda: bob.versions.keys() == {"records", "record:bob/a"} and "broken" in bob.errors)
        before = dict(bob.versions)
        replica(tmp_path, "bob/a", end="FAILED", opening="0002-x-1")
        state.changes.record("bob/a", "openings/0002-x-1.jsonl")
        await until(lambda: not before.items() & bob.versions.items())
        state.access.tokens.revoke(["carol"])
        await until(lambda: streams["carol"].end_reason == "unauthorized")
        assert await hub.tail(bob, BrokenTopic("broken")) is None
        assert (bob.end_reason, streams["alice"].versions) == (None, {})
        ready.set()
        await until(lambda: len(streams["alice"].versions) == MOST_TOPICS)
        for stream in streams.values():
            hub.remove(stream)

    try:
        asyncio.run(watch())
    finally:
        ready.set()
    state.index.close()


def test_a_problem_is_sent_once(server: Served) -> None:
    """A tab has one event about a topic that does not exist, and not one with each change."""
    sent = Sent(server, "alice/once/a")
    tab = Tab(server, ["record:alice/once/none", "record:alice/once/a"])
    assert tab.next("problem")["topic"] == "record:alice/once/none"
    for number in range(3):
        sent.log(number, number + 1)
        tab.next("change")
    assert tab.kinds.count("problem") == 1
    tab.close()


def test_a_curve_has_another_version_with_another_opening(tmp_path: Path) -> None:
    """An opening without rows yet can supersede others: it changes the version of a curve."""
    replica(tmp_path, "alice/a", rows={"m": [{"loss": 1.0}]})
    index = Index(collector(tmp_path))
    topic = live_topics.parse("curve:alice/a?key=m/loss")
    before = topic.version(index)
    assert topic.version(index) == before
    replica(tmp_path, "alice/a", opening="0002-x-1")
    assert topic.version(index) != before
    index.close()


def test_a_curve_is_that_of_its_root(tmp_path: Path) -> None:
    """Of two folders with a record of one prefix, a topic with `root` is about the one that it names."""
    roots = [tmp_path / "a", tmp_path / "b"]
    for number, root in enumerate(roots):
        replica(root, "alice/a", rows={"m": [{"loss": float(number)}] * (number + 1)})
    own = tmp_path / "own"
    own.mkdir()
    index = Index(Site(root=None, home=tmp_path / "home", dash_roots=tuple(roots), own=own))
    for number, root in enumerate(roots):
        topic = live_topics.parse(f"curve:alice/a?key=m/loss&root={root_id(str(root))}")
        assert topic.version(index)
        _, position = topic.tail(index, None)
        points, _ = topic.tail(index, {name: [0, 0] for name in position})
        assert points is not None
        assert points["points"]["value"] == [float(number)] * (number + 1)
    index.close()
