"""The files of an outbox as the sender alone uses them: its log, and the markers as they were read."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.model import clock
from nemorun_cli.system.files import descriptor_to_append
from nemorun_cli.tracking.outbox import notes

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from nemorun_cli.tracking.outbox.markers import Outbox

SUFFIX: Final = ".json"
MOST_MARKERS: Final = 20_000  # that are known at a time; the others follow when these are removed
LARGEST_LOG: Final = 1 << 20  # bytes of the log, and of the one before it
TAKEN: Final = ".taken-"  # begins the name of a marker that is being removed


ASKED: Final = "compare-"  # begins the name of a marker of `exp sync --url`: the server is asked what it has


class Marker(NamedTuple):
    """What is to be shipped, and the file that says so, as it was when it was read.

    `prefix` is a record, and `opening` one of its openings, if the marker is for one; `experiment` is the
    folder of an experiment.
    """

    name: str
    inode: int
    mtime_ns: int
    prefix: str | None
    opening: str | None
    experiment: str | None


def root_of(outbox: Outbox) -> str:
    """The folder of records, or the home, that an outbox belongs to."""
    return os.path.dirname(os.path.dirname(outbox.folder))


def markers(
    outbox: Outbox, known: Mapping[str, Marker] | None = None, *, stuck: Container[str] = ()
) -> dict[str, Marker]:
    """All markers by name, or as many as are known at a time.

    Args:
        outbox: whose they are.
        known: those of the last look: what has not changed is not read again.
        stuck: names of those that the others come before, if there are too many.
    """
    found: dict[str, Marker] = {}
    try:
        with os.scandir(outbox.pending) as entries:
            listed = [entry for entry in entries if entry.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return found
    if len(listed) > MOST_MARKERS:
        listed.sort(key=lambda entry: entry.name in stuck)
    for entry in listed[:MOST_MARKERS]:
        if entry.name.startswith(".") and not entry.name.startswith(TAKEN):
            continue  # it is being written
        name = entry.name.removeprefix(TAKEN)
        try:
            status = entry.stat(follow_symlinks=False)
            before = (known or {}).get(name)
            if before is not None and (before.inode, before.mtime_ns) == (status.st_ino, status.st_mtime_ns):
                found[name] = before
            else:
                found[name] = _read(name, entry.path, status)
        except OSError:
            continue  # it was replaced meanwhile, or is no file
    return found


def _read(name: str, path: str, status: os.stat_result) -> Marker:
    fields = notes.marker_fields(path)
    return Marker(name, status.st_ino, status.st_mtime_ns, *fields)


def remove(outbox: Outbox, marker: Marker) -> None:
    """Remove a marker unless it was written again since it was read."""
    path, taken = f"{outbox.pending}/{marker.name}", f"{outbox.pending}/{TAKEN}{marker.name}"
    with contextlib.suppress(FileNotFoundError):
        if os.path.exists(path):
            os.rename(path, taken)
        status = os.stat(taken, follow_symlinks=False)
        if (status.st_ino, status.st_mtime_ns) != (marker.inode, marker.mtime_ns):
            with contextlib.suppress(FileExistsError):  # it was written once more
                os.link(taken, path, follow_symlinks=False)
        os.unlink(taken)


def asks_again(name: str) -> bool:
    """Whether a marker wants what the server has compared with what is here."""
    return name.startswith(ASKED)


class SenderLog:
    """The log of a sender: a line per event, and of the same event in a row only the first.

    The file is replaced when it is large; the one before it is kept as `log.old`. No token is ever passed to
    it: messages are those of errors, which have none.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._path = outbox.log
        self._last = ""

    def write(self, text: str) -> None:
        """Append a line with the time; a full disk is no reason to end."""
        if text == self._last:
            return
        self._last = text
        line = f"{clock.stamp(time.time())} {os.getpid()} {' '.join(text.split())}\n".encode(errors="replace")
        with contextlib.suppress(OSError):
            descriptor = descriptor_to_append(self._path)
            try:
                if os.fstat(descriptor).st_size + len(line) > LARGEST_LOG:
                    os.replace(self._path, f"{self._path}.old")
                    os.close(descriptor)
                    descriptor = descriptor_to_append(self._path)
                os.write(descriptor, line[:4096])
            finally:
                os.close(descriptor)
