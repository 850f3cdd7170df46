"""Contents that the rows of a record's files name, and that a server does not have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.serve.store.replica_addresses import kind_of
from nemorun_cli.system.files import open_to_read
from nemorun_cli.tracking.store import row_files, sessions
from nemorun_cli.tracking.store.record_paths import RECORD, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_ONCE: Final = 8 << 20  # bytes of rows that are parsed at a time


class MissingContent(NamedTuple):
    """A content that is not there.

    Attributes:
        path: where it would be, below the record's folder.
        named_by: the file whose row names it, below the same folder.
        has_ended: whether the opening that saved it has ended, so that it should have arrived.
    """

    path: str
    named_by: str
    has_ended: bool


def missing(root: Path, prefix: str) -> Iterator[MissingContent]:
    """The missing contents of a record, each once; nothing if the record was removed meanwhile."""
    place = Place(str(root), prefix)
    found: dict[str, MissingContent] = {}
    for source in row_files.sources(place.files):
        named = set(_named(source.path)) - found.keys()
        lost = {path for path in named if not os.path.lexists(f"{place.record}/{path}")}
        if lost:
            has_ended, index = _has_ended(place, source.opening), f"files/{Path(source.path).name}"
            found.update((path, MissingContent(path, index, has_ended)) for path in lost)
    if Path(place.record).is_dir():
        yield from found.values()


def _named(path: str) -> Iterator[str]:
    rest = b""
    try:
        with open_to_read(path, follows_link=False) as stream:
            while block := stream.read(_AT_ONCE):
                lines, end, rest = (rest + block).rpartition(b"\n")
                for row in row_files.parse(lines + end, path, "files")[0]:
                    checksum = row.get("saved", {}).get("checksum")
                    content = f"blobs/{str(checksum)[:2]}/{checksum}"
                    if kind_of(content, is_record=True) is not None:  # anybody may have written the row
                        yield content
    except OSError:  # the check of the file itself reports it
        return


def _has_ended(place: Place, opening: str) -> bool:
    try:
        session = sessions.read(place, opening)
    except (ExpError, OSError):  # as above
        return False
    return session is not None and session.state == "ended"


def prefix_of(path: str) -> str | None:
    """The prefix of a record, by the path of its folder below the root; None for another folder."""
    prefix, slash, last = path.rpartition("/")
    return prefix if slash and last == RECORD else None
