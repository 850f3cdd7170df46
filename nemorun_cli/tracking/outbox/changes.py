"""Has a change of a record shipped that comes after its end: a tag, a note, a verdict."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.tracking.outbox import addresses, markers, sender_process
from nemorun_cli.tracking.store import record_paths, sessions

if TYPE_CHECKING:
    from nemorun_cli.tracking.store.record_paths import Place


def changed(place: Place, *, starts_sender: bool = True) -> None:
    """Mark a record for the servers that its openings name; it costs nothing where no record is shipped.

    Args:
        place: the record.
        starts_sender: whether a sender is started here; a supervisor has its own.
    """
    if not os.path.isdir(f"{place.root}/{markers.FOLDER}"):
        return
    with contextlib.suppress(OSError, LedgerError):  # the change itself is written
        openings = sessions.read_all(place)[0]
        urls = {opening.facts.get("dash_url") for opening in openings}
        for url in sorted(url for url in urls if isinstance(url, str)):
            outbox = markers.of_records(place.root, url)
            markers.mark(outbox, f"change-{record_paths.unique()}", prefix=place.prefix)
            if starts_sender and not addresses.in_task():
                sender_process.ensure(outbox)


def mark_missed(root: str) -> None:
    """Mark the records of a folder that name a server, and could not be marked when they were opened."""
    from nemorun_cli.tracking.access import reader  # noqa: PLC0415 - it needs this module
    from nemorun_cli.tracking.outbox import delivery  # noqa: PLC0415 - few programs send a folder

    if not os.path.isdir(f"{root}/{markers.FOLDER}"):
        return
    boxes = delivery.Outboxes(root)
    with contextlib.suppress(OSError, UsageError):  # the folder cannot be read
        for prefix in reader.prefixes(root):
            if (url := boxes.missed(record_paths.Place(root, prefix))) is not None:
                outbox = markers.of_records(root, url)
                markers.mark(outbox, f"sync-{record_paths.unique()}", prefix=prefix)
