"""Several small files of a replica in one request."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import replica_sites

from nemorun_cli.replication.protocol import MOST_PARTS

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

RECORD = "/v1/records/alice/p/x/.record"
EXPERIMENT = "/v1/experiments/alice/host-12345678/train_1700000000"
ROWS = "metrics/loss/0001-a.jsonl"
ROW = b'{"_ts": 1.0, "loss": 0.5}\n'
Part = tuple[str, bytes, int | None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the replicas."""
    return tmp_path / "collected"


@pytest.fixture
def client(root: Path) -> TestClient:
    """Alice's client."""
    return replica_sites.client(replica_sites.site(root))


def write(client: TestClient, *parts: Part, address: str = RECORD) -> Response:
    """Send files together."""
    named = [{"path": path, "offset": offset, "size": len(data)} for path, data, offset in parts]
    body = json.dumps({"files": named}).encode() + b"\n" + b"".join(data for _, data, _ in parts)
    return client.patch(f"{address}?sizes=1", content=body)


def outcomes(answer: Response) -> list[tuple[int, Any]]:
    """The status of each file, with its size."""
    assert answer.status_code == 200, answer.text
    return [(each["status"], each["size"]) for each in answer.json()["answers"]]


def test_each_file_has_its_own_answer(client: TestClient, root: Path) -> None:
    """Files that are refused stop no other one, and say why; those that were written are announced."""
    answer = write(
        client,
        ("openings/0001-a.jsonl", ROW, 0),
        ("openings/0001-a.verdict.json", b"{}", None),
        (ROWS, ROW, 26),
        ("params/0001-a.jsonl", ROW + b'{"a": "\0"}\n', 0),
        ("blobs/ab/" + "ab" * 32, b"x", 0),
        ("../x", b"x", 0),
        ("logs/0001-a.jsonl", b"", 0),
    )
    assert outcomes(answer) == [(200, 26), (200, 2), (409, 0), (422, 26), (405, None), (404, None), (200, 0)]
    assert [each.get("code") for each in answer.json()["answers"]][2:6] == [
        "offset", "not_text", "not_in_batches", "not_copied",
    ]  # fmt: skip
    written = {"openings/0001-a.jsonl": 26, "openings/0001-a.verdict.json": 2, "logs/0001-a.jsonl": 0}
    assert answer.json()["files"] == {**written, "params/0001-a.jsonl": 26}
    assert client.app.state.changes.seen == [("alice/p/x", path) for path in written]
    assert (root / "alice/p/x/.record/openings/0001-a.jsonl").read_bytes() == ROW
    assert not list((root / ".server/incoming").iterdir())


def test_a_repeated_batch_changes_nothing(client: TestClient, root: Path) -> None:
    """The same files again are accepted as they are, also after later rows; other bytes are not."""
    parts: list[Part] = [(ROWS, ROW, 0), ("openings/a.verdict.json", b"{}", None), (ROWS, ROW, len(ROW))]
    first = outcomes(write(client, *parts))
    assert outcomes(write(client, *parts)) == first == [(200, 26), (200, 2), (200, 52)]
    assert (root / f"alice/p/x/.record/{ROWS}").read_bytes() == ROW * 2
    assert outcomes(write(client, (ROWS, b"{}\n", 0))) == [(409, 52)]


def test_a_batch_is_on_disk_before_its_answer(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file of a batch is synced once, with all folders on the way to it, each at most once."""
    synced: Counter[str] = Counter()
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (synced.update([_path(descriptor)]), sync(descriptor))[1]
    )
    attempts = [f"tasks/a/{number}/attempt-1" for number in range(10)]
    parts = [(f"{attempt}/{name}", b"{}", None) for attempt in attempts for name in ("exit.json", "claim")]
    answer = write(client, ("ledger.jsonl", ROW, 0), *parts, address=EXPERIMENT)
    assert {status for status, _ in outcomes(answer)} == {200}
    home = root / ".experiments/alice/host-12345678"
    folder = home / "experiments/train/train_1700000000"
    changed = [folder / attempt for attempt in attempts]
    changed += [folder / "ledger.jsonl", folder, *(each.parent for each in changed)]
    changed += [folder / "tasks", folder / "tasks/a", folder.parent, home, home.parent, root]
    assert {path: synced[str(path)] for path in changed} == dict.fromkeys(changed, 1)
    staged = [path for path in synced if "/incoming/" in path]
    assert (len(staged), {synced[path] for path in staged}) == (len(parts), {1})


def _path(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def test_a_file_that_cannot_be_synced_is_not_confirmed(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose sync fails gets 507 and its old size; the others of the batch are confirmed."""
    assert outcomes(write(client, (ROWS, ROW, 0), ("params/a.jsonl", ROW, 0))) == [(200, 26)] * 2
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if _path(descriptor).endswith(ROWS):
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    answer = write(client, (ROWS, ROW, 26), ("params/a.jsonl", ROW, 26))
    assert outcomes(answer) == [(507, None), (200, 52)]
    assert (root / f"alice/p/x/.record/{ROWS}").read_bytes() == ROW
    monkeypatch.undo()
    assert outcomes(write(client, (ROWS, ROW, 26))) == [(200, 52)]


def test_a_batch_has_limits_and_a_form(client: TestClient, root: Path) -> None:
    """A body of another form, or with too many files, is refused as a whole; so is another user's replica."""
    for body in (b"", b"{}\n", b"[]\nx", b'{"files": [{"path": "a", "offset": 0, "size": 2}]}\nx', b"\xff\n"):
        answer = client.patch(RECORD, content=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_batch"), body
    answer = write(client, *[(ROWS, b"", 0)] * (MOST_PARTS + 1))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_batch")
    assert write(client, (ROWS, b"x" * (1 << 20), 0)).status_code == 413
    bob = replica_sites.client(replica_sites.site(root), "bob")
    assert write(bob, (ROWS, ROW, 0)).status_code == 403
    assert not (root / "alice").exists()
