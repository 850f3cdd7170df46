"""What removals keep until it has arrived on its server, and the records that are only kept until then."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerError, NotOverError, UsageError
from nemorun_cli.system import trees
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox import delivery, markers, notes
from nemorun_cli.tracking.store import presence, record_paths, sessions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.storage.paths import Home
    from nemorun_cli.tracking.store.record_paths import Place

RECORDS: Final = "records"  # in the outbox of a home: the records of `dash_root=None`
REMOVED: Final = "removed-"  # begins the name of a record that is being deleted, in its outbox


def not_arrived(what: str, url: str, *, root: str | None = None) -> NotOverError:
    """The error for a removal of something that its server has not completely."""
    option = f" --dash-root {shlex.quote(root)}" if root else ""
    return NotOverError(
        f"{what} cannot be removed: not all of it has arrived on {url}",
        hint=f"send it first: exp sync{option}; or remove it nevertheless: exp rm --force",
    )


def unsent_experiments(home: Home) -> dict[str, str]:
    """The server of each experiment that has not arrived there completely, by the experiment's folder."""
    return {
        folder: outbox.url
        for outbox in notes.outboxes_of_home(str(home.directory))
        for folder in notes.marked(outbox, "experiment")
    }


def delivered(home: Home) -> Iterator[tuple[Place, int]]:
    """The records with `dash_root=None` that have ended and are on their server, with their bytes."""
    for place, boxes in _records(home):
        with contextlib.suppress(LedgerError, OSError):
            if any(place.prefix not in marked and _is_delivered(place, outbox) for outbox, marked in boxes):
                yield place, trees.size(place.record)


def undelivered(home: Home) -> Iterator[tuple[Place, str]]:
    """The records with `dash_root=None` that have ended and are not on their server yet, with its address."""
    for place, boxes in _records(home):
        with contextlib.suppress(LedgerError, OSError):
            if _is_over(place):
                for outbox, marked in boxes:
                    if place.prefix in marked or not _is_delivered(place, outbox):
                        yield place, outbox.url


def kept_records(home: Home) -> dict[str, int]:
    """How many records are in a home only until their server has them, by their folder, if there are any."""
    counts: dict[str, int] = {}
    for root in _roots(home):
        with contextlib.suppress(LedgerError, UsageError, OSError):
            if count := sum(1 for _ in reader.prefixes(root)):
                counts[root] = count
    return counts


def _roots(home: Home) -> list[str]:
    above = f"{home.directory}/{markers.HOME_FOLDER}"
    with contextlib.suppress(OSError):
        return [f"{above}/{name}/{RECORDS}" for name in sorted(os.listdir(above))]  # noqa: PTH208 - it is text
    return []


def _records(home: Home) -> Iterator[tuple[Place, list[tuple[markers.Outbox, frozenset[str]]]]]:
    """The records with `dash_root=None`, each with its outboxes and the prefixes that had markers before."""
    for root in _roots(home):
        boxes = [(outbox, notes.marked(outbox, "prefix")) for outbox in notes.outboxes(root)]
        with contextlib.suppress(LedgerError, OSError):
            for prefix in list(reader.prefixes(root)):
                yield record_paths.Place(root, prefix), boxes


def _is_delivered(place: Place, outbox: markers.Outbox) -> bool:
    """Whether a record has ended on this machine, and the server has acknowledged each byte of it."""
    known, local = delivery.acknowledged(outbox, place.prefix), delivery.sizes(place)
    if not local or any(known.get(path, -1) < size for path, size in local.items()):
        return False
    return _is_over(place)


def _is_over(place: Place) -> bool:
    """Whether all openings of a record have ended, but for copies of other machines' ones."""
    try:
        return all(
            opening.is_over or sessions.is_copy(place.opening(opening.id), opening.facts)
            for opening in sessions.read_all(place)[0]
        )
    except LedgerError:
        return False


def remove_delivered(home: Home, folder: Path) -> str | None:
    """Delete a record that is on its server; returns None if it no longer exists, else why it stays."""
    path = str(folder)
    root = next((root for root in _roots(home) if path.startswith(f"{root}/")), None)
    if root is None:
        return "it is in no outbox"
    place = record_paths.Place(root, path[len(root) + 1 :].removesuffix(f"/{record_paths.RECORD}"))
    try:
        held = presence.hold(place.openings, is_removal=True)
    except BlockingIOError:
        return "it is being opened"
    try:
        outbox = next((outbox for outbox in notes.outboxes(root) if _is_delivered(place, outbox)), None)
        if outbox is None or place.prefix in notes.marked(outbox, "prefix"):
            return None if not os.path.exists(path) else "it has changed"  # noqa: PTH110 - it is text
        removed = f"{outbox.folder}/{REMOVED}{record_paths.unique()}"
        os.rename(path, removed)  # noqa: PTH104 - it is text
    finally:
        if held is not None:
            os.close(held)
    for name in os.listdir(outbox.folder):  # noqa: PTH208 - it is text
        if name.startswith(REMOVED):  # also what a crash left
            trees.remove(f"{outbox.folder}/{name}")
    with contextlib.suppress(OSError):
        os.unlink(markers.acknowledged_file(outbox, place.prefix))  # noqa: PTH108 - it is text
        above = os.path.dirname(path)  # noqa: PTH120 - it is text
        while len(above) > len(root):
            os.rmdir(above)  # noqa: PTH106 - it is text
            above = os.path.dirname(above)  # noqa: PTH120 - it is text
    return None
