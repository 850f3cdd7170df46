"""ML-Dash's API, request by request: what its clients' faults and its own traps must not do."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.extent import amount
from support.ml_dash_collector import Collector
from support.served import served
from support.small_disks import full, mounted

from nemorun_cli.errors import InvalidValueError, NotFoundError
from nemorun_cli.replication import ml_dash_rows
from nemorun_cli.serve.mldash import addresses, body_elements, held_records, node_ids
from nemorun_cli.serve.mldash.body_elements import JsonBody
from nemorun_cli.serve.mldash.held_records import ApiSender, HeldRecords
from nemorun_cli.serve.mldash.node_ids import NodeId, NodeKind
from nemorun_cli.tracking.store import sessions

WRONG = "exp_wrong"
WHO = ApiSender("alice", "192.0.2.1")
PROJECTS = "query GetProject($namespace: String!) { namespace(slug: $namespace) { projects { id slug } } }"


@pytest.fixture
def opened(collector: Collector, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A new record: its prefix and the address of its experiment."""
    prefix = f"alice/wire/{request.node.name.partition('[')[0]}-{time.monotonic_ns()}"
    return prefix, f"/api/experiments/{collector.open(prefix)[0]}"


def rows(collector: Collector, prefix: str, name: str | None = "m") -> list[dict[str, Any]]:
    """The rows of a metric, without their times."""
    read = collector.data(prefix).metrics(name).read(attempts="all")
    return [{key: row[key] for key in row if not key.startswith("_")} for row in read]


def points(*values: float, begin: float = 1000.0) -> dict[str, Any]:
    """A body with data points."""
    return {"dataPoints": [{"v": value, "_ts": begin + index} for index, value in enumerate(values)]}


def test_a_batch_that_is_sent_again_is_stored_once(collector: Collector, opened: tuple[str, str]) -> None:
    """A body or rows that were stored add nothing; equal rows of one body are all stored."""
    prefix, base = opened
    twice = {"dataPoints": [*points(1, 2)["dataPoints"], *points(1)["dataPoints"]]}
    stored = [
        collector.ask("POST", f"{base}/metrics/m/append-batch", body).json["stored"]
        for body in (twice, twice, points(1, 2, 3), points(2, 3, begin=1001.0))
    ]
    assert stored == [3, 0, 1, 0]
    assert [row["v"] for row in rows(collector, prefix)] == [1, 2, 1, 3]


def test_logs_and_tracks_that_are_sent_again_are_stored_once(
    collector: Collector, opened: tuple[str, str]
) -> None:
    """The rule for metrics holds for logs and tracks."""
    prefix, base = opened
    line = {"timestamp": "2026-01-02T03:04:05.678901Z", "level": "warning", "message": "m", "metadata": None}
    entry = {"timestamp": 5.5, "q": [1, 2]}
    for _ in range(2):
        assert collector.ask("POST", f"{base}/logs", {"logs": [line]}).status == 200
        assert collector.ask("POST", f"{base}/tracks/a%2Fb/append_batch", {"entries": [entry]}).status == 200
    (read,) = collector.data(prefix).logs.read()
    assert (read["_ts"], read["level"], read["message"]) == (1767323045.678901, "warn", "m")
    assert collector.data(prefix).tracks("a/b").list_entries() == [entry]


def test_a_server_that_restarts_continues_a_record_without_loss_or_doubling(tmp_path: Path) -> None:
    """After kill -9 the batch that was being sent is stored once, in the same opening."""
    with served(tmp_path) as first:
        before = Collector(first, tmp_path / "root", first.add_token("alice"))
        experiment, node = before.open("alice/p/run")
        path = f"/api/experiments/{experiment}/metrics/m/append-batch"
        before.ask("POST", path, points(1, 2, 3))
        first.process.kill()
        first.process.wait()
    (rows_file,) = (tmp_path / "root/alice/p/run/.record/metrics/m").glob("*.jsonl")
    with rows_file.open("ab") as stream:
        stream.write(b'{"_ts":1003.0,"v":')  # what a crash leaves of a batch without an answer
    files = {rows_file}
    with served(tmp_path) as second:
        after = Collector(second, tmp_path / "root", before.token)
        assert after.ask("POST", path, points(1, 2, 3)).json["stored"] == 0
        assert after.ask("POST", path, points(1, 2, 3, 4, 5)).json["stored"] == 2
        assert after.ask("PATCH", f"/api/nodes/{node}", {"status": "COMPLETED"}).status == 200
        assert [row["v"] for row in rows(after, "alice/p/run")] == [1, 2, 3, 4, 5]
        assert [str(each.status) for each in after.record("alice/p/run").openings] == ["COMPLETED"]
        assert set(rows_file.parent.glob("*.jsonl")) == files


def test_a_batch_on_a_full_disk_is_stored_once_it_has_space(tmp_path: Path) -> None:
    """The answer is 507, which clients try again; no partial row stays, and reads still work."""
    with mounted(tmp_path / "root", kib=4096), served(tmp_path) as running:
        there = Collector(running, tmp_path / "root", running.add_token("alice"))
        path = f"/api/experiments/{there.open('alice/p/run')[0]}/metrics/m"
        there.ask("POST", f"{path}/append-batch", points(1, 2))
        more = points(*range(3, 2000), begin=5000.0)
        with full(tmp_path / "root"):
            assert there.ask("POST", f"{path}/append-batch", more).status == 507
            assert len(there.ask("GET", f"{path}/data").json["data"]) == 2
        assert there.ask("POST", f"{path}/append-batch", more).json["stored"] == 1997
        assert [row["v"] for row in rows(there, "alice/p/run")] == list(range(1, 2000))


def test_good_rows_of_a_batch_are_stored_and_the_others_reported(
    collector: Collector, opened: tuple[str, str]
) -> None:
    """A row that cannot be stored refuses no batch: the answer is 200, and the log has the reason."""
    prefix, base = opened
    long, deep = b"9" * 5000, b"[" * 200 + b"]" * 200
    body = (
        b'{"dataPoints":[{"v":1,"_ts":1.0},7,{"v":%b,"_ts":2.0},{"v":%b,"_ts":3.0},' % (long, deep)
        + b'{"":1,"_ts":4.0},{"v":2,"_ts":"soon"},{"v":NaN,"w":-Infinity,"_ts":5.0}]}'
    )
    answer = collector.ask("POST", f"{base}/metrics/m/append-batch", body)
    assert (answer.status, answer.json["count"], answer.json["rejected"]) == (200, 2, 5)
    assert [reason["index"] for reason in answer.json["reasons"]] == [1, 2, 3, 4, 5]
    first, last = rows(collector, prefix)
    assert first == {"v": 1}
    assert math.isnan(last["v"])
    assert last["w"] == -math.inf
    (line,) = collector.data(prefix).logs.read()
    assert line["level"] == "error"
    assert "did not store 5 of 7 rows of metric 'm'" in line["message"]


def test_a_name_that_no_stream_can_have_refuses_no_request(
    collector: Collector, opened: tuple[str, str]
) -> None:
    """The rows of a metric with a name of 300 bytes are reported, not refused."""
    prefix, base = opened
    answer = collector.ask("POST", f"{base}/metrics/{'x' * 300}/append-batch", points(1))
    assert (answer.status, answer.json["rejected"]) == (200, 1)
    assert "too long" in collector.data(prefix).logs.read()[0]["message"]


def test_params_that_cannot_be_set_end_no_program(collector: Collector, opened: tuple[str, str]) -> None:
    """The other params of the call are set, and the log has the reason."""
    prefix, base = opened
    data = {"lr": 0.1, "a..b": 1, "model": 5, "model.depth": 2, "none": None, "empty": {}}
    answer = collector.ask("POST", f"{base}/parameters", {"data": data})
    assert (answer.status, answer.json["rejected"]) == (200, 2)
    assert collector.data(prefix).params.get() == {"lr": 0.1, "model.depth": 2, "none": None, "empty": {}}
    assert "did not set 2 of 6 params" in collector.data(prefix).logs.read()[0]["message"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("train/x/append-batch", "train/x"),
        ("sp%20ace/append-batch", "sp ace"),
        ("%C3%BC/append-batch", "ü"),
        ("q?x/append-batch", "q?x"),
        ("h", "h"),
        ("None/append-batch", None),
        ("a/append/append-batch", "a/append"),
        ("%2e%2e/append-batch", ".."),
        ("a%00b/append-batch", "a\0b"),
    ],
)
def test_names_of_metrics_are_taken_as_they_come(
    collector: Collector, opened: tuple[str, str], path: str, name: str | None
) -> None:
    """The clients do not quote the names of metrics; whatever a name is, its rows are in that metric."""
    prefix, base = opened
    answer = collector.ask("POST", f"{base}/metrics/{path}", points(1))
    assert (answer.status, answer.json["stored"]) == (200, 1)
    assert rows(collector, prefix, name) == [{"v": 1}]


def test_addresses_are_read_from_their_raw_form() -> None:
    """A topic keeps its empty parts, and what is read of a metric with a question mark is found."""
    assert addresses.parsed("tracks/%2Fodd%2F%2Ft/data?format=json") == ("tracks", "/odd//t", "data")
    assert addresses.parsed("metrics/q?x/stats") == ("metrics", "q?x", "stats")
    assert addresses.parsed("metrics/a/b/data?startIndex=1") == ("metrics", "a/b", "data")
    assert addresses.parsed("metrics") == ("metrics", None, None)
    assert addresses.parsed("metrics/a/chunks/0") == ("metrics", "a", "chunks/0")


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_a_body_is_read_in_any_pieces(size: int) -> None:
    """Elements and other values are the same however the body arrives."""
    content = {
        "a": [1, 'ü"]}', None],
        "rows": [*range(300), {"x": "," * 300}, [], -1.5e300, "é"],
        "z": {"k": [2]},
    }
    text = json.dumps(content, ensure_ascii=False, indent=size or None).encode()

    class Pieces(io.BytesIO):
        def read(self, count: int | None = -1) -> bytes:
            return super().read(min(count or 0, size) if size else count)

    body = JsonBody(Pieces(text), "rows")
    assert list(body.elements()) == content["rows"]
    assert body.others == {"a": content["a"], "z": content["z"]}


PLAIN = [1, -2.5, 1e300, True, None, "", "a", "Night", "é", "\U0001f600", 'x"y', "},{", 10**30]
CLOSE = [math.nan, math.inf, "NaN", "-Infinity", "$text", [1], {"a": 1}, "\ud800", "[", "{"]


def test_rows_that_are_encoded_at_once_are_the_same_lines() -> None:
    """Many data points are encoded as each alone, or not at once; plain ones are at once."""
    chance = random.Random(7)  # noqa: S311 - for repeatable values
    at_once = 0
    for _ in range(amount(300, long=30_000)):
        values = PLAIN if chance.random() < 0.7 else [*PLAIN, *CLOSE]
        names = ["v", "loss", "NaN", "$", "a b"] if chance.random() < 0.9 else ["v", "", 'x"']
        points: list[Any] = [
            {chance.choice(names): chance.choice(values), "_ts": 1000.0 + chance.random(), "w": 1.5}
            for _ in range(chance.randrange(5))
        ]
        lines = ml_dash_rows.plain_metric_lines(points)
        at_once += lines is not None
        assert lines is None or lines == [ml_dash_rows.metric_line(point) for point in points]
    assert at_once > 50
    time_less: list[Any] = [
        {"v": 1.0},
        {"v": 1.0, "_ts": 1},
        {"v": 1.0, "_ts": -1.0},
        [],
        5,
        None,
    ]
    assert [ml_dash_rows.plain_metric_lines([point]) for point in time_less] == [None] * len(time_less)
    assert ml_dash_rows.plain_metric_lines([]) == []
    plain = [{"v": value, "_ts": 5.5} for value in PLAIN[:9]]
    assert ml_dash_rows.plain_metric_lines(plain) is not None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"rows": [1', '{"rows": [1 2]}', '{"rows": 1}', "{1: 2}", '{"a"}', "\xff"]
)
def test_a_body_that_is_no_json_object_is_refused(text: str) -> None:
    """The message shows what is wrong."""
    with pytest.raises(InvalidValueError, match="the body is not what this address takes"):
        list(JsonBody(io.BytesIO(text.encode("latin-1")), "rows").elements())


def test_a_large_body_is_never_in_memory_as_a_whole() -> None:
    """While the elements of a long list are read, only a block of it is kept."""
    body = JsonBody(io.BytesIO(b'{"rows":[' + b'{"v":1},' * 200_000 + b'{"v":2}]}'), "rows")
    longest = max(len(body._text) for _ in body.elements())
    assert longest <= 2 * body_elements.FIRST_BLOCK


def test_pages_with_a_cursor_are_consistent_or_refused(collector: Collector, opened: tuple[str, str]) -> None:
    """Rows behind the cursor are read; with rows that were added in front of it, a reader starts again."""
    prefix, base = opened
    collector.ask("POST", f"{base}/metrics/m/append-batch", points(*range(5)))
    first = collector.ask("GET", f"{base}/metrics/m/rows?limit=3").json
    collector.ask("POST", f"{base}/metrics/m/append-batch", points(5, begin=2000.0))
    cursor = first["nextCursor"]
    rest = collector.ask("GET", f"{base}/metrics/m/rows?limit=9&cursor={cursor}").json
    assert [row[0] for block in rest["blocks"] for row in block["rows"]] == [f"{i}" for i in (3, 4, 5)]
    (rows_file,) = (collector.root / prefix / ".record/metrics/m").glob("*.jsonl")
    rows_file.with_name(f"0000-earlier{rows_file.name}").write_bytes(b'{"_ts":1.0,"v":9}\n')
    again = collector.ask("GET", f"{base}/metrics/m/rows?limit=9&cursor={cursor}")
    assert (again.status, again.json["code"]) == (409, "snapshot_changed")
    for bad in ("x", base64.b64encode(b'["../../x",0,0,0]').decode(), base64.b64encode(b"[1]").decode()):
        assert collector.ask("GET", f"{base}/metrics/m/rows?cursor={quote(bad)}").status in {400, 409}


@pytest.mark.parametrize(
    "prefix",
    [
        "../x/y",
        "alice/../bob",
        "alice/.record/x",
        ".server/x/y",
        "alice//x",
        "alice/x\0/y",
        "a" * 5000,
        "alice",
    ],
)
def test_ids_are_checked_like_any_input(prefix: str) -> None:
    """An id whose prefix could leave the root, or is reserved, is unknown."""
    for text in (str(NodeId(NodeKind.EXPERIMENT, prefix)), str(NodeId(NodeKind.FILE, prefix, "x", "1"))):
        with pytest.raises(NotFoundError):
            node_ids.parsed(text)


@pytest.mark.parametrize(
    "text", ["", "e", "x123", "é", "e!!!!", "e" + "A" * 5000, None, 5, "nYS9iL2M", "fYS9iAC4uL3gAMQ"]
)
def test_other_texts_are_no_ids(text: object) -> None:
    """Whatever else is given as an id is unknown, also one whose parts do not fit its kind."""
    with pytest.raises(NotFoundError):
        node_ids.parsed(text)


def test_an_id_has_only_characters_that_need_no_quoting() -> None:
    """Clients put ids into addresses as they are."""
    identity = NodeId(NodeKind.FILE, "alice/ü ?#/x", "models/ü.bin", "ab12")
    text = str(identity)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert node_ids.parsed(text, NodeKind.FILE) == identity


def test_another_user_writes_nothing(collector: Collector, opened: tuple[str, str]) -> None:
    """Each request that changes something of alice is refused to bob, also with her ids."""
    prefix, base = opened
    bob = collector.server.add_token("bob")
    experiment = base.rpartition("/")[2]
    node = str(NodeId(NodeKind.NODE, prefix))
    folder = {"type": "FOLDER", "experimentId": experiment, "parentId": "ROOT", "name": "x"}
    create = {"type": "EXPERIMENT", "name": "x", "parentId": "ROOT", "projectSlug": "wire"}
    for method, path, content in (
        ("POST", f"{base}/logs", {"logs": []}),
        ("POST", f"{base}/parameters", {"data": {}}),
        ("POST", f"{base}/metrics/m/append-batch", {"dataPoints": []}),
        ("PATCH", f"/api/nodes/{node}", {"status": "FAILED"}),
        ("POST", "/api/namespaces/alice/nodes", create),
        ("POST", "/api/namespaces/alice/nodes", folder),
        ("DELETE", f"/api/projects/{NodeId(NodeKind.PROJECT, 'alice/wire')}", None),
    ):
        assert collector.ask(method, path, content, token=bob).status == 403, path
    assert collector.ask("POST", "/api/namespaces/bob/nodes", folder, token=bob).status == 400
    assert [str(each.status) for each in collector.record(prefix).openings] == ["RUNNING"]


def test_a_request_without_a_valid_token_waits_for_its_refusal(collector: Collector) -> None:
    """A client that repeats it makes less than one request a second; logins do not wait."""
    begin = time.monotonic()
    assert collector.ask("POST", "/api/experiments/x/logs", {}, token=WRONG).status == 401
    assert time.monotonic() - begin > 1
    begin = time.monotonic()
    assert collector.ask("POST", "/api/auth/exchange", token=WRONG).status == 401
    assert time.monotonic() - begin < 1


def test_an_unknown_query_is_answered_with_errors(collector: Collector) -> None:
    """Each problem of a query is in `errors`, with the fields that exist."""
    for text in (
        "{ nothing }",
        "mutation { x }",
        "query",
        "{ me { id } other { id } }",
        "{ __schema { types } }",
    ):
        answer = collector.query(text)
        assert "errors" in answer, text
    unknown = collector.query(
        "query Q($experimentId: ID!) { experimentById(id: $experimentId) { id } }", experimentId="x"
    )
    assert "is not an id" in unknown["errors"][0]["message"]
    assert collector.query('{ namespace(slug: "nobody") { projects { id } } }') == {
        "data": {"namespace": {"id": "nobody", "slug": "nobody", "projects": []}}
    }


def test_a_prefix_of_one_part_is_refused(collector: Collector) -> None:
    """The clients send no name then."""
    answer = collector.ask(
        "POST", "/api/namespaces/alice/nodes", {"type": "EXPERIMENT", "name": None, "projectSlug": "p"}
    )
    assert answer.status == 400
    assert "name" in answer.json["message"]
    assert collector.ask("POST", "/api/namespaces/..%2f/nodes", {"type": "PROJECT", "name": "x"}).status in {
        400,
        404,
    }


@pytest.mark.parametrize("value", [None, True, 10**30, "", "\ud800", "\0", "../x", [1], {"a": 1}])
def test_values_of_a_wrong_type_are_no_fault_of_the_server(
    collector: Collector, opened: tuple[str, str], value: object
) -> None:
    """Whatever a field is, the answer is no 5xx."""
    prefix, base = opened
    node = NodeId(NodeKind.NODE, prefix)
    names = (
        "type",
        "name",
        "slug",
        "projectId",
        "parentId",
        "projectSlug",
        "experimentId",
        "tags",
        "metadata",
    )
    nodes = [
        {"type": kind, **dict.fromkeys(names[1:], value)} for kind in ("PROJECT", "FOLDER", "EXPERIMENT")
    ]
    for method, path, content in (
        *(("POST", "/api/namespaces/alice/nodes", fields) for fields in (value, {"type": value}, *nodes)),
        ("POST", f"{base}/logs", {"logs": [value, {"timestamp": value, "message": "m", "level": value}]}),
        (
            "POST",
            f"{base}/metrics/m/append-batch",
            {"dataPoints": [{"_ts": value, "v": value}], "tags": value},
        ),
        ("POST", f"{base}/tracks/t/append", {"timestamp": value, "data": value}),
        ("POST", f"{base}/parameters", {"data": {"a": value, "a.b": value}}),
        ("PATCH", f"/api/nodes/{node}", {"status": value}),
        ("POST", "/graphql", {"query": value, "variables": value}),
        ("POST", "/graphql", {"query": "{ project(id: $id) { id } }", "variables": {"id": value}}),
    ):
        assert collector.ask(method, path, content).status < 500, (method, path)


def upload(collector: Collector, base: str, data: bytes, **fields: str) -> Any:
    """Upload a file as the clients do, its fields first."""
    fields = {
        "type": "FILE",
        "experimentId": base.rpartition("/")[2],
        "parentId": "ROOT",
        "name": "f.bin",
        **fields,
    }
    parts = [
        f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields
    ]
    head = '--XX\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
    body = "".join([*parts, head]).encode() + data + b"\r\n--XX--\r\n"
    return collector.server.ask(
        "POST",
        "/api/namespaces/alice/nodes",
        token=collector.token,
        body=body,
        headers={"Content-Type": "multipart/form-data; boundary=XX"},
    )


def test_an_upload_that_does_not_fit_its_checksum_or_leaves_the_record_is_refused(
    collector: Collector, opened: tuple[str, str]
) -> None:
    """Nothing of it stays on the server."""
    prefix, base = opened
    assert upload(collector, base, b"data", checksum="0" * 64).status == 422
    for name in ("../x", "a/../../x", "/", "x\0y", ""):
        assert upload(collector, base, b"data", name=name).status in {201, 400}, name
    other = str(NodeId(NodeKind.INNER, "alice/wire/other", "x"))
    assert upload(collector, base, b"data", parentId=other).status == 400
    assert [file["path"] for file in collector.data(prefix).files.list()] == ["/"]
    assert not list((collector.root / ".server/incoming").glob("upload-*"))
    assert not list(collector.root.glob("x"))


def test_deleted_projects_are_in_the_trash_of_the_server(collector: Collector) -> None:
    """`ml-dash remove` removes all records of a project, and only of it."""
    for prefix in ("alice/gone/a", "alice/gone2/b"):
        collector.open(prefix)
    (project,) = [
        each
        for each in collector.query(PROJECTS, namespace="alice")["data"]["namespace"]["projects"]
        if each["slug"] == "gone"
    ]
    answer = collector.ask("DELETE", f"/api/projects/{project['id']}")
    assert (answer.status, answer.json["experiments"]) == (200, 1)
    assert not (collector.root / "alice/gone").exists()
    assert (collector.root / "alice/gone2/b/.record").exists()
    assert list((collector.root / ".server/trash/alice").glob("*/origin.json"))


@pytest.fixture
def records(tmp_path: Path) -> HeldRecords:
    return HeldRecords(str(tmp_path), lambda *_: None)


def test_a_client_that_left_without_a_word_is_lost_when_the_record_is_opened_again(
    records: HeldRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then its opening is RUNNING; its own late word overrides the verdict."""
    with records.locked("alice/p/x") as held:
        first = held.open({}, WHO)
        second = held.open({}, WHO)
        assert held.running() == [first, second]
        monkeypatch.setattr(held_records, "SILENCE", 0.0)
        third = held.open({}, WHO)
        assert held.running() == [third]
        read = sessions.read(held.place, first)
        assert read is not None
        assert (str(read.status), read.reason) == ("FAILED", "lost")
        held.end(sessions.Status.COMPLETED, opening=first)
        read = sessions.read(held.place, first)
        assert read is not None
        assert str(read.status) == "COMPLETED"


def test_each_client_ends_its_own_opening(records: HeldRecords) -> None:
    """A status without an opening ends all; overlapping openings share the files of the first."""
    line = b'{"_ts":1.0,"level":"info","message":"x"}\n'
    with records.locked("alice/p/x") as held:
        openings = [held.open({}, WHO) for _ in range(3)]
        held.end(sessions.Status.COMPLETED, opening=openings[0])
        held.write(held.place.logs, line, WHO)
        held.end(sessions.Status.FAILED)
        statuses = [str(each.status) for each in sessions.read_all(held.place)[0]]
        assert sorted(statuses) == ["COMPLETED", "FAILED", "FAILED"]
        openings.append(held.open({}, WHO))
        held.write(held.place.logs, line, WHO)
        names = sorted(path.name for path in Path(held.place.logs).iterdir())
        assert names == [f"{openings[0]}.jsonl", f"{openings[3]}.jsonl"]
