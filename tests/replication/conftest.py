"""What tests of replication share: a real server, a proxy before it, and records of this process to send."""

from __future__ import annotations

import filecmp
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cutting_proxy import CuttingProxy, Faults, cutting_proxy
from support.served import Served, served

from nemorun_cli.replication.sender import outbox_files, work
from nemorun_cli.replication.sender.turns import OutboxSender
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.outbox import markers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.tracking.outbox.markers import Outbox

PATIENCE = 20.0  # seconds


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


@dataclass
class Local:
    """A folder of records of this machine, whose server is behind the proxy.

    Attributes:
        root: the folder.
        outbox: of the folder and the server.
        replica: the folder of the server.
        prefix: of a record that no other test has.
    """

    root: Path
    outbox: Outbox
    replica: Path
    prefix: str

    def open(self, prefix: str | None = None) -> Experiment:
        """A record of this process; it prints nothing."""
        return Experiment(prefix or self.prefix, dash_root=self.root, print_logs=False)

    def mark(self, experiment: Experiment) -> None:
        """Have the sender ship it, as a program with `dash_url` does."""
        opening = experiment.run.opening or ""
        markers.mark(
            self.outbox, opening or f"change-{time.time_ns()}", prefix=experiment.prefix, opening=opening
        )

    def sender(self) -> OutboxSender:
        """A sender in this process."""
        return OutboxSender(self.outbox, outbox_files.SenderLog(self.outbox))

    def deliver(self, sender: OutboxSender | None = None) -> OutboxSender:
        """Turn until nothing is left that the server takes; pauses after faults are left out."""
        own = sender or self.sender()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            own._next_look = 0.0
            own._retry.at = 0.0
            if not own.turn() and own.is_done and own.error is None:
                return own
        raise AssertionError(f"not delivered: {own.to_json()}")

    def differences(self, prefix: str | None = None) -> list[str]:
        """What differs between a record here and on the server, as `diff -r` would name it."""
        here, there = (root / (prefix or self.prefix) / ".record" for root in (self.root, self.replica))
        return list(_differences(filecmp.dircmp(here, there, ignore=[])))

    @property
    def pending(self) -> list[str]:
        """The markers."""
        return sorted(path.name for path in Path(self.outbox.pending).iterdir())

    def outgoing(self, sender: OutboxSender) -> work.Work:
        """What the sender has of the record."""
        return sender._works[self.prefix]


def _differences(pair: filecmp.dircmp[str]) -> Iterator[str]:
    yield from (f"{pair.left}: only here: {name}" for name in pair.left_only)
    yield from (f"{pair.right}: only there: {name}" for name in pair.right_only)
    _, different, failed = filecmp.cmpfiles(pair.left, pair.right, pair.common_files, shallow=False)
    yield from (f"{pair.left}: differs: {name}" for name in [*different, *failed, *pair.common_funny])
    for inner in pair.subdirs.values():
        yield from _differences(inner)


@pytest.fixture
def local(tmp_path: Path, collector: Served, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch) -> Local:
    """A folder of records, and this process with a token for the server."""
    monkeypatch.chdir(tmp_path)  # no repository, whose changes would be recorded in the background
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EXP_DASH_URL", proxy.url)
    monkeypatch.setenv("EXP_TOKEN", collector.token)
    root = tmp_path / "dash"
    outbox = markers.of_records(str(root), proxy.url)
    markers.prepare(outbox)
    replica = collector.own.parent
    return Local(root, outbox, replica, f"alice/{tmp_path.name}/n")
