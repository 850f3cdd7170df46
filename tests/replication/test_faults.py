from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from support.cutting_proxy import Faults, answer
from support.extent import amount

from nemorun_cli.replication.remote_errors import RemoteFault
from nemorun_cli.tracking.outbox import notes

if TYPE_CHECKING:
    from support.cutting_proxy import CuttingProxy, SeenRequest
    from support.local_records import LocalRecords


def test_a_record_arrives_byte_for_byte(local: LocalRecords) -> None:
    """All files of a record are the same on the server, and then its marker is removed."""
    with (record := local.open()).run:
        local.mark(record)
        record.params.set(lr=0.1)
        for step in range(100):
            record.metrics("train/loss").log(loss=step, step=step)
        record.log("hello")
        record.tracks("robot/pose").append(x=1.0, _ts=1.0)
        record.files.save_blob(os.urandom(3 << 20), to="model.bin")
        sender = local.deliver()
        assert local.pending, "it is still written"
    local.deliver(sender)
    assert local.differences() == []
    assert local.pending == []


@pytest.mark.parametrize("part", [index / amount(6, long=100) for index in range(amount(6, long=100))])
def test_what_was_cut_is_continued(local: LocalRecords, proxy: CuttingProxy, part: float) -> None:
    """A batch, or a content, whose upload is cut anywhere is continued where the server has it."""
    with (record := local.open()).run:
        local.mark(record)
        for step in range(2000):
            record.metrics.log(loss=step)
        record.files.save_blob(os.urandom(300_000), to="b.bin")
    cut: set[str] = set()

    def cuts(request: SeenRequest) -> int | None:
        kind = "/blobs/" if "/blobs/" in request.path else "/metrics/"
        if request.method != "PATCH" or kind in cut or kind not in request.path:
            return None
        cut.add(kind)
        return int(request.size * part)

    proxy.faults.cuts = cuts
    local.deliver()
    assert cut == {"/blobs/", "/metrics/"}
    assert local.differences() == []


def test_a_lost_answer_stores_nothing_twice(local: LocalRecords, proxy: CuttingProxy) -> None:
    """What the server stored without the client knowing is not stored again."""
    lost: set[str] = set()
    proxy.faults.loses = lambda request: (
        request.method != "GET" and (request.line not in lost and not lost.add(request.line))
    )
    with (record := local.open()).run:
        local.mark(record)
        record.params.set(lr=0.1)
        record.metrics.log(loss=1)
        record.files.save_blob(b"x" * 100_000, to="b.bin")
    local.deliver()
    assert len(lost) >= 6
    assert local.differences() == []


def test_a_server_with_other_bytes_keeps_them(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A record that was lost here and begun again under the same names is not mixed with the one there."""
    with (record := local.open()).run:
        local.mark(record)
        record.metrics.log(loss=1)
        record.metrics.log(loss=2)
    local.deliver()
    [here] = (local.root / local.prefix / ".record" / "metrics").rglob("*.jsonl")
    [there] = (local.replica / local.prefix / ".record" / "metrics").rglob("*.jsonl")
    before = there.read_bytes()
    for content in (before[:10], b"{}\n" + before):
        here.write_bytes(content)
        local.mark(record)
        sender = local.deliver()
        problem = local.outgoing(sender).worst
        assert problem is not None
        assert problem.fault == RemoteFault.DIVERGED
        assert here.name in problem.message
        assert sender.to_json()["error"]["code"] == "diverged"
        assert local.pending, "it is kept"
    assert there.read_bytes() == before
    assert not any(
        request.method in {"PUT", "DELETE"} and "metrics" in request.path for request in proxy.seen
    )


def test_a_bad_network_is_enough(local: LocalRecords, proxy: CuttingProxy) -> None:
    """On a slow way on which many requests are cut anywhere, all arrives, rows and contents."""
    proxy.faults = Faults(delay=amount(1, long=60) / 200, rate=amount(5_000_000, long=50_000), resets=0.25)
    with (record := local.open()).run:
        local.mark(record)
        for step in range(3000):
            record.metrics.log(loss=step)
        record.files.save_blob(os.urandom(400_000), to="b.bin")
    local.deliver()
    assert local.differences() == []


STALE = amount(3, long=30)


def test_a_stale_offset_is_corrected_by_the_server(local: LocalRecords) -> None:
    """A note of more or less than the server has costs a request, and no byte."""
    with (record := local.open()).run:
        local.mark(record)
        for step in range(STALE):
            record.metrics.log(loss=step)
            sender = local.deliver()
            known = local.outgoing(sender).outgoing.known
            wrong = {path: max(0, size + (-7 if step % 2 else 7)) for path, size in known.sizes.items()}
            notes.acknowledge(local.outbox, local.prefix, notes.Known(wrong, {}))
    local.deliver()
    assert local.differences() == []


def _page(status: str, **headers: str) -> bytes:
    return answer(status, body=b"<html>sign in</html>", Content_Type="text/html; charset=utf-8", **headers)


def _error(status: str, code: str = "x", **headers: str) -> bytes:
    body = f'{{"format": "exp.error/1", "code": "{code}", "message": "no", "hint": null}}'.encode()
    return answer(status, body=body, Content_Type="application/json", **headers)


ANSWERS = {
    "429": (_error("429 Too Many", Retry_After="7"), "busy", (7, 8)),
    "503 date": (
        _error(
            "503 Away",
            Retry_After="Mon, 30 Nov 2026 10:00:09 GMT",
            Date="Mon, 30 Nov 2026 10:00:00 GMT",
        ),
        "busy",
        (9, 10),
    ),
    "503 for a day": (_error("503 Away", Retry_After="86400"), "busy", (300, 301)),
    "503 nonsense": (_error("503 Away", Retry_After="soon"), "busy", (0.2, 1)),
    "500": (_error("500 Oops"), "broken", (0.2, 1)),
    "502 page": (_page("502 Bad Gateway"), "broken", (0.2, 1)),
    "507": (_error("507 Full"), "full", (0.2, 1)),
    "401": (_error("401 No"), "unauthorized", (25, 60)),
    "page": (_page("200 OK"), "not_an_exp_server", (0.2, 1)),
    "404 page": (_page("404 Not Found"), "not_an_exp_server", (0.2, 1)),
    "403 page": (_page("403 Forbidden"), "not_an_exp_server", (0.2, 1)),
    "302": (_page("302 Found", Location="http://127.0.0.1:1/login"), "not_an_exp_server", (0.2, 1)),
    "307": (answer("307 Temporary Redirect", Location="/elsewhere"), "not_an_exp_server", (0.2, 1)),
    "empty": (b"", "away", (0.2, 1)),
    "no http": (b"SSH-2.0-OpenSSH\r\n\r\n", "away", (0.2, 1)),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_concerns_all_is_waited_for(
    local: LocalRecords, proxy: CuttingProxy, case: str
) -> None:
    """What a server answers to a write decides how long the sender waits; then all arrives."""
    content, code, (least, most) = ANSWERS[case]
    with (record := local.open()).run:
        local.mark(record)
        record.metrics.log(loss=1)
    proxy.faults.answers = lambda request: content if request.method == "PATCH" else None
    if not content:
        proxy.faults = Faults(cuts=lambda request: 0 if request.method == "PATCH" else None)
    sender = local.sender()
    sender.turn()
    assert sender.error is not None
    assert (sender.error.fault, sender.failures) == (code, 1)
    assert least - 1 <= sender._retry.at - time.monotonic() <= most
    patches = [request for request in proxy.seen if request.method == "PATCH"]
    sender.turn()
    assert [request for request in proxy.seen if request.method == "PATCH"] == patches, "it waits"
    assert sender.to_json()["error"]["code"] == code
    assert "sign in" not in sender.error.message or code == "not_an_exp_server"
    proxy.faults = Faults()
    local.deliver(sender)
    assert local.differences() == []
    assert sender.error is None


def test_the_token_follows_no_redirect(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A redirect is not followed, not even on the same server, and `hello` does without the token."""
    with (record := local.open()).run:
        local.mark(record)
    target = f"{proxy.url}/elsewhere"
    proxy.faults.answers = lambda request: (
        answer("307 Temporary Redirect", Location=target) if "elsewhere" not in request.path else None
    )
    sender = local.sender()
    sender.turn()
    assert sender.error is not None
    assert "redirects" in sender.error.message
    assert [request.path for request in proxy.seen] == ["/v1/hello"]
    assert "authorization" not in proxy.seen[0].head.lower()


def test_what_is_too_large_is_sent_in_halves(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A proxy with a lower limit than the server's makes the batches and the pieces of contents smaller."""
    limit = 20_000
    proxy.faults.answers = lambda request: (
        _page("413 Request Entity Too Large") if request.method == "PATCH" and request.size > limit else None
    )
    with (record := local.open()).run:
        local.mark(record)
        record.files.save_blob(os.urandom(100_000), to="b.bin")
        for step in range(1000):
            record.metrics.log(noise=os.urandom(30).hex(), step=step)
    local.deliver()
    refused = [request for request in proxy.seen if request.size > limit]
    assert 1 <= len(refused) <= 20
    assert local.differences() == []


def test_one_file_that_is_refused_stops_no_other(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A file that the server does not accept is noted and left alone; the others arrive, the marker stays."""
    proxy.faults.answers = lambda request: (
        _error("422 Unprocessable", "bad_row") if "/params/" in request.path else None
    )
    with (record := local.open()).run:
        local.mark(record)
        record.params.set(lr=1)
        record.metrics.log(loss=1)
    sender = local.deliver()
    [difference] = local.differences()
    assert "params" in difference
    assert local.outgoing(sender).outgoing.problems.keys() == {f"params/{local.pending[0]}l"}
    proxy.faults = Faults()
    local.deliver()
    assert local.differences() == []
    assert local.pending == []
