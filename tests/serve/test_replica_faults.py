"""Replicas under faults: cut connections, full disks, servers that are killed, files of a gigabyte."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support import replica_sites, small_disks
from support.extent import IS_LONG, amount
from support.replica_sites import ReplicaServer

from nemorun_cli.serve.store import root_folder
from nemorun_cli.serve.store.staging import OLDEST, Staging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = "/v1/records/alice/p/x/.record"
ROWS = f"{RECORD}/metrics/loss/0001-a.jsonl"
BATCH = b"".join(b'{"_ts": %d.0, "loss": 0.5, "epoch": %d}\n' % (step, step) for step in range(1000))
MIB = 1 << 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the replicas."""
    return tmp_path_factory.mktemp("replicas") / "collected"


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[ReplicaServer]:
    """A server process."""
    started = ReplicaServer(root)
    yield started
    started.kill()


def content_path(checksum: str, record: str = RECORD) -> str:
    """The address of a content."""
    return f"{record}/blobs/{checksum[:2]}/{checksum}"


def offset_of(server: ReplicaServer, path: str) -> int:
    """How much the server has of a file."""
    answer = server.ask("HEAD", path)
    return answer.offset if answer.status == 200 else 0


def test_a_cut_batch_leaves_nothing(server: ReplicaServer) -> None:
    """A batch that is cut at any hundredth is not there at all, and continues where the server is."""
    path, sent = ROWS.replace("/x/", "/cut/"), 0
    for percent in range(0, 100, 1 if IS_LONG else 7):
        server.cut("PATCH", path, BATCH, at=len(BATCH) * percent // 100, Upload_Offset=str(sent))
        assert offset_of(server, path) == sent
        sent = server.ask("PATCH", path, BATCH, Upload_Offset=str(sent)).offset
    assert server.ask("GET", path).body == BATCH * (sent // len(BATCH))


def test_a_cut_content_is_resumed(server: ReplicaServer, root: Path) -> None:
    """A content that is cut again and again continues where it was cut; its SHA-256 fits in the end."""
    content = random.Random(2).randbytes(3 * MIB)  # noqa: S311 - the same each time
    path, at = content_path(hashlib.sha256(content).hexdigest()), 0
    for percent in range(1, 100, 1 if IS_LONG else 7):
        end = len(content) * percent // 100
        headers = {"Upload_Offset": str(at), "Upload_Length": str(len(content))}
        server.cut("PATCH", path, content[at:], at=end - at, **headers)
        size = offset_of(server, path)  # it may still grow by what the server is about to read
        assert at <= size <= end
        at = size
    done = server.ask("PATCH", path, content[at:], Upload_Offset=str(at), Upload_Length=str(len(content)))
    assert (done.status, done.headers["upload-complete"]) == (200, "?1")
    assert (root / f"alice/p/x/.record{path.removeprefix(RECORD)}").read_bytes() == content


def test_a_large_file_takes_little_memory(server: ReplicaServer) -> None:
    """A large content is resumed after a cut at 90 %, not sent twice, and costs the server below 100 MB."""
    size = (1024 if IS_LONG else 64) * MIB
    seed = random.Random(3).randbytes(MIB)  # noqa: S311 - the same each time
    digest = hashlib.sha256()
    for number in range(size // MIB):
        digest.update(number.to_bytes(8, "big") + seed[8:])
    path, total = content_path(digest.hexdigest()), str(size)

    def block(number: int) -> bytes:
        return number.to_bytes(8, "big") + seed[8:]

    def send(begin: int, end: int, *, declared: int) -> http.client.HTTPConnection:
        connection = server.connection()
        connection.putrequest("PATCH", path)
        for name, value in {
            "Authorization": "Bearer alice",
            "Upload-Offset": str(begin * MIB),
            "Upload-Length": total,
            "Content-Length": str((declared - begin) * MIB),
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        for number in range(begin, end):
            connection.send(block(number))
        return connection

    count, cut = size // MIB, size // MIB * 9 // 10
    send(0, cut, declared=count).close()
    end = time.monotonic() + 60
    while offset_of(server, path) < cut * MIB and time.monotonic() < end:
        time.sleep(0.005)
    assert offset_of(server, path) == cut * MIB
    last = send(cut, count, declared=count)
    assert last.getresponse().getheader("upload-complete") == "?1"
    last.close()
    assert server.ask("HEAD", path).headers["upload-complete"] == "?1"
    assert server.memory() < 100 * MIB
    received = server.connection()
    received.request("GET", path, headers={"Authorization": "Bearer alice", "Range": f"bytes={size - 5}-"})
    assert received.getresponse().read() == block(count - 1)[-5:]
    received.close()


def test_the_folders_of_a_running_server_may_be_removed(tmp_path: Path) -> None:
    """Locks, incomplete files and the trash may be removed while a server runs: what is sent is kept."""
    root = tmp_path / "root"
    client = replica_sites.client(replica_sites.site(root))
    for part in (root_folder.LOCKS, root_folder.INCOMING, root_folder.TRASH):
        shutil.rmtree(root / root_folder.OWN / part)
    opening = f"{RECORD}/openings/0001-a.jsonl"
    rows, whole = b'{"event":"opened"}\n', b"{}"
    content = content_path(hashlib.sha256(whole).hexdigest())
    assert client.patch(opening, content=rows, headers={"Upload-Offset": "0"}).is_success
    assert client.patch(
        content, content=whole, headers={"Upload-Offset": "0", "Upload-Length": "2"}
    ).is_success
    assert client.put(f"{RECORD}/openings/0001-a.verdict.json", content=whole).is_success
    assert client.delete(RECORD).is_success


def test_staged_contents_are_removed_after_a_day(tmp_path: Path) -> None:
    """What was not continued for 24 hours is removed, and what is younger stays."""
    served = replica_sites.site(tmp_path / "collected")
    client = replica_sites.client(served)
    for name in ("ab", "cd"):
        headers = {"Upload-Offset": "0", "Upload-Length": "100"}
        assert client.patch(content_path(name * 32), content=b"x", headers=headers).status_code == 200
    old, young = sorted((served.own / root_folder.INCOMING / "alice").iterdir())
    past = time.time() - OLDEST - 1
    os.utime(old, (past, past))
    Staging(served.own / root_folder.INCOMING).sweep()
    assert [path for path in (old, young) if path.exists()] == [young]


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """On a full disk an append gets 507 and leaves no part of itself; reads work; with space it is taken."""
    with small_disks.mounted(tmp_path / "disk", 1024):
        client = replica_sites.client(replica_sites.site(tmp_path / "disk/collected"))
        assert client.patch(ROWS, content=BATCH, headers={"Upload-Offset": "0"}).status_code == 200
        with small_disks.full(tmp_path / "disk"):
            headers = {"Upload-Offset": str(len(BATCH))}
            refused = client.patch(ROWS, content=BATCH, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
            other = client.patch(ROWS.replace("loss", "other"), content=BATCH, headers={"Upload-Offset": "0"})
            assert other.status_code == 507
            assert client.put(f"{RECORD}/labels/0000-a.jsonl", content=BATCH).status_code == 507
            sent = {"Upload-Offset": "0", "Upload-Length": "5000"}
            assert client.patch(content_path("ab" * 32), content=bytes(5000), headers=sent).status_code == 507
            assert client.get(ROWS).content == BATCH
            assert client.head(ROWS).headers["upload-offset"] == str(len(BATCH))
        assert client.patch(ROWS, content=BATCH, headers=headers).status_code == 200
        assert client.get(ROWS).content == BATCH * 2


def test_a_killed_server_has_the_first_bytes(tmp_path: Path) -> None:
    """A server that is killed again and again while four senders write loses nothing that it acknowledged."""
    root = tmp_path / "collected"
    server, rounds = ReplicaServer(root), amount(2, long=50)
    local = {f"{RECORD}/metrics/m{number}/0001-a.jsonl": BATCH * 10 * rounds for number in range(4)}
    sent = dict.fromkeys(local, 0)
    chance = random.Random(4)  # noqa: S311 - the same each time

    def ship(path: str, *, stop: threading.Event) -> None:
        """Deliver a file, from where the server is."""
        while sent[path] < len(local[path]) and not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                data = local[path][sent[path] : sent[path] + len(BATCH)]
                sent[path] = server.ask("PATCH", path, data, Upload_Offset=str(sent[path])).offset

    try:
        for _ in range(rounds):
            stop = threading.Event()
            threads = [threading.Thread(target=ship, args=(path,), kwargs={"stop": stop}) for path in local]
            for thread in threads:
                thread.start()
            aim = sum(sent.values()) + chance.randrange(sum(map(len, local.values())) // rounds)
            while sum(sent.values()) < aim and any(thread.is_alive() for thread in threads):
                time.sleep(0.001)
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
            for path, data in local.items():
                file = root / f"alice/p/x/.record{path.removeprefix(RECORD)}"
                copy = file.read_bytes() if file.exists() else b""
                assert data.startswith(copy)
                assert len(copy) >= sent[path]
            server.start()
        for path, data in local.items():
            ship(path, stop=threading.Event())
            assert server.ask("GET", path).body == data
    finally:
        server.kill()


def test_what_is_acknowledged_was_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an answer confirms is on disk: the file, and its entry in each folder up to the root.

    A server that has just started confirms nothing that the last one has not synced.
    """
    synced: set[int] = set()
    fsync = os.fsync

    def observed(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", observed)
    served = replica_sites.site(tmp_path / "collected")
    content, verdict = b"weights", f"{RECORD}/openings/0001-a.verdict.json"
    sent = {"Upload-Offset": "0", "Upload-Length": str(len(content))}
    model = content_path(hashlib.sha256(content).hexdigest())
    asked = {
        ROWS: ("PATCH", ROWS, BATCH, {"Upload-Offset": "0"}),
        verdict: ("PUT", verdict, b"{}", {}),
        model: ("PATCH", model, content, sent),
        f"HEAD {ROWS}": ("HEAD", ROWS, b"", {}),
        f"HEAD {model}": ("HEAD", model, b"", {}),
        f"sizes {ROWS}": ("GET", RECORD, b"", {}),
    }
    for again in (False, True):
        for name, (method, path, body, headers) in asked.items():
            client = replica_sites.client(served)  # as after a restart
            synced.clear()
            assert client.request(method, path, content=body, headers=headers).is_success
            file = served.home / name.rpartition(" ")[2].removeprefix("/v1/records/")
            above = [folder for folder in file.parents if folder.is_relative_to(served.home)]
            assert {each.stat().st_ino for each in (file, *above)} <= synced, (name, again)


def test_a_read_only_disk_is_read(tmp_path: Path) -> None:
    """Replicas on a disk that became read-only can be listed and read; a write is a fault of the server."""
    with small_disks.mounted(tmp_path / "disk", 1024):
        client = replica_sites.client(replica_sites.site(tmp_path / "disk/collected"))
        assert client.patch(ROWS, content=BATCH, headers={"Upload-Offset": "0"}).is_success
        small_disks.mount("-o", "remount,ro", str(tmp_path / "disk"))
        restarted = replica_sites.client(replica_sites.site(tmp_path / "disk/collected"))
        assert list(restarted.get(RECORD).json()["files"].values()) == [len(BATCH)]
        assert restarted.head(ROWS).headers["upload-offset"] == str(len(BATCH))
        assert restarted.get(ROWS).content == BATCH
        answer = restarted.patch(ROWS, content=BATCH, headers={"Upload-Offset": str(len(BATCH))})
        assert (answer.status_code, answer.json()["code"]) == (500, "cannot_write")
