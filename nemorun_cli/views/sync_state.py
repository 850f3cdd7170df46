"""What of an experiment has not arrived on its server, and why, by the files of the outboxes alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.executors import planning
from nemorun_cli.model import units
from nemorun_cli.storage.paths import LEDGER, Home
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.tracking.outbox.delivery import SenderState
    from nemorun_cli.tracking.outbox.markers import Outbox

MOST_RECORDS: Final = 200  # whose files are compared, of one experiment; the others count as marked


class ExperimentSync(NamedTuple):
    """How much of an experiment and of its records its server has not confirmed.

    Attributes:
        url: the server.
        pending: bytes; of files that no sender has looked at yet, only the ledger's.
        is_marked: whether something is still to be sent, or was not looked at.
        last: when the server last confirmed anything.
        error: why nothing is sent now, if that is known.
        is_sending: whether a sender is at work.
    """

    url: str
    pending: int
    is_marked: bool
    last: str | None
    error: str | None
    is_sending: bool = False

    def to_json(self) -> dict[str, Any]:
        """The field `sync`."""
        return {"url": self.url, "pending": self.pending, "last": self.last, "error": self.error}

    def text(self, *, is_over: bool) -> str:
        """What has not arrived, in a few words; empty if all has, or an experiment that runs is on its way.

        Args:
            is_over: whether nothing more comes.
        """
        if not self.is_marked or not (is_over or self.error):
            return ""
        left = units.size_text(self.pending) if self.pending else "the end"
        reason = "being sent" if self.is_sending else "no sender is at work; send it with: exp sync"
        return f"{left} not on {self.url} yet: {self.error or reason}"


def of_experiment(files: ExperimentFiles, spec: Spec) -> ExperimentSync | None:
    """How much of an experiment has not arrived; None if it is sent nowhere, or is a server's copy itself."""
    server = spec.server
    if server is None or files.is_replica:
        return None
    from nemorun_cli.tracking.outbox import delivery, markers, notes  # noqa: PLC0415 - only for specs with a server

    home = Home(files.home)
    own, pending, is_marked = markers.of_home(str(home.directory), server), 0, False
    states = [delivery.state(own, str(files.directory))]
    if str(files.directory) in notes.marked(own, "experiment"):
        is_marked, pending = True, _pending(files, delivery.acknowledged(own, str(files.directory)))
    root = os.path.abspath(planning.dash_root(spec, home.directory))  # noqa: PTH100 - as tracking does it
    records = markers.of_records(root, server)
    prefixes = _marked_records(records, planning.prefix(spec, files.id))
    for prefix in prefixes[:MOST_RECORDS]:
        pending += _pending_of_record(root, prefix, records)
        states.append(delivery.state(records, prefix))
    return ExperimentSync(
        url=server,
        pending=pending,
        is_marked=is_marked or bool(prefixes),
        last=max((state.last for state in states if state.last), default=None),
        error=_error(states) if is_marked or prefixes else None,
        is_sending=any(locks.is_held(Path(outbox.lock)) for outbox in (own, records)),
    )


def _marked_records(outbox: Outbox, prefix: str) -> list[str]:
    from nemorun_cli.tracking.outbox import notes  # noqa: PLC0415 - only for specs with a server

    marked = notes.marked(outbox, "prefix")
    return sorted(name for name in marked if name == prefix or name.startswith(f"{prefix}/"))


def _pending(files: ExperimentFiles, remote: dict[str, int]) -> int:
    """The bytes by which the ledger, and the files that the server has in part, are longer here."""
    return sum(max(0, _size(files.directory / path) - remote.get(path, 0)) for path in {*remote, LEDGER})


def _pending_of_record(root: str, prefix: str, outbox: Outbox) -> int:
    from nemorun_cli.tracking.outbox import delivery  # noqa: PLC0415 - only for specs with a server
    from nemorun_cli.tracking.store.record_paths import Place  # noqa: PLC0415 - the same

    local, remote = delivery.sizes(Place(root, prefix)), delivery.acknowledged(outbox, prefix)
    return delivery.pending_bytes(local, remote)


def _error(states: list[SenderState]) -> str | None:
    return next((state.error for state in states if state.error), None)


def _size(path: Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size  # noqa: PTH116 - of each file
    except OSError:
        return 0
