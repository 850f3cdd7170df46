"""Replicas over HTTP: what each request does, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import stat
from typing import TYPE_CHECKING

import pytest
from support import replica_sites

if TYPE_CHECKING:
    from pathlib import Path

    from httpx2 import Response
    from starlette.testclient import TestClient

RECORD = "/v1/records/alice/p/x/.record"
ROWS = f"{RECORD}/metrics/loss/0001-a.jsonl"
ROW = b'{"_ts": 1.0, "loss": 0.5}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the replicas."""
    return tmp_path / "collected"


@pytest.fixture
def client(root: Path) -> TestClient:
    """Alice's client."""
    return replica_sites.client(replica_sites.site(root))


def patch(client: TestClient, path: str, data: bytes, offset: int, **headers: str) -> Response:
    """Append to a file."""
    return client.patch(path, content=data, headers={"Upload-Offset": str(offset), **headers})


def send(
    client: TestClient, content: bytes, offset: int = 0, end: int | None = None, name: str | None = None
) -> Response:
    """Send a part of a content."""
    checksum = name or hashlib.sha256(content).hexdigest()
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(len(content))}
    path = f"{RECORD}/blobs/{checksum[:2]}/{checksum}"
    return client.patch(path, content=content[offset:end], headers=headers)


def test_an_append_continues_a_file(client: TestClient, root: Path) -> None:
    """Rows are appended where the file ends; the answer has the new size, and the file has the bytes."""
    assert patch(client, ROWS, ROW, 0).headers["upload-offset"] == str(len(ROW))
    answer = patch(client, ROWS, ROW + ROW[:5], len(ROW))
    assert (answer.status_code, answer.headers["upload-offset"]) == (200, str(2 * len(ROW) + 5))
    file = root / "alice/p/x/.record/metrics/loss/0001-a.jsonl"
    assert file.read_bytes() == ROW + ROW + ROW[:5]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert client.app.state.changes.seen == [("alice/p/x", "metrics/loss/0001-a.jsonl")] * 2
    assert client.head(ROWS).headers["upload-offset"] == str(2 * len(ROW) + 5)
    assert client.get(ROWS, headers={"Range": "bytes=5-9"}).content == ROW[5:10]
    assert client.get(ROWS, headers={"Range": "bytes=400-"}).status_code == 416
    assert client.get(f"{RECORD}?sizes=1").json() == {
        "format": "exp.replica/1",
        "files": {"metrics/loss/0001-a.jsonl": 2 * len(ROW) + 5},
    }


def test_a_repeated_append_changes_nothing(client: TestClient, root: Path) -> None:
    """The same bytes at the same offset are accepted as often as they are sent, also after later ones."""
    for offset in (0, 0, len(ROW), 0, len(ROW)):
        assert patch(client, ROWS, ROW, offset).status_code == 200
    assert (root / "alice/p/x/.record/metrics/loss/0001-a.jsonl").read_bytes() == ROW * 2


def test_a_stale_offset_names_the_size(client: TestClient) -> None:
    """An append beyond the end, and one of which the file has a part, get 409 and where to continue."""
    answer = patch(client, ROWS, ROW, 7)
    assert (answer.status_code, answer.json()["code"], answer.headers["upload-offset"]) == (
        409,
        "offset",
        "0",
    )
    assert client.get(RECORD).status_code == 404  # nothing was created
    patch(client, ROWS, ROW, 0)
    answer = patch(client, ROWS, ROW + ROW, 0)
    assert (answer.status_code, answer.headers["upload-offset"]) == (409, str(len(ROW)))


def test_other_bytes_are_never_overwritten(client: TestClient) -> None:
    """A file with other bytes than those sent keeps them: 409 `diverged`, for a longer and a shorter copy."""
    patch(client, ROWS, ROW * 2, 0)
    other = ROW.replace(b"0.5", b"0.7")
    for data in (other, other * 2, other * 3):
        answer = patch(client, ROWS, data, 0)
        assert (answer.status_code, answer.json()["code"]) == (409, "diverged")
    assert client.get(ROWS).content == ROW * 2


def test_a_content_gets_its_place_when_its_checksum_fits(client: TestClient, root: Path) -> None:
    """A content is resumed where it was cut, is no file of the record before it is complete, and is then."""
    content = bytes(range(256)) * 40
    assert send(client, content, 0, 5000).headers["upload-offset"] == "5000"
    path = f"{RECORD}/blobs/{hashlib.sha256(content).hexdigest()[:2]}/{hashlib.sha256(content).hexdigest()}"
    assert client.head(path).headers["upload-offset"] == "5000"
    assert "upload-complete" not in client.head(path).headers
    assert client.get(path).status_code == 404
    assert not (root / "alice").exists()
    answer = send(client, content, 5000)
    assert (answer.status_code, answer.headers["upload-complete"]) == (200, "?1")
    assert client.head(path).headers["upload-complete"] == "?1"
    assert client.get(path).content == content
    assert send(client, content).headers["upload-complete"] == "?1"  # a second time
    assert [file for file in (root / ".server/incoming").rglob("*") if file.is_file()] == []


def test_a_content_with_another_checksum_is_dropped(client: TestClient) -> None:
    """Bytes that do not have the SHA-256 of their name are refused with 422, and nothing of them is kept."""
    wrong = "ab" * 32
    answer = send(client, b"something", name=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "checksum")
    assert client.head(f"{RECORD}/blobs/ab/{wrong}").status_code == 404


def test_bytes_that_the_disk_has_changed_are_sent_again(client: TestClient, root: Path) -> None:
    """If a part that a server had before its restart spoils the checksum, the sender starts again at 0."""
    content = bytes(range(256)) * 4
    send(client, content, 0, 512)
    (staged,) = (root / ".server/incoming/alice").iterdir()
    staged.write_bytes(bytes(512))  # as after a power failure
    restarted = replica_sites.client(replica_sites.site(root))
    answer = send(restarted, content, 512)
    assert (answer.status_code, answer.json()["code"]) == (409, "offset")
    assert answer.headers["upload-offset"] == "0"
    assert send(restarted, content).headers["upload-complete"] == "?1"


def test_a_server_continues_what_it_had_before_its_restart(client: TestClient, root: Path) -> None:
    """The checksum of a content that was begun before a restart is computed from the disk, and fits."""
    content = bytes(range(256)) * 4
    send(client, content, 0, 512)
    restarted = replica_sites.client(replica_sites.site(root))
    assert send(restarted, content, 512).headers["upload-complete"] == "?1"


def test_a_whole_file_is_written_once(client: TestClient) -> None:
    """A repeated PUT is a no-op; only verdicts get another content."""
    path = f"{RECORD}/environment/0001-a.diff"
    assert client.put(path, content=b"diff").status_code == 201
    assert client.put(path, content=b"diff").status_code == 200
    assert client.put(path, content=b"other").json()["code"] == "diverged"
    assert client.get(path).content == b"diff"
    verdict = f"{RECORD}/openings/0001-a.verdict.json"
    assert client.put(verdict, content=b'{"status": "FAILED"}').status_code == 201
    assert client.put(
        verdict, content=gzip.compress(b'{"status": "COMPLETED"}'), headers={"Content-Encoding": "gzip"}
    ).is_success
    assert client.get(verdict).content == b'{"status": "COMPLETED"}'


def test_the_later_of_two_verdicts_stays(client: TestClient) -> None:
    """A verdict that arrives after a later one is refused as `diverged`; any other one replaces."""
    path = f"{RECORD}/openings/0002-a.verdict.json"

    def put(content: str) -> int:
        return client.put(path, content=content.encode()).status_code

    old = '{"status": "FAILED", "time": "2026-01-01T00:00:00.000Z"}'
    late = '{"status": "COMPLETED", "time": "2026-01-01T00:00:00.001Z"}'
    same = late.replace("COMPLETED", "CANCELLED")
    damaged = ["{", '{"time": 5}', '{"time": "soon"}', '{"time": null, "status": "FAILED"}', "[]", "[" * 5000]
    assert [put(text) for text in (damaged[0], old, late, old, late)] == [201, 201, 201, 409, 200]
    assert [put(text) for text in damaged] == [409] * len(damaged)
    assert client.put(path, content=old.encode()).json()["code"] == "diverged"
    assert client.get(path).text == late
    assert put(same) == 201


def test_a_new_record_is_created_once(client: TestClient) -> None:
    """POST creates the folder of a record; for the second caller it exists."""
    assert client.post(RECORD).status_code == 201
    answer = client.post(RECORD)
    assert (answer.status_code, answer.json()["code"]) == (409, "exists")
    assert client.get(RECORD).json()["files"] == {}


def test_a_deleted_record_is_in_the_trash(client: TestClient, root: Path) -> None:
    """DELETE moves a record to the server's trash, with a note of who did it; records below it stay."""
    patch(client, ROWS, ROW, 0)
    patch(client, ROWS.replace("/x/", "/x/y/"), ROW, 0)
    for path in (f"{RECORD}/blobs/.record", f"{RECORD}/%2e%2e/.record", f"{RECORD}/"):
        assert client.delete(path).status_code in {404, 405}  # this is not the record's address
    assert client.delete(RECORD).status_code == 200
    assert client.delete(RECORD).status_code == 404
    assert client.get(ROWS).status_code == 404
    assert client.get(ROWS.replace("/x/", "/x/y/")).content == ROW
    (removed,) = (root / ".server/trash/alice").iterdir()
    assert (removed / "record/metrics/loss/0001-a.jsonl").read_bytes() == ROW
    assert '"user": "alice"' in (removed / "origin.json").read_text()


def test_only_the_owner_writes(root: Path) -> None:
    """A token of another user gets 403 for each method that writes, and nothing is there afterwards."""
    mallory = replica_sites.client(replica_sites.site(root), "mallory")
    answers = [
        patch(mallory, ROWS, ROW, 0),
        mallory.put(f"{RECORD}/labels/a", content=b""),
        mallory.post(RECORD),
    ]
    answers += [mallory.delete(RECORD), send(mallory, b"x")]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert not (root / "alice").exists()


def test_an_experiment_is_kept_as_in_a_home(client: TestClient, root: Path) -> None:
    """An experiment's files are where a home has them, and only those that change are replaced."""
    experiment = "/v1/experiments/alice/host-0123abcd/train_1790000000"
    assert patch(client, f"{experiment}/ledger.jsonl", b'{"event": "created"}\n', 0).status_code == 200
    attempt = f"{experiment}/tasks/group/member/attempt-1"
    assert patch(client, f"{attempt}/log", b"any \0 bytes \x1b[1m", 0).status_code == 200
    assert patch(client, f"{experiment}/code/ab/data.jsonl", b"any \0 bytes", 0).status_code == 200
    assert patch(client, f"{experiment}/ledger.jsonl", b"any \0 bytes\n", 21).json()["code"] == "not_text"
    assert client.put(f"{experiment}/resolved.json", content=b"{}").status_code == 201
    assert client.put(f"{experiment}/resolved.json", content=b'{"a": 1}').status_code == 201
    assert client.put(f"{attempt}/timed-out", content=b"").status_code == 201
    assert client.put(f"{attempt}/timed-out", content=b"x").json()["code"] == "diverged"
    assert client.put(f"{attempt}/plan.json", content=b"{}").status_code == 404
    folder = root / ".experiments/alice/host-0123abcd/experiments/train/train_1790000000"
    assert (folder / "ledger.jsonl").read_bytes() == b'{"event": "created"}\n'
    assert client.get(experiment, params={"sizes": 1}).json()["files"] == {
        "code/ab/data.jsonl": 11,
        "ledger.jsonl": 21,
        "resolved.json": 8,
        "tasks/group/member/attempt-1/log": 16,
        "tasks/group/member/attempt-1/timed-out": 0,
    }
    assert client.app.state.changes.seen[0] == ("alice", "host-0123abcd", "train_1790000000", "ledger.jsonl")
    assert client.post(experiment).status_code == 405
    assert client.delete(experiment).status_code == 200
    (removed,) = (root / ".server/trash/alice").iterdir()
    assert (removed / "train_1790000000/resolved.json").exists()
