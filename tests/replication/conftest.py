"""What tests of replication share: a real server, a proxy before it, and records of this process to send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.cutting_proxy import CuttingProxy, Faults, cutting_proxy
from support.local_records import LocalRecords
from support.served import Served, served

from nemorun_cli.tracking.outbox import markers
from nemorun_cli.tracking.process import git_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that collects, shared by all tests; each has prefixes of its own."""
    with served(tmp_path_factory.mktemp("collector")) as server:
        server.token = server.add_token("alice")
        yield server


@pytest.fixture(scope="session")
def shared_proxy(collector: Served) -> Iterator[CuttingProxy]:
    """The proxy that all tests share."""
    with cutting_proxy(collector.port) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: CuttingProxy) -> CuttingProxy:
    """A proxy before the server, without faults, that has seen nothing."""
    shared_proxy.faults = Faults()
    shared_proxy.seen.clear()
    return shared_proxy


@pytest.fixture
def local(
    tmp_path: Path, collector: Served, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> LocalRecords:
    """A folder of records, and this process with a token for the server."""
    monkeypatch.setattr(git_state, "take_diff", lambda *_: None)  # it works in the background for a second
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EXP_DASH_URL", proxy.url)
    monkeypatch.setenv("EXP_TOKEN", collector.token)
    root = tmp_path / "dash"
    outbox = markers.of_records(str(root), proxy.url)
    markers.prepare(outbox)
    replica = collector.own.parent
    return LocalRecords(root, outbox, replica, f"alice/{tmp_path.name}/n")
