"""Records that name a server, and could not be marked for it, as on a full disk."""

from __future__ import annotations

import contextlib
import os

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox import delivery, markers
from nemorun_cli.tracking.store import record_paths


def mark(root: str) -> None:
    """Mark those of a folder of records, so that they are sent."""
    if not os.path.isdir(f"{root}/{markers.FOLDER}"):
        return
    boxes = delivery.Outboxes(root)
    with contextlib.suppress(OSError, UsageError):  # the folder cannot be read
        for prefix in reader.prefixes(root):
            if (url := boxes.missed(record_paths.Place(root, prefix))) is not None:
                outbox = markers.of_records(root, url)
                markers.mark(outbox, f"sync-{record_paths.unique()}", prefix=prefix)
