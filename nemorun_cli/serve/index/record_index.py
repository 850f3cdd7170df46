"""The records of a site in the cache: found by their folders, and read again when they change."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.experiment.records import record_documents, targets
from nemorun_cli.replication.protocol import RESERVED
from nemorun_cli.serve.index.cache_file import storable
from nemorun_cli.serve.index.folder_cache import FolderCache, is_settled
from nemorun_cli.serve.index.later_look import AT_ONCE, LaterLook
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.store import sessions
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.record_paths import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.serve.index.cache_file import CacheFile
    from nemorun_cli.tracking import Record

INTERVAL: Final = 0.5  # seconds between two looks at this machine's folders; streams look each second
LEAST_REST: Final = 5.0  # times as long as the last look took is the least time until the next one
COLLECTOR_INTERVAL: Final = 300.0  # the same where all changes are announced
UNREADABLE: Final = "UNREADABLE"  # instead of a status
SEPARATOR: Final = "\x1f"  # around each tag
RUNNING: Final = "RUNNING"


class _Known(NamedTuple):
    signature: str
    status: str


class RecordIndex:
    """The records below some roots.

    Args:
        cache: where they are kept.
        is_announced: whether all changes are announced by `changed`.
    """

    def __init__(self, cache: CacheFile, *, is_announced: bool) -> None:
        self._cache = cache
        self._is_announced = is_announced
        self._folders = FolderCache()
        self._known: dict[tuple[str, str], _Known] | None = None
        self._dirty: set[str] = set()
        self._lock = threading.Lock()
        self._looked: float | None = None  # when the last look ended
        self._duration = 0.0  # of the last look
        self._roots: tuple[str, ...] = ()
        self._later = LaterLook()
        self._walking = threading.Lock()
        self.version = 0

    def changed(self, prefix: str) -> None:
        """A record was written; safe from any thread."""
        self._dirty.add(prefix)

    def forget(self) -> None:
        """The cache is empty now."""
        with self._lock:
            self._known = self._looked = None

    def refresh(self, roots: Sequence[str]) -> None:
        """Read what has changed.

        Raises:
            CacheLostError: the cache is empty now.
        """
        with self._lock:
            interval = COLLECTOR_INTERVAL if self._is_announced else INTERVAL
            interval = max(interval, LEAST_REST * self._duration)
            is_due = self._looked is None or time.monotonic() - self._looked > interval
            dirty = [self._dirty.pop() for _ in range(len(self._dirty))]
            is_first = self._looked is None or tuple(roots) != self._roots
            if is_due and self._is_announced and not is_first:  # what is not announced was changed by hand
                self._later.begin(lambda: self._look_meanwhile(roots))
                is_due = False
            try:
                if is_due or is_first:
                    begin = time.monotonic()
                    self._look(roots)
                    self._roots, self._looked = tuple(roots), time.monotonic()
                    self._duration = self._looked - begin
                elif dirty:
                    self._update((root, prefix) for root in roots for prefix in dict.fromkeys(dirty))
            except BaseException:
                self._dirty.update(dirty)
                raise

    def close(self) -> None:
        """Wait for the end of a look."""
        self._later.close()

    def _look_meanwhile(self, roots: Sequence[str]) -> None:
        """Look while requests are answered; they wait only while a few records are read."""
        begin = time.monotonic()
        with self._lock:
            known = dict(self._load())
        changed = self._changed(roots, known)
        for first in range(0, len(changed), AT_ONCE):
            with self._lock:
                self._update(changed[first : first + AT_ONCE])
        with self._lock:
            if self._looked is not None:  # the cache was not lost meanwhile
                self._looked = time.monotonic()
                self._duration = self._looked - begin

    def _look(self, roots: Sequence[str]) -> None:
        """Look at all folders, and read the records that are new, have changed, or are running."""
        self._update(self._changed(roots, self._load()))

    def _changed(
        self, roots: Sequence[str], known: Mapping[tuple[str, str], _Known]
    ) -> list[tuple[str, str]]:
        """The records that are new, have changed, are running, or no longer exist."""
        found = set()
        for root in roots:
            hidden = RESERVED if sessions.is_collected(root) else RESERVED[1:]
            with self._walking:
                found |= {(root, prefix) for prefix in self._folders.prefixes(root, hidden=hidden)}
        changed = [
            key
            for key in found
            if (former := known.get(key)) is None
            or former.status == RUNNING
            or former.signature != signature(*key)
        ]
        return [*changed, *(known.keys() - found)]

    def _load(self) -> dict[tuple[str, str], _Known]:
        if self._known is None:
            rows = self._cache.read("SELECT root, prefix, signature, status FROM records")
            self._known = {(root, prefix): _Known(sign, status) for root, prefix, sign, status in rows}
        return self._known

    def _update(self, keys: Iterable[tuple[str, str]]) -> None:
        """Read these records again; those that do not exist are removed."""
        known = self._load()
        read = [(key, _row(*key)) for key in keys]
        rows = [row for _, row in read if row is not None and not self._is_kept(row)]
        gone = [key for key, row in read if row is None and key in known]
        if not rows and not gone:
            return
        is_new = bool(gone) or not all(map(self._is_same, rows))
        with self._cache.changing() as connection:
            connection.executemany("DELETE FROM records WHERE root = ? AND prefix = ?", gone)
            folders = [f"{Place(*key).record}/metrics" for key in gone]
            for table in ("row_files", "chunks"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE path >= ? AND path < ?",  # noqa: S608 - one of these tables
                    [(f"{folder}/", f"{folder}0") for folder in folders],
                )
            stale = [*gone, *(row.key for row in rows)]
            connection.executemany("DELETE FROM written WHERE root = ? AND prefix = ?", stale)
            connection.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [row.values for row in rows],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO written VALUES (?, ?, ?)",
                [(experiment, *row.key) for row in rows for experiment in row.experiments],
            )
        for key in gone:
            del known[key]
        known |= {row.key: _Known(row.signature, row.status) for row in rows}
        self.version += is_new

    def _is_kept(self, row: _RecordRow) -> bool:
        """Whether a record that was read again is in the cache as it is."""
        return self._load().get(row.key) == _Known(row.signature, row.status) and self._is_same(row)

    def _is_same(self, row: _RecordRow) -> bool:
        """Whether the cache has the same entry of a record."""
        entry = self._cache.read("SELECT entry FROM records WHERE root = ? AND prefix = ?", row.key)
        return bool(entry) and entry[0][0] == row.entry

    def of_experiment(self, experiment_id: str) -> list[tuple[str, str]]:
        """The roots and prefixes of the records that an experiment wrote."""
        rows = self._cache.read(
            "SELECT root, prefix FROM written WHERE experiment = ? ORDER BY root, prefix", (experiment_id,)
        )
        return [(root, prefix) for root, prefix in rows]


class _RecordRow(NamedTuple):
    key: tuple[str, str]
    status: str
    opened: str
    ended: str
    searched: str
    tags: str
    signature: str
    entry: str
    experiments: frozenset[str] = frozenset()

    @property
    def values(self) -> tuple[Any, ...]:
        root, prefix = self.key
        owner = prefix.partition("/")[0]
        return (root, prefix, owner, *map(storable, (self.status, self.opened, self.ended, *self[4:8])))


def _row(root: str, prefix: str) -> _RecordRow | None:
    """What the cache keeps of a record; None if it does not exist."""
    before = signature(root, prefix)
    try:
        record = reader.record(root, prefix)
        return None if record is None else _readable((root, prefix), record, before)
    except (ExpError, OSError) as error:
        problem = error.message if isinstance(error, ExpError) else str(error)
    except Exception as error:  # noqa: BLE001 - what one record contains must not hide all others
        problem = f"cannot be read: {type(error).__name__}: {error}"
    entry = {"prefix": prefix, "dash_root": root, "problem": problem}
    return _RecordRow((root, prefix), UNREADABLE, "", "", prefix.lower(), SEPARATOR, before, dump(entry))


def _readable(key: tuple[str, str], record: Record, before: str) -> _RecordRow:
    """What the cache keeps of a record that can be read."""
    entry = {**record_documents.of_record(targets.under(record)), "root": root_id(key[0])}
    if (entry["sync"] or {}).get("pending"):
        before = ""  # what is to be sent changes without a change of the record
    return _RecordRow(
        key=key,
        status=str(record.status),
        opened=record.opened,
        ended=record.ended or "",
        searched="\n".join([key[1], record.description or "", *record.tags]).lower(),
        tags=marked(record.tags),
        signature=before,
        entry=dump(entry),
        experiments=frozenset(
            storable(str(opening.facts["exp_id"]))
            for opening in record.openings
            if opening.facts.get("exp_id")
        ),
    )


def root_id(root: str) -> str:
    """The word for a folder of records in addresses, which contain no paths."""
    return hashlib.sha256(root.encode(errors="surrogateescape")).hexdigest()[:8]


def marked(tags: Iterable[str]) -> str:
    """Tags as one text, in which each can be searched for as a whole."""
    return SEPARATOR + "".join(f"{tag}{SEPARATOR}" for tag in tags)


def signature(root: str, prefix: str) -> str:
    """What differs once a record that is not running has changed; empty if that is not certain yet."""
    place = Place(root, prefix)
    times = [_changed(folder) for folder in (place.openings, place.labels)]
    return "-".join(map(str, times)) if all(map(is_settled, times)) else ""


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - as text, of ten thousand folders
    except OSError:
        return 0
