"""A backlog of many small files is sent with several of them in one request."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from support.cutting_proxy import Faults, answer

from nemorun_cli.model import clock

if TYPE_CHECKING:
    from support.cutting_proxy import CuttingProxy
    from support.local_records import LocalRecords

COUNT = 12  # records


def many(local: LocalRecords) -> list[str]:
    """A number of records with a few small files each."""
    prefixes = [f"{local.prefix}{number}" for number in range(COUNT)]
    for prefix in prefixes:
        with (record := local.open(prefix)).run:
            local.mark(record)
            record.params.set(lr=0.1)
            record.metrics.log(loss=1)
            record.metrics("eval").log(loss=1)
            record.log("begins")
    return prefixes


def test_a_backlog_takes_a_request_for_each_record(local: LocalRecords, proxy: CuttingProxy) -> None:
    """Many records with few small files take less than two requests each, and are equal in the end."""
    prefixes = many(local)
    local.deliver()
    assert [local.differences(prefix) for prefix in prefixes] == [[]] * COUNT
    assert local.pending == []
    assert len(proxy.seen) <= 2 * COUNT


def test_batches_that_are_cut_or_lost_store_nothing_twice(local: LocalRecords, proxy: CuttingProxy) -> None:
    """Batches that are cut anywhere, and whose answers are lost, end in the same bytes."""
    chance = random.Random(5)  # noqa: S311 - the same each time
    proxy.faults = Faults(
        cuts=lambda request: int(request.size * chance.random()) if chance.random() < 0.3 else None,
        loses=lambda _: chance.random() < 0.3,
    )
    prefixes = many(local)
    local.deliver()
    assert [local.differences(prefix) for prefix in prefixes] == [[]] * COUNT


def test_a_server_that_knows_no_batches_gets_single_files(local: LocalRecords, proxy: CuttingProxy) -> None:
    """Only where `hello` names them are batches sent; an older server gets each file by itself."""
    hello = {"format": "exp.hello/1", "server": "exp", "version": "1", "protocols": ["1.0"]}
    body = json.dumps({**hello, "time": clock.stamp()}).encode()
    proxy.faults.answers = lambda request: (
        answer("200 OK", body=body, Content_Type="application/json") if request.path == "/v1/hello" else None
    )
    prefixes = many(local)
    local.deliver()
    assert [local.differences(prefix) for prefix in prefixes] == [[]] * COUNT
    assert not any(request.method == "PATCH" and ".record/" not in request.path for request in proxy.seen)


def test_a_batch_at_which_the_server_fails_is_sent_as_single_files(
    local: LocalRecords, proxy: CuttingProxy
) -> None:
    """After a request with several files that is answered with 500, each file has a request of its own."""
    proxy.faults.answers = lambda request: (
        answer("500 Oops", body=b"{}", Content_Type="application/json")
        if request.method == "PATCH" and ".record/" not in request.path
        else None
    )
    prefixes = many(local)
    sender = local.deliver()
    assert [local.differences(prefix) for prefix in prefixes] == [[]] * COUNT
    assert sender.failures <= COUNT


def test_a_file_of_a_batch_that_is_refused_is_left_alone(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A file that the server refuses as a part of a batch is a problem of its own, and the others arrive."""
    prefixes = many(local)
    for prefix in prefixes[:-1]:
        folder = local.replica / prefix / ".record" / "params"
        folder.mkdir(parents=True)
        (folder / next((local.root / prefix / ".record" / "params").iterdir()).name).mkdir()
    sender = local.deliver()
    assert local.differences(prefixes[-1]) == []
    for prefix in prefixes[:-1]:
        problems = sender._works[prefix].outgoing.problems
        assert [path.partition("/")[0] for path in problems] == ["params"]
    assert any(request.method == "PATCH" and ".record/" not in request.path for request in proxy.seen)
