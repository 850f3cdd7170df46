"""Replicas and clients that mean harm: paths, links, bodies, floods, and what a pushed file cannot do."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio
import pytest
from support import replica_sites

from nemorun_cli.replication.protocol import LARGEST_BATCH, LARGEST_DECOMPRESSED
from nemorun_cli.serve.store import replica_store

if TYPE_CHECKING:
    from starlette.testclient import TestClient

RECORD = "/v1/records/alice/p/x/.record"
ROWS = f"{RECORD}/metrics/loss/0001-a.jsonl"
ROW = b'{"_ts": 1.0, "loss": 0.5}\n'
SECRET = "what is outside of the root"  # noqa: S105 - no password
MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the replicas, next to files that nobody may reach."""
    (tmp_path / "outside/metrics/loss").mkdir(parents=True)
    (tmp_path / "outside/metrics/loss/0001-a.jsonl").write_text(SECRET)
    return tmp_path / "collected"


@pytest.fixture
def client(root: Path) -> TestClient:
    """Alice's client."""
    return replica_sites.client(replica_sites.site(root))


def ask(client: TestClient, method: str, raw: bytes, body: bytes = b"x") -> tuple[int, bytes]:
    """The answer to a request whose path is sent as it is, as no client library would."""
    return anyio.run(answered, client, method, raw, body)


async def answered(client: TestClient, method: str, raw: bytes, body: bytes) -> tuple[int, bytes]:
    """The status and the body of the answer to such a request."""
    answer: dict[str, Any] = {"status": 0, "body": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answer["status"] = message.get("status", answer["status"])
        answer["body"] += message.get("body", b"")

    headers = {
        b"authorization": b"Bearer alice",
        b"upload-offset": b"0",
        b"upload-length": str(len(body)).encode(),
    }
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(raw.decode("latin-1")),
        "raw_path": raw,
        "query_string": b"",
        "root_path": "",
        "headers": list(headers.items()),
        "state": {},
    }
    await client.app(scope, receive, send)
    return answer["status"], answer["body"]


def tree(folder: Path) -> list[str]:
    """All that a folder contains, by path and content."""
    return sorted(
        f"{path} {path.read_text(errors='replace') if path.is_file() else ''}"
        for path in folder.rglob("*")
        if path.parent.name != "locks"
    )


ESCAPES = (
    "..", "%2e%2e", "%2E.", ".", "%2e", "", "..%2f..", "%2f", "a%00b", "%00", "a%0ab", "%1b%5b2J", ".record",
    "%2erecord", ".server", ".experiments", ".trash", ".outbox", "%ff", "%c0%ae", "%ed%a0%80", "x" * 300,
    ".new-1-ab", "a%2fb",
)  # fmt: skip
LEGAL = ("%252e%252e", "..%5c..", "%5c", "~", "a;b", "con%3a", "%25", "%e2%80%ae", "a%252Fb")
"""Parts that are names of files, however odd."""
METHODS = ("GET", "HEAD", "PATCH", "PUT", "DELETE", "POST")


async def all_answers(
    client: TestClient, method: str, forms: tuple[str, ...]
) -> list[tuple[str, str, int, bytes]]:
    """The answers for each form of an address with each part."""
    pairs = [*itertools.product(forms, ESCAPES + LEGAL)]
    return [
        (form, part, *await answered(client, method, form.format(part).encode(), b"x"))
        for form, part in pairs
    ]


@pytest.mark.parametrize("method", METHODS)
def test_no_path_leaves_its_replica(client: TestClient, tmp_path: Path, root: Path, method: str) -> None:
    """Whatever stands for a part of an address, the answer is 4xx, or the file is in its own replica."""
    before = tree(tmp_path / "outside")
    forms = (
        "/v1/records/{0}/p/x/.record/metrics/loss/0001-a.jsonl",
        "/v1/records/{0}/.record/metrics/loss/0001-a.jsonl",
        "/v1/records/alice/{0}/.record/metrics/loss/../0001-a.jsonl",
        "/v1/records/{0}/{0}/{0}/.record",
        "/v1/records/alice/p/.record/{0}/loss/0001-a.jsonl",
        "/v1/records/alice/p/.record/metrics/{0}/{0}/0001-a.jsonl",
        "/v1/records/alice/p/.record/openings/{0}/0001-a.jsonl",
        "/v1/records/alice/p/.record/blobs/{0}/" + "ab" * 32,
        "/v1/records/alice/p/.record/blobs/ab/{0}",
        "/v1/records/alice/p/.record/environment/../{0}",
        "/v1/experiments/alice/{0}/train_1/ledger.jsonl",
        "/v1/experiments/alice/host-0123abcd/{0}/ledger.jsonl",
        "/v1/experiments/{0}/host-0123abcd/train_1/ledger.jsonl",
        "/v1/experiments/alice/host-0123abcd/train_1/{0}/ledger.jsonl",
        "/v1/experiments/alice/host-0123abcd/train_1/tasks/{0}/../attempt-1/exit.json",
    )
    for form, part, status, body in anyio.run(all_answers, client, method, forms):
        assert 400 <= status < 500 or part in LEGAL, (form, part, status)
        assert SECRET.encode() not in body
    assert tree(tmp_path / "outside") == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"outside", "collected"}
    assert {entry.name for entry in root.iterdir()} <= {".server", "alice", ".experiments"}
    for path in root.rglob("*"):
        assert ".." not in path.parts
        assert ".record" not in path.parts or path.relative_to(root).parts[0] == "alice"


FOLDERS = ("alice", "alice/p", "alice/p/x", "alice/p/x/.record")


@pytest.mark.parametrize("planted", [*FOLDERS, f"{FOLDERS[-1]}/metrics", f"{FOLDERS[-1]}/metrics/loss"])
def test_links_in_the_root_are_not_followed(
    client: TestClient, tmp_path: Path, root: Path, planted: str
) -> None:
    """A symbolic link in the place of a folder above a file makes each request 4xx; nothing is written."""
    target, place = tmp_path / "target", root / planted
    file = target / ROWS.removeprefix(f"/v1/records/{planted}/")
    file.parent.mkdir(parents=True)
    file.write_text(SECRET)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    before = tree(tmp_path)
    for method in METHODS:
        if method in {"DELETE", "POST"} and planted not in FOLDERS:
            continue  # these are about the record's folder, which is above the link
        address = RECORD if method in {"DELETE", "POST"} else ROWS
        status, body = ask(client, method, address.encode(), ROW)
        assert 400 <= status < 500
        assert SECRET.encode() not in body
        assert tree(tmp_path) == before


def test_a_link_in_the_place_of_a_file_is_not_followed(
    client: TestClient, tmp_path: Path, root: Path
) -> None:
    """A link where a file of a replica is to be is refused for reading, for writing, and in listings."""
    place = root / ROWS.removeprefix("/v1/records/")
    place.parent.mkdir(parents=True)
    (tmp_path / "target").write_text(SECRET)
    place.symlink_to(tmp_path / "target")
    for method in ("GET", "HEAD", "PATCH"):
        status, body = ask(client, method, ROWS.encode(), ROW)
        assert 400 <= status < 500
        assert SECRET.encode() not in body
    assert client.get(RECORD).json()["files"] == {}
    assert (tmp_path / "target").read_text() == SECRET


def test_a_device_or_fifo_is_not_opened(client: TestClient, root: Path) -> None:
    """A FIFO in the place of a file is refused at once, for reading and for writing."""
    place = root / ROWS.removeprefix("/v1/records/")
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    answers = [ask(client, method, ROWS.encode(), ROW)[0] for method in ("GET", "HEAD", "PATCH")]
    assert answers == [422, 422, 422]


def test_only_known_shapes_are_kept(client: TestClient) -> None:
    """Files that no record has are refused with 404, also those that have the place of another kind."""
    for path in (
        "plan.json", "secrets", "metrics/0001-a.jsonl", "metrics/loss/a.json", "metrics/loss/x/0001-a.jsonl",
        "blobs/ab/" + "cd" * 32, "blobs/AB/" + "AB" * 32, "openings/a.txt", "lock",
        "x/.record/metrics/loss/a.jsonl",
    ):  # fmt: skip
        for method in ("PATCH", "PUT", "GET"):
            assert ask(client, method, f"{RECORD}/{path}".encode())[0] == 404, path
    assert ask(client, "PUT", ROWS.encode())[0] == 405
    assert ask(client, "PATCH", f"{RECORD}/environment/a.diff".encode())[0] == 405


def test_a_gzip_bomb_is_refused_while_it_is_decompressed(client: TestClient) -> None:
    """A small body that decompresses to 64 MiB is refused when it passes 8 MiB, in little memory."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join([*(packer.compress(bytes(MIB)) for _ in range(64)), packer.flush()])
    assert len(bomb) < LARGEST_BATCH
    headers = {"Upload-Offset": "0", "Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        answer = client.patch(ROWS, content=bomb, headers=headers)
        assert tracemalloc.get_traced_memory()[1] < 4 * LARGEST_DECOMPRESSED
    finally:
        tracemalloc.stop()
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    for broken in (gzip.compress(ROW)[:-3], b"no gzip", gzip.compress(ROW) + b"more"):
        answer = client.patch(ROWS, content=broken, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_gzip")
    assert client.get(RECORD).status_code == 404
    assert client.patch(ROWS, content=gzip.compress(ROW), headers=headers).status_code == 200
    assert client.get(ROWS).content == ROW


def test_an_append_has_a_largest_size(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond 1 MiB is refused with 413; a row beyond its limit with 422, also if sent in parts."""
    monkeypatch.setattr(replica_store, "LARGEST_ROW", LARGEST_BATCH)
    headers = {"Upload-Offset": "0"}
    assert (
        client.patch(ROWS, content=ROW * (LARGEST_BATCH // len(ROW) + 1), headers=headers).status_code == 413
    )
    begin = b'{"_ts": 1.0, "text": "' + b"x" * (LARGEST_BATCH - 100)
    assert client.patch(ROWS, content=begin, headers=headers).status_code == 200
    headers = {"Upload-Offset": str(len(begin))}
    answer = client.patch(ROWS, content=b"y" * 200, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "row_too_long")
    assert client.patch(ROWS, content=b'"}\n' + ROW, headers=headers).status_code == 200


def test_a_long_row_arrives_in_pieces(root: Path) -> None:
    """A row of many appends is taken, in little memory, and what has arrived of it is read back only once."""
    served = replica_sites.site(root)
    client, piece, count = replica_sites.client(served), b"x" * LARGEST_BATCH, 30
    client.patch(ROWS, content=b'{"_ts": 1.0, "text": "', headers={"Upload-Offset": "0"})
    sent, reads = 22, 0
    tracemalloc.start()
    try:
        for number in range(count):
            if number == count // 2:  # the server starts again
                client = replica_sites.client(served)
            before = _bytes_read()
            answer = client.patch(ROWS, content=piece, headers={"Upload-Offset": str(sent)})
            reads += _bytes_read() - before
            assert answer.status_code == 200, answer.text
            sent += len(piece)
        assert tracemalloc.get_traced_memory()[1] < 8 * LARGEST_BATCH
    finally:
        tracemalloc.stop()
    assert reads < 2 * sent
    assert client.patch(ROWS, content=b'"}\n', headers={"Upload-Offset": str(sent)}).status_code == 200
    assert len(client.get(ROWS).content) == sent + 3


def _bytes_read() -> int:
    """What this process has read so far."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])


def test_what_precedes_a_refused_line_is_kept(client: TestClient) -> None:
    """Of rows with a control character in one, those before it are kept, up to the offset of the answer."""
    answer = client.patch(ROWS, content=ROW * 2 + b'{"a": "\0"}\n' + ROW, headers={"Upload-Offset": "0"})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_text")
    assert answer.headers["upload-offset"] == str(2 * len(ROW))
    assert client.get(ROWS).content == ROW * 2


def test_a_user_has_a_quota(root: Path) -> None:
    """A user beyond the quota gets 507, other users do not, and a deletion alone frees nothing."""
    served = replica_sites.site(root, quota=40_000)
    alice, bob = replica_sites.client(served), replica_sites.client(served, "bob")
    assert alice.patch(ROWS, content=ROW * 1000, headers={"Upload-Offset": "0"}).status_code == 200
    headers = {"Upload-Offset": str(len(ROW) * 1000)}
    answer = alice.patch(ROWS, content=ROW * 500, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (507, "quota")
    assert alice.patch(ROWS, content=ROW, headers=headers).status_code == 200
    sent = {"Upload-Offset": "0", "Upload-Length": "20000"}
    assert (
        alice.patch(f"{RECORD}/blobs/ab/{'ab' * 32}", content=bytes(20000), headers=sent).status_code == 507
    )
    assert alice.put(f"{RECORD}/labels/0000-a.jsonl", content=bytes(20000)).status_code == 507
    theirs = ROWS.replace("alice", "bob")
    assert bob.patch(theirs, content=ROW * 1000, headers={"Upload-Offset": "0"}).status_code == 200
    empty = [
        alice.patch(f"{RECORD}/logs/{number}.jsonl", content=b"", headers={"Upload-Offset": "0"}).status_code
        for number in range(10)
    ]
    assert 507 in empty  # files without any bytes count, too
    assert alice.delete(RECORD).status_code == 200
    answer = alice.patch(ROWS, content=ROW * 1000, headers={"Upload-Offset": "0"})
    assert (answer.status_code, answer.json()["code"]) == (507, "quota")
    assert "trash" in answer.json()["hint"]


def test_a_refused_whole_file_costs_nothing(root: Path) -> None:
    """The bytes of a whole file count while they arrive, and no longer if it has no place."""
    client = replica_sites.client(replica_sites.site(root, quota=40_000))
    path = f"{RECORD}/environment/0001-a.diff"
    assert client.put(path, content=bytes(20_000)).status_code == 201
    for _ in range(5):
        assert client.put(path, content=bytes(10_000)).json()["code"] == "diverged"
        assert client.put(path, content=bytes(12_000) + b"x").json()["code"] == "diverged"
        assert client.put(path, content=bytes(20_000)).status_code == 200  # a retry
        assert client.put(path.replace("0001", "0003"), content=bytes(20_000)).json()["code"] == "quota"
    assert client.put(path.replace("0001", "0002"), content=bytes(10_000)).status_code == 201


def test_a_file_has_a_largest_size(root: Path) -> None:
    """A content, a growing file and a whole one beyond `--max-file` are refused with 422."""
    client = replica_sites.client(replica_sites.site(root, largest_file=1000))
    sent = {"Upload-Offset": "0", "Upload-Length": "1001"}
    answers = [
        client.patch(f"{RECORD}/blobs/ab/{'ab' * 32}", content=b"x", headers=sent),
        client.patch(ROWS, content=ROW * 100, headers={"Upload-Offset": "0"}),
        client.put(f"{RECORD}/labels/0000-a.jsonl", content=bytes(1001)),
    ]
    assert [answer.json()["code"] for answer in answers] == ["file_too_large"] * 3


def test_one_users_content_is_not_anothers(root: Path) -> None:
    """Bob cannot find out by its checksum that Alice has a content."""
    served = replica_sites.site(root)
    alice, bob = replica_sites.client(served), replica_sites.client(served, "bob")
    content = b"weights"
    checksum = hashlib.sha256(content).hexdigest()
    path = f"{RECORD}/blobs/{checksum[:2]}/{checksum}"
    sent = {"Upload-Offset": "0", "Upload-Length": str(len(content))}
    assert alice.patch(path, content=content, headers=sent).headers["upload-complete"] == "?1"
    assert bob.head(path.replace("alice", "bob")).status_code == 404


def test_a_pushed_record_is_below_its_prefix_alone(client: TestClient, root: Path) -> None:
    """An opening that claims another prefix, host, user and supervisor changes nothing but its own record."""
    forged = b'{"event": "opened", "prefix": "bob/p/y", "supervised": true, "user": "bob", "home": "/root"}\n'
    path = f"{RECORD}/openings/0001-20260101T000000Z-ab.jsonl"
    assert client.patch(path, content=forged, headers={"Upload-Offset": "0"}).status_code == 200
    kept = [file for file in root.rglob("*") if file.is_file() and "locks" not in file.parts]
    assert kept == [root / path.removeprefix("/v1/records/")]
    assert kept[0].read_bytes() == forged


def test_a_server_without_a_root_takes_nothing(tmp_path: Path) -> None:
    """A server of its own machine alone refuses each write with 403; the hint starts a collector."""
    served = replica_sites.site(tmp_path / "collected")
    client = replica_sites.client(type(served)(root=None, home=tmp_path, dash_roots=(), own=tmp_path / "own"))
    answer = client.patch(ROWS, content=ROW, headers={"Upload-Offset": "0"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_collector")
    assert "exp serve --root" in answer.json()["hint"]
