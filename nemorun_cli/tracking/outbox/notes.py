"""The formats of the files of an outbox: each is read and written here alone.

Programs and senders meet in these files, so that a reader takes anything: what cannot be read is absent.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.system.files import make_folder, read_bytes, write_whole
from nemorun_cli.tracking.outbox.markers import FOLDER, FORMAT, HOME_FOLDER, Outbox, acknowledged_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST_MARKER: Final = 1 << 16  # bytes, also of the file that names the server
LARGEST_SIZES: Final = 1 << 26  # bytes of the sizes of one record
LARGEST_STATE: Final = 1 << 24  # bytes
# Codes of the errors of a sender that are about the server or the way to it; the others are about one record.
OF_ALL: Final = frozenset(
    {"away", "busy", "full", "broken", "unauthorized", "no_token", "not_an_exp_server", "version"}
)


class MarkerFields(NamedTuple):
    """What a marker names: a record, and one of its openings if it is for one; or an experiment's folder."""

    prefix: str | None = None
    opening: str | None = None
    experiment: str | None = None


class Known(NamedTuple):
    """What a server has of a record or an experiment: a hint that saves requests, never the truth.

    `sizes` are in bytes; `whole` are the sizes and times of files that were sent whole, as they were here.
    """

    sizes: dict[str, int]
    whole: dict[str, tuple[int, int]]


def outbox_at(folder: str) -> Outbox | None:
    """The outbox in a folder; None if it has none."""
    values = _read(Outbox(folder, "").server, LARGEST_MARKER)
    url = values.get("url")
    return Outbox(folder, url) if values.get("format") == FORMAT and isinstance(url, str) else None


def outboxes(root: str) -> Iterator[Outbox]:
    """The outboxes of a folder of records."""
    yield from _outboxes_in(f"{root}/{FOLDER}")


def outboxes_of_home(home: str) -> Iterator[Outbox]:
    """The outboxes of a home, which are those of its experiments."""
    yield from _outboxes_in(f"{home}/{HOME_FOLDER}")


def roots_in_home(home: str) -> Iterator[str]:
    """The folders of records in a home that are kept only until a server has them."""
    for name in _folders_in(f"{home}/{HOME_FOLDER}"):
        yield f"{home}/{HOME_FOLDER}/{name}/records"


def _outboxes_in(above: str) -> Iterator[Outbox]:
    for name in _folders_in(above):
        if (outbox := outbox_at(f"{above}/{name}")) is not None:
            yield outbox


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # it does not exist, or is another user's
        return []


def marker_fields(path: str) -> MarkerFields:
    """What a marker names; nothing if it cannot be understood.

    Raises:
        OSError: it cannot be read.
    """
    values = _loaded(read_bytes(path, limit=LARGEST_MARKER, follows_link=False))
    texts = (values.get(key) for key in MarkerFields._fields)
    return MarkerFields(*(text if isinstance(text, str) else None for text in texts))


def marked(outbox: Outbox, kind: str) -> frozenset[str]:
    """What has a marker: the prefixes (`prefix`) or the folders of experiments (`experiment`)."""
    found: set[str | None] = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(outbox.pending):
            with contextlib.suppress(OSError):  # it was removed meanwhile
                found.add(getattr(marker_fields(f"{outbox.pending}/{name}"), kind))
    return frozenset(name for name in found if name is not None)


def acknowledged(outbox: Outbox, label: str) -> Known | None:
    """What a sender noted of a record (by its prefix) or an experiment (by its folder); None without."""
    values = _read(acknowledged_file(outbox, label), LARGEST_SIZES)
    files, whole = values.get("files"), values.get("whole")
    if values.get("prefix") != label or not isinstance(files, dict) or not isinstance(whole, dict):
        return None
    return Known(
        {path: size for path, size in files.items() if type(size) is int},
        {path: (pair[0], pair[1]) for path, pair in whole.items() if _is_pair(pair)},
    )


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and [type(each) for each in value] == [int, int]


def acknowledge(outbox: Outbox, label: str, known: Known) -> None:
    """Note what the server has; the note stays, so that a later change costs little."""
    make_folder(outbox.acknowledged)
    document = {"prefix": label, "files": known.sizes, "whole": known.whole}
    write_whole(acknowledged_file(outbox, label), json.dumps(document, separators=(",", ":")).encode())


def read_state(outbox: Outbox) -> dict[str, Any]:
    """The latest state of the sender; empty if it has not written any."""
    return _read(outbox.state, LARGEST_STATE)


def write_state(outbox: Outbox, document: Mapping[str, Any]) -> None:
    """Write the state for those who ask about the sender."""
    write_whole(outbox.state, json.dumps(document).encode())


def _read(path: str, limit: int) -> dict[str, Any]:
    """A JSON object; empty if it is absent, or cannot be read."""
    with contextlib.suppress(OSError):
        return _loaded(read_bytes(path, limit=limit, follows_link=False))
    return {}


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
