"""What of a record the server has, by the files of the outbox, which the sender writes."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.tracking.outbox import notes
from nemorun_cli.tracking.outbox.markers import FOLDER, acknowledged_file

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox
    from nemorun_cli.tracking.store.record_paths import Place

_SERIES: Final = ("metrics", "tracks", "blobs")  # folders of folders
_FLAT: Final = ("openings", "params", "logs", "files", "environment", "labels")
_STAGED: Final = "."  # begins the name of a file that is being written
_UNFINISHED: Final = ".part"  # ends the name of uncommitted changes that are being written
_FINAL: Final = frozenset({"unauthorized", "no_token", "forbidden", "quota", "not_an_exp_server", "version"})
_WITHOUT_TOKEN: Final = frozenset({"unauthorized", "no_token"})
_AWAY: Final = frozenset({"away", "broken"})


class SenderState(NamedTuple):
    """The latest state of a sender, for one record.

    Attributes:
        last: the time of its last acknowledgement, of any record.
        error: why nothing of the record is delivered now.
        code: what kind of error that is.
        pid: of the sender; None if it has ended.
    """

    last: str | None = None
    error: str | None = None
    code: str | None = None
    pid: int | None = None

    @property
    def lacks_token(self) -> bool:
        """Whether the sender has no token, or one that is not valid."""
        return self.code in _WITHOUT_TOKEN

    @property
    def is_final(self) -> bool:
        """Whether the error only ends when somebody does something, such as a login."""
        return self.code in _FINAL

    @property
    def is_refused(self) -> bool:
        """Whether the server does not take a file as it is, such as one that is too large."""
        return self.code == "refused"

    @property
    def is_away(self) -> bool:
        """Whether the server did not answer, and did not ask to wait either."""
        return self.code in _AWAY


class Delivery(NamedTuple):
    """How much of a record has not been acknowledged by its server.

    Attributes:
        url: the server.
        pending: bytes; with a marker it may be 0, for what the sender has not looked at yet.
        is_marked: whether a marker asks the sender to look.
        last: the time of the sender's last acknowledgement, of any record.
        error: why nothing is delivered now, if that is known.
    """

    url: str
    pending: int
    is_marked: bool
    last: str | None
    error: str | None

    @property
    def is_complete(self) -> bool:
        """Whether the server has all."""
        return not self.is_marked and not self.pending

    def to_json(self) -> dict[str, Any]:
        """The field `sync` of a record."""
        return {"url": self.url, "pending": self.pending, "last": self.last, "error": self.error}


def state(outbox: Outbox, prefix: str, *, since: float = 0.0) -> SenderState:
    """What the sender last wrote about a record; nothing if that was before a time, in Unix seconds."""
    try:
        is_recent = os.stat(outbox.state).st_mtime >= since
    except OSError:
        is_recent = False
    content = notes.read_state(outbox) if is_recent else {}
    last, problem, records = (content.get(name) for name in ("last", "error", "records"))
    if not isinstance(problem, dict) or problem.get("code") not in notes.OF_ALL:
        problem = records.get(prefix) if isinstance(records, dict) else None
    texts = [problem.get(name) if isinstance(problem, dict) else None for name in ("message", "code")]
    pid = content.get("pid")
    last, error, code = (text if isinstance(text, str) else None for text in (last, *texts))
    return SenderState(last, error, code, pid if isinstance(pid, int) else None)


def acknowledged(outbox: Outbox, prefix: str) -> dict[str, int]:
    """The sizes of a record's files that the server is known to have, by their paths below `.record/`."""
    known = notes.acknowledged(outbox, prefix)
    return {} if known is None else known.sizes


def sizes(place: Place) -> dict[str, int]:
    """The sizes of a record's files, by their paths below `.record/`."""
    found: dict[str, int] = {}
    for kind in _FLAT:
        found |= _sizes_in(place.record, kind)
    for kind in _SERIES:
        with contextlib.suppress(OSError), os.scandir(f"{place.record}/{kind}") as entries:
            for name in [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]:
                found |= _sizes_in(place.record, f"{kind}/{name}")
    return found


def _sizes_in(record: str, folder: str) -> dict[str, int]:
    found = {}
    with contextlib.suppress(OSError), os.scandir(f"{record}/{folder}") as entries:
        for entry in entries:
            if entry.name.startswith(_STAGED) or entry.name.endswith(_UNFINISHED):
                continue
            if entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    found[f"{folder}/{entry.name}"] = entry.stat(follow_symlinks=False).st_size
    return found


def pending_bytes(local: dict[str, int], remote: dict[str, int]) -> int:
    """How many bytes of the local files the server is not known to have."""
    return sum(max(0, size - remote.get(path, 0)) for path, size in local.items())


class Outboxes:
    """The outboxes of a folder of records, with the markers that they had when this was made."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._marked = [(outbox, notes.marked(outbox, "prefix")) for outbox in notes.outboxes(root)]
        self._last = {outbox: state(outbox, "").last for outbox, _ in self._marked}

    def delivery(self, place: Place) -> Delivery | None:
        """How much of a record its server does not have; None if it is not shipped.

        Of several servers, the one that lacks most. Without a marker, nothing is compared.
        """
        found = []
        for outbox, prefixes in self._marked:
            is_marked = place.prefix in prefixes
            if not is_marked and not os.path.exists(acknowledged_file(outbox, place.prefix)):
                continue
            pending, error = 0, None
            if is_marked:
                pending = pending_bytes(sizes(place), acknowledged(outbox, place.prefix))
                error = state(outbox, place.prefix).error
            found.append(Delivery(outbox.url, pending, is_marked, self._last[outbox], error))
        if not found and (url := self.missed(place)) is not None:
            return Delivery(url, pending_bytes(sizes(place), {}), is_marked=False, last=None, error=None)
        return max(found, key=lambda each: (each.is_marked, each.pending), default=None)

    def missed(self, place: Place) -> str | None:
        """The server that a record names, if it never had a marker, as on a full disk; or None."""
        for outbox, prefixes in self._marked:
            if place.prefix in prefixes or os.path.exists(acknowledged_file(outbox, place.prefix)):
                return None
        return _unmarked_server(place)


def _unmarked_server(place: Place) -> str | None:
    """The server that openings name that were written here."""
    from nemorun_cli.errors import LedgerError  # noqa: PLC0415 - only for records without a marker
    from nemorun_cli.tracking.store import sessions  # noqa: PLC0415 - the same

    with contextlib.suppress(OSError, LedgerError):
        for opening in sessions.read_all(place)[0]:
            url = opening.facts.get("dash_url")
            if isinstance(url, str) and not sessions.is_copy(place.opening(opening.id), opening.facts):
                return url
    return None


def of_record(place: Place) -> Delivery | None:
    """How much of a record its server does not have; None if it is not shipped."""
    return Outboxes(place.root).delivery(place) if os.path.isdir(f"{place.root}/{FOLDER}") else None
