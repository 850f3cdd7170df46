"""Has a change of a record shipped that comes after its end: a tag, a note, a verdict."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from nemorun_cli.errors import LedgerError
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
