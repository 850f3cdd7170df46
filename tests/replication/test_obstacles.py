"""What is in the way of one thing, and how the sender and `exp sync` get on with the others."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cutting_proxy import answer

from nemorun_cli.cli.commands import login
from nemorun_cli.replication import experiment_source
from nemorun_cli.replication.client import Client
from nemorun_cli.replication.record_files import LocalFile, RecordSource
from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault
from nemorun_cli.replication.sender import delivery, known_roots, outbox_files, outgoing, process, turns
from nemorun_cli.replication.sender.outgoing import Outgoing, Pace
from nemorun_cli.replication.sender.waits import RetryTime
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.system import locks
from nemorun_cli.tracking.outbox import markers, sender_process

if TYPE_CHECKING:
    from support.cutting_proxy import CuttingProxy, SeenRequest
    from support.local_records import LocalRecords
    from support.served import Served

    from nemorun_cli.replication.sender.turns import OutboxSender


def error(status: str, code: str = "x", **headers: str) -> bytes:
    """An answer of a server of `exp`."""
    body = f'{{"format": "exp.error/1", "code": "{code}", "message": "no", "hint": null}}'.encode()
    return answer(status, body=body, Content_Type="application/json", **headers)


def logged(local: LocalRecords, prefix: str | None = None) -> None:
    """A marked record of a program that has ended, with rows and params."""
    with (record := local.open(prefix)).run:
        local.mark(record)
        record.params.set(lr=0.1)
        record.metrics.log(loss=1)


def test_labels_that_a_killed_program_left_torn_arrive(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels without the end of their last line are waited for, and after some seconds sent as they are."""
    logged(local)
    torn = local.root / local.prefix / ".record" / "labels" / "torn.jsonl"
    torn.parent.mkdir(exist_ok=True)
    torn.write_bytes(b'{"tags": ["a')
    sender = local.sender()
    sender.turn()
    assert sender.is_behind
    assert not (local.replica / local.prefix / ".record" / "labels" / "torn.jsonl").exists()
    monkeypatch.setattr(outgoing, "TORN", 0.05)
    local.deliver(sender)
    assert local.differences() == []
    assert local.pending == []


@pytest.mark.parametrize("kind", ["params", "blobs"])
def test_a_file_at_which_the_server_fails_is_left_alone(
    local: LocalRecords, proxy: CuttingProxy, kind: str
) -> None:
    """A file that the server answers with 500 holds up neither its record nor others."""
    other = f"{local.prefix}/other"
    logged(local, other)
    with (record := local.open()).run:
        local.mark(record)
        record.params.set(lr=0.1)
        record.files.save_blob(b"one", to="one.bin")
        record.files.save_blob(b"another", to="another.bin")
    [*_, bad] = [
        file.path for file in RecordSource(str(local.root), local.prefix).files() if kind in file.path
    ]
    proxy.faults.answers = lambda request: (
        error("500 Oops", "cannot_write") if request.method == "PATCH" and bad in request.path else None
    )
    sender = local.deliver()
    assert local.differences(other) == []
    assert len(local.differences()) == 1
    problem = local.outgoing(sender).outgoing.problems[bad]
    assert problem.fault == "broken"
    assert len(local.pending) == 1
    proxy.faults.answers = lambda _: None
    local.outgoing(sender).outgoing.retry()
    local.deliver(sender)
    assert local.differences() == []


def test_a_server_that_always_fails_makes_no_file_a_problem(local: LocalRecords, proxy: CuttingProxy) -> None:
    """While the server takes nothing at all, its 500 concerns all, and no file is left alone for minutes."""
    logged(local)
    proxy.faults.answers = lambda request: error("500 Oops") if request.method in {"PATCH", "PUT"} else None
    sender = local.sender()
    for _ in range(10):
        sender._retry.at = 0.0
        sender.turn()
    assert sender.failures == 10
    assert local.outgoing(sender).outgoing.problems == {}


def test_a_quota_holds_up_one_owner_alone(local: LocalRecords, proxy: CuttingProxy) -> None:
    """507 `quota` is a problem of the record, and the records of others arrive."""
    other = f"{local.prefix}/other"
    logged(local)
    logged(local, other)

    def full(request: SeenRequest) -> bytes | None:
        is_writing = request.method in {"PATCH", "PUT"} and "/other/" not in request.path
        return error("507 Insufficient Storage", "quota") if is_writing else None

    proxy.faults.answers = full
    sender = local.deliver()
    assert local.differences(other) == []
    problem = local.outgoing(sender).worst
    assert problem is not None
    assert problem.fault == "quota"
    assert len([request for request in proxy.seen if full(request)]) == 1


def test_a_quota_without_space_for_a_content_lets_rows_pass(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A content that is too large for the quota is left alone, and the rows of its record arrive."""
    with (record := local.open()).run:
        local.mark(record)
        record.files.save_blob(b"content", to="b.bin")
        proxy.faults.answers = lambda request: (
            error("507 Insufficient Storage", "quota") if "/blobs/" in request.path else None
        )
        sender = local.deliver()
        record.metrics.log(loss=1)
    local.deliver(sender)
    [difference] = local.differences()
    assert "blobs" in difference
    problem = local.outgoing(sender).worst
    assert problem is not None
    assert (problem.fault, len(local.pending)) == ("quota", 1)


def test_a_file_that_cannot_be_read_is_not_the_token(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local error is reported as what it is, for its file alone, and the others arrive at once."""
    logged(local)
    with (record := local.open(f"{local.prefix}/bad")).run:
        local.mark(record)
        record.files.save_blob(b"content", to="b.bin")
    read = RecordSource.read

    def reads(source: RecordSource, path: str, offset: int, most: int) -> bytes:
        if path.startswith("files/"):
            raise OSError(errno.EIO, "Input/output error")
        return read(source, path, offset, most)

    monkeypatch.setattr(RecordSource, "read", reads)
    sender = local.deliver()
    assert (sender.failures, sender.error) == (0, None)
    assert local.differences() == []
    [(path, problem)] = sender._works[f"{local.prefix}/bad"].outgoing.problems.items()
    assert path.startswith("files/")
    assert problem.fault == "unreadable"
    assert "Input/output error" in problem.message


def test_a_record_that_was_refused_is_never_taken_for_delivered(local: LocalRecords) -> None:
    """A sender that is woken while all of a record is refused keeps its marker, as often as that happens."""
    logged(local, f"bob/{local.prefix}")
    sender = local.deliver()
    for number in range(3):
        logged(local, f"{local.prefix}/{number}")
        markers.wake(local.outbox)
        sender.turn()  # without a look at the files, which were forgotten with the refusal
        assert len(local.pending) == 1 + 1
        local.deliver(sender)
        assert len(local.pending) == 1
        assert local.differences(f"{local.prefix}/{number}") == []
        markers.wake(local.outbox)
        sender._next_look = time.monotonic() + 60
        sender.turn()
        assert len(local.pending) == 1
    local.deliver(sender)
    problem = sender._works[f"bob/{local.prefix}"].worst
    assert problem is not None
    assert problem.fault == "forbidden"


class _Experiment:
    """An experiment that belongs to the user of the token."""

    label = "x"

    def __init__(self) -> None:
        self.owner = "alice"

    @property
    def address(self) -> str:
        if not self.owner:
            raise experiment_source.LedgerError("the home has no key")
        return f"/v1/experiments/{self.owner}/home-00000000/tried_20261130-000000"

    def files(self) -> list[LocalFile]:
        return [LocalFile("labelled", FileKind.WHOLE, 2, 1)]

    def read(self, path: str, offset: int, most: int) -> bytes:
        del path
        return b"{}"[offset : offset + most]


def test_an_address_that_is_unknown_is_a_problem_of_its_own(local: LocalRecords, collector: Served) -> None:
    """An experiment of which no address can be made is left alone, with the reason."""
    source = _Experiment()
    source.owner = ""
    sending = Outgoing(source, Pace())
    sending.look()
    assert not sending.send_rows(Client(local.outbox.url, collector.token))
    assert sending.problems[""].fault == "unreadable"
    assert "no key" in sending.problems[""].message


def test_another_owner_begins_anew(local: LocalRecords, proxy: CuttingProxy, collector: Served) -> None:
    """After a login as another user, what the first one's copy has counts no longer."""
    source = _Experiment()
    sending = Outgoing(source, Pace())
    for source.owner in ("alice", "bob"):
        client = Client(local.outbox.url, collector.add_token(source.owner))
        sending.look()
        assert sending.send_rows(client)
        client.close()
    assert [request.path.split("/")[3] for request in proxy.seen if request.method == "PUT"] == [
        "alice",
        "bob",
    ]


def test_the_owner_is_that_of_the_token_in_use(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch, collector: Served
) -> None:
    """A sender that reads its token again also asks again whose it is."""
    logged(local)
    sender = local.sender()
    sender.turn()
    assert experiment_source.owner(local.outbox.url) == "alice"
    monkeypatch.setenv("EXP_TOKEN", collector.add_token("bob"))
    markers.wake(local.outbox)
    logged(local)
    sender._next_look = 0.0
    sender.turn()
    assert experiment_source.owner(local.outbox.url) == "bob"


def test_an_owner_that_is_unknown_is_a_fault_of_the_server(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch, proxy: CuttingProxy
) -> None:
    """Without an answer to whose the token is, the server is away; with a refusal, the token is refused."""
    experiment_source.forget_owners()
    proxy.faults.hangs = False
    proxy.faults.answers = lambda _: b"SSH-2.0\r\n\r\n"
    with pytest.raises(RemoteError) as away:
        experiment_source.owner(local.outbox.url)
    assert away.value.fault is RemoteFault.AWAY
    proxy.faults.answers = lambda _: None
    monkeypatch.setenv("EXP_TOKEN", "wrong")
    with pytest.raises(RemoteError) as refused:
        experiment_source.owner(local.outbox.url)
    assert refused.value.fault is RemoteFault.TOKEN
    experiment_source.forget_owners()


def test_a_server_that_asks_to_wait_is_not_hurried() -> None:
    """`Retry-After` is a floor, whatever wakes the sender; other pauses end at once."""
    retry = RetryTime()
    retry.failed(RemoteError(RemoteFault.BUSY, "busy", retry_after=60.0))
    retry.hurry()
    assert not retry.is_due
    assert retry.at - time.monotonic() > 50
    retry.succeeded()
    for fault in (RemoteFault.BUSY, RemoteFault.TOKEN):
        retry.failed(RemoteError(fault, "no"))
        retry.hurry()
        assert retry.is_due


def test_sync_does_not_wait_minutes_for_a_busy_server(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A server that asks `exp sync` to wait for long is reported at once, with the time that it asks for."""
    logged(local)
    proxy.faults.answers = lambda request: (
        error("429 Too Many", Retry_After="300") if request.method == "PATCH" else None
    )
    begin = time.monotonic()
    report = delivery.deliver(local.outbox, delivery.SyncChoice(), show=lambda _: None)
    assert time.monotonic() - begin < 10
    assert report.state is delivery.DeliveryState.AWAY
    assert report.error is not None
    assert "it asks to wait 300 s" in report.error["message"]


def test_an_outbox_that_cannot_be_read_for_a_moment_ends_no_sender(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a free descriptor, or with a stale handle, a sender looks again later."""
    logged(local)
    listing = outbox_files.markers

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(outbox_files, "markers", fails)
    sender = local.sender()
    assert not sender.turn()
    assert "Too many open files" in Path(local.outbox.log).read_text(encoding="utf-8")
    assert sender._next_look > time.monotonic()
    with monkeypatch.context() as context:
        context.setattr(os, "stat", fails)
        assert sender._has_outbox()
    monkeypatch.setattr(outbox_files, "markers", listing)
    local.deliver(sender)
    assert local.differences() == []


def test_what_is_refused_hides_no_later_marker(
    local: LocalRecords, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more markers than are known at a time, those of what is refused are left out first."""
    monkeypatch.setattr(outbox_files, "MOST_MARKERS", 2)
    for index in range(4):
        logged(local, f"bob/{local.prefix}/{index}")
    sender = local.deliver()
    logged(local)
    local.deliver(sender)
    for _ in range(3):
        local.deliver(sender)
    assert local.differences() == []
    tried = [request.path.partition("/.record")[0] for request in proxy.seen if request.method == "PATCH"]
    assert sorted(path for path in tried if "/bob/" in path) == [
        f"/v1/records/bob/{local.prefix}/{index}" for index in range(4)
    ]


@pytest.mark.parametrize("reason", ["away", "unauthorized"])
def test_a_sender_without_success_ends_some_time(
    local: LocalRecords, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """After an hour without an acknowledgement, and with no opening alive, it ends; its marker stays."""
    monkeypatch.setattr(turns, "PATIENCE", 0.3)
    if reason == "unauthorized":
        monkeypatch.setenv("EXP_TOKEN", "wrong")
    else:
        proxy.faults.answers = lambda _: b"SSH-2.0\r\n\r\n"
    logged(local)
    process.ship(local.outbox, linger=60.0)
    text = Path(local.outbox.log).read_text(encoding="utf-8")
    assert "ended: nothing has arrived for long" in text
    assert len(local.pending) == 1
    assert not locks.is_held(Path(local.outbox.lock))


def test_a_sender_stays_while_a_program_writes(local: LocalRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away for longer is tried while an opening is alive, also one not begun with."""
    monkeypatch.setattr(turns, "PATIENCE", -1.0)
    monkeypatch.setenv("EXP_TOKEN", "wrong")
    for most in (16, 0):
        monkeypatch.setattr(turns, "MOST_BEHIND", most)
        with (record := local.open(f"{local.prefix}/{most}")).run:
            local.mark(record)
            sender = local.sender()
            sender.turn()
            assert bool(sender._waiting) is (most == 0)
            assert not sender._gives_up()
            assert not sender._gives_up(), "it is not looked at each time"
        assert _has_ended(sender)


def _has_ended(sender: OutboxSender) -> bool:
    sender._gives_up_at = sender._next_look = 0.0
    sender.turn()
    return sender._gives_up()


def test_a_login_starts_a_sender_that_has_ended(local: LocalRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a token is sent after a login, whether a sender is still there or not."""
    started: list[str] = []
    monkeypatch.setattr(sender_process, "ensure", lambda outbox: started.append(outbox.folder))
    delivery.hurry(local.outbox)
    assert started == [], "nothing waits"
    logged(local)
    delivery.hurry(local.outbox)
    assert started == [local.outbox.folder]
    known_roots.note(local.outbox)
    login._hurry_senders(local.outbox.url)
    assert started == [local.outbox.folder] * 2, "in any folder of records that is noted"
    login._hurry_senders("https://exp.example.org")
    assert len(started) == 2
