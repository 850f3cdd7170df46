"""A folder of records whose outbox a test ships itself, and the folder of the server to compare with."""

from __future__ import annotations

import filecmp
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.extent import amount

from nemorun_cli.replication.sender import outbox_files, work
from nemorun_cli.replication.sender.turns import OutboxSender
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.outbox import markers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.tracking.outbox.markers import Outbox

PATIENCE: Final = amount(20, long=300)  # seconds


@dataclass
class LocalRecords:
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
