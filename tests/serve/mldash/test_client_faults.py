"""ML-Dash's unmodified clients when answers are lost, tokens revoked, servers away, and many at once."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.cutting_proxy import CuttingProxy, SeenRequest, cutting_proxy
from support.extent import IS_LONG, amount
from support.ml_dash_clients import VERSIONS, MlDashClient, client, ended
from support.patience import eventually

from nemorun_cli.serve.tokens import Tokens
from nemorun_cli.tracking.access import reader

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from support.ml_dash_collector import Collector

    from nemorun_cli.tracking.experiment import Experiment

PROGRAM: Final = Path(__file__).parent / "programs" / "steady_run.py"
COUNT: Final = 120
OUTAGE: Final = 5.0 if IS_LONG else 1.0  # seconds without a server


@pytest.fixture
def proxy(collector: Collector) -> Iterator[CuttingProxy]:
    with cutting_proxy(collector.server.port) as made:
        yield made


@pytest.fixture
def clients(collector: Collector, tmp_path: Path) -> dict[str, MlDashClient]:
    """Both clients, each with a token of its own."""
    made = {short: client(short, tmp_path / f"home-{short}") for short in VERSIONS}
    for each in made.values():
        each.use_token(collector.token)
    return made


@contextlib.contextmanager
def halfway(
    clients: dict[str, MlDashClient], url: str, prefix: str, folder: Path, *more: str
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A program of each client that has logged half of its rows; after the block they continue."""
    running = {
        short: each.start(
            PROGRAM,
            url,
            f"{prefix}-{short}",
            short,
            str(COUNT),
            str(folder),
            *(f"{root}-{short}" for root in more),
        )
        for short, each in clients.items()
    }
    try:
        for short, process in running.items():
            eventually(lambda: (folder / f"half-{short}").exists() or process.poll() is not None)  # noqa: B023 - at once
        yield running
    finally:
        (folder / "go").touch()


def numbered(data: Experiment) -> dict[str, list[tuple[str, int]]]:
    """The writers and numbers of rows, lines and entries, in order."""
    lines = [line["message"].split(" ") for line in data.logs.read()]
    return {
        "metrics": [(row["w"], row["i"]) for row in data.metrics("m").read(attempts="all")],
        "logs": [(writer, int(number)) for writer, number in lines],
        "tracks": [(row["w"], row["i"]) for name in data.tracks.names() for row in data.tracks(name).read()],
    }


def check_all_once(data: Experiment, writers: dict[str, int], *, reorders: bool = False) -> None:
    """Each writer's rows are there once, in the order in which its client sent them."""
    for kind, found in numbered(data).items():
        expected = {w: n for w, n in writers.items() if kind != "tracks" or not w.startswith("0.6")}
        for writer, count in expected.items():
            numbers = [i for w, i in found if w == writer]
            assert (sorted(numbers) if reorders else numbers) == list(range(count)), (kind, writer)
        assert len(found) == sum(expected.values()), kind


def appends(request: SeenRequest) -> bool:
    return request.method == "POST" and request.path.partition("?")[0].endswith(
        ("/append-batch", "/append_batch", "/logs")
    )


def test_rows_whose_answer_is_lost_are_stored_once(
    collector: Collector, proxy: CuttingProxy, clients: dict[str, MlDashClient], tmp_path: Path
) -> None:
    """Both clients send a batch again whose answer was lost; each row is on the server once."""
    lost: set[str] = set()

    def loses(request: SeenRequest) -> bool:
        is_first = appends(request) and request.path not in lost
        lost.add(request.path)
        return is_first

    proxy.faults.loses = loses
    with halfway(clients, proxy.url, "alice/faults/lost", tmp_path) as running:
        pass
    for short, process in running.items():
        ended(process)
        check_all_once(collector.data(f"alice/faults/lost-{short}"), {short: COUNT})
        assert str(collector.record(f"alice/faults/lost-{short}").status) == "COMPLETED"
    assert sum(path.endswith("/logs") for path in lost) == 2


def test_a_client_whose_token_is_revoked_costs_the_server_little(
    collector: Collector, proxy: CuttingProxy, clients: dict[str, MlDashClient], tmp_path: Path
) -> None:
    """0.11 ends with an error; 0.6.27, which sends its batch again without end, less than once a second."""
    tokens = Tokens(collector.server.own)
    for short, each in clients.items():
        each.use_token(tokens.add("alice", name=f"revoked {short}").secret)
    with halfway(clients, proxy.url, "alice/faults/revoked", tmp_path) as running:
        tokens.revoke([each.id for each in tokens.all() if each.name.startswith("revoked")])
        proxy.seen.clear()
    new = running["0.11"]
    assert new.wait(60) != 0
    new.communicate()
    seen = len(proxy.seen)
    begin = time.monotonic()
    eventually(lambda: len(proxy.seen) >= seen + amount(2, long=10))
    rate = (len(proxy.seen) - seen) / (time.monotonic() - begin)
    old = running["0.6"]
    assert old.poll() is None
    old.kill()
    old.communicate()
    assert rate < 1.5  # of the first of these, a part of its wait was before
    for short in clients:
        assert str(collector.record(f"alice/faults/revoked-{short}").status) == "RUNNING"


def test_a_server_that_was_away_has_all_rows_once_afterwards(
    collector: Collector, proxy: CuttingProxy, clients: dict[str, MlDashClient], tmp_path: Path
) -> None:
    """Both clients in hybrid mode end COMPLETED, with all rows on the server."""
    local = tmp_path / "dash"
    clients = {short: each.with_variables(ML_DASH_RETRY_BASE_DELAY="1") for short, each in clients.items()}
    with halfway(clients, proxy.url, "alice/faults/away", tmp_path, str(local)) as running:
        proxy.disconnect()
    threading.Event().wait(OUTAGE)
    proxy.connect()
    for short, process in running.items():
        ended(process)
        record = collector.record(f"alice/faults/away-{short}")
        assert str(record.status) == "COMPLETED"
        # 0.6.27 puts a batch that failed behind later ones
        check_all_once(record.data(), {short: COUNT}, reorders=short == "0.6")


def test_many_processes_of_both_clients_share_one_record(
    collector: Collector, clients: dict[str, MlDashClient], tmp_path: Path
) -> None:
    """No row is lost or doubled, and each process keeps its order, with openings that overlap."""
    count, each_version = amount(300, long=2000), amount(1, long=4)
    prefix = "alice/faults/shared"
    running = {
        f"{short}-{number}": made.start(
            PROGRAM, collector.server.url, prefix, f"{short}-{number}", str(count), str(tmp_path)
        )
        for short, made in clients.items()
        for number in range(each_version)
    }
    for writer in running:
        eventually((tmp_path / f"half-{writer}").exists)
    (tmp_path / "go").touch()
    for process in running.values():
        ended(process)
    check_all_once(collector.data(prefix), dict.fromkeys(running, count))
    openings: Any = collector.record(prefix).openings
    assert [str(opening.status) for opening in openings] == ["COMPLETED"] * len(running)
    assert {opening.generation for opening in openings} == {1}
    assert reader.record(collector.root, prefix) is not None
