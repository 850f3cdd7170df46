"""Tags and notes that are added to a record from outside, next to its openings.

Each addition is a file of its own with one line, so that any process may add one at any time: no opening,
generation or status changes. The tags of a record are those of its latest opening that declares any, as all
additions, in the order of their times, leave them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.model import clock, labels
from nemorun_cli.system import owners
from nemorun_cli.tracking.store import json_values, row_files, row_writer, sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.tracking.store.record_paths import Place


def declared_tags(openings: Iterable[sessions.Session]) -> list[str]:
    """The tags of the latest opening that declares any."""
    tags = [opening.facts["tags"] for opening in openings if opening.facts.get("tags") is not None]
    return tags[-1] if tags else []


def retag(place: Place, change: labels.TagChange, *, by: str) -> list[str]:
    """Add and remove tags of a record, unless nothing would change; returns the tags that it has then.

    Raises:
        LedgerError: the folder of the record cannot be written.
        UsageError: it belongs to another user.
    """
    before = labels.current(declared_tags(sessions.read_all(place)[0]), read(place)[0])
    after = labels.current(before, [change])
    if after != before:
        tag(place, change, by=by)
    return after


def tag(place: Place, change: labels.TagChange, *, by: str) -> None:
    """Add and remove tags of a record.

    Raises:
        LedgerError: the folder of the record cannot be written.
        UsageError: it belongs to another user.
    """
    _append(place, {"tagged": {"added": list(change.added), "removed": list(change.removed)}}, by=by)


def note(place: Place, text: str, *, by: str) -> None:
    """Add a note to a record.

    Raises:
        LedgerError: the folder of the record cannot be written.
        UsageError: it belongs to another user.
    """
    _append(place, {"noted": text}, by=by)


def require_original(place: Place) -> None:
    """Refuse to change a record in the folder of a server, which has the files of its machine and no others.

    Raises:
        UsageError: it is a server's copy.
    """
    folder = place.record
    while (above := os.path.dirname(folder)) != folder:
        folder = above
        if sessions.is_collected(folder):
            raise UsageError(
                f"{place.prefix} is a server's copy, in {folder}, of a record of another machine, which is"
                " only read here",
                hint="do this on the machine that wrote it",
            )


def require_own(place: Place) -> None:
    """Refuse to add a file to a record of another user, who could not read it, nor the record then.

    Raises:
        UsageError: the record belongs to another user, or is a server's copy.
    """
    require_original(place)
    try:
        is_own = owners.is_own(place.record)
    except FileNotFoundError:
        return
    if not is_own:
        raise UsageError(
            f"{place.record} belongs to another user, who could not read what you add",
            hint="run the command as its owner",
        )


def _append(place: Place, fields: dict[str, Any], *, by: str) -> None:
    require_own(place)
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    writer = row_writer.Writer()
    writer.open(f"0000-{stamp}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        writer.append(place.labels, json_values.encode_row(now, {"by": by, **fields}))
    except OSError as error:
        raise LedgerError(f"cannot write {place.labels}: {error.strerror}") from error
    finally:
        writer.close()


def _stamp(seconds: Any) -> str:
    """The time of a row; empty if its clock was set to none that a calendar has."""
    try:
        return clock.stamp(float(seconds))
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def read(place: Place) -> tuple[list[labels.TagChange], list[labels.Note]]:
    """The changes of tags and the notes of a record, each in the order of their times.

    Raises:
        LedgerDamagedError: one of them cannot be read.
    """
    if not os.path.isdir(place.labels):  # as of most records
        return [], []
    changes: list[labels.TagChange] = []
    notes: list[labels.Note] = []
    rows, skipped = row_files.series(place.labels, kind="labels")
    row_files.warn_of(skipped)
    for row in rows:
        if "tagged" in row:
            changes.append(labels.TagChange(row["tagged"]["added"], row["tagged"]["removed"]))
        if "noted" in row:
            notes.append(labels.Note(_stamp(row.get("_ts")), row.get("by", ""), row["noted"]))
    return changes, notes
