"""Requests to an experiment's supervisor, which any process may write to the ledger."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError
from nemorun_cli.model.clock import stamp
from nemorun_cli.storage import announcement, events
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.system import user
from nemorun_cli.system.files import descriptor_of_fifo, descriptor_to_append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.labels import TagChange
    from nemorun_cli.storage.paths import ExperimentFiles

WAKE: Final = b"!"  # through the FIFO: the ledger may have requests
VERIFY: Final = b"?"  # through the FIFO: the ledger may be damaged, read all of it


def wake(files: ExperimentFiles, *, message: bytes = WAKE) -> None:
    """Make a running supervisor check for requests now; does nothing if none is running."""
    with contextlib.suppress(OSError):
        descriptor = descriptor_of_fifo(files.wake, os.O_WRONLY)
        try:
            os.write(descriptor, message)
        finally:
            os.close(descriptor)


def request(
    files: ExperimentFiles,
    names: Sequence[str] | None,
    *,
    signal: str | None = None,
    grace: float | None = None,
    abandon: bool = False,
) -> None:
    """Write a request to cancel tasks, or with None the whole experiment, and return without waiting.

    `grace` is in seconds.
    """
    fields = {"tasks": names, "signal": signal, "grace": grace, "abandon": abandon or None}
    _append(
        files, events.CANCEL_REQUESTED, **{key: value for key, value in fields.items() if value is not None}
    )
    wake(files)


def tag(files: ExperimentFiles, change: TagChange) -> None:
    """Add and remove tags of an experiment, whether or not it runs."""
    _label(files, events.TAGGED, added=list(change.added), removed=list(change.removed))


def note(files: ExperimentFiles, text: str) -> None:
    """Add a note to an experiment, whether or not it runs."""
    _label(files, events.NOTED, text=text)


def _label(files: ExperimentFiles, kind: str, **fields: Any) -> None:
    """Append an event that lists look for; the file that makes them look for it comes first."""
    files.require_original()
    try:
        if not files.labelled.exists():  # it may be that of another user
            os.close(descriptor_to_append(files.labelled))
    except OSError as error:
        raise LedgerError(f"cannot write {files.labelled}: {error.strerror}") from error
    _append(files, kind, **fields)


def _append(files: ExperimentFiles, kind: str, **fields: Any) -> None:
    files.require_original()
    event = {"event": kind, "time": stamp(), "by": user.author(), **fields}
    with contextlib.closing(Ledger(files.ledger, files.ledger_lock)) as ledger:
        ledger.append([event])
    announcement.changed(files)
