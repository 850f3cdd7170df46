"""The experiments of a site in the cache: found by their folders, and read again when they change."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.serve.index import entry_details
from nemorun_cli.serve.index.cache_file import is_storable, storable
from nemorun_cli.serve.index.folder_cache import FolderCache, is_settled
from nemorun_cli.serve.index.later_look import AT_ONCE, LaterLook
from nemorun_cli.serve.index.record_index import LEAST_REST, SEPARATOR, UNREADABLE, marked
from nemorun_cli.storage import creation_mark, spec_copies
from nemorun_cli.storage.paths import LEDGER, ExperimentFiles, Home, name_in
from nemorun_cli.system import user
from nemorun_cli.system.files import read_bytes
from nemorun_cli.views import list_details, listing, observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.serve.index.cache_file import CacheFile
    from nemorun_cli.serve.site import Site
    from nemorun_cli.views.snapshot import Snapshot

FOLDER: Final = ".experiments"  # below the root of a collector
HERE: Final = "here"  # the word for this machine's home
INTERVAL: Final = 0.5  # seconds between two looks at this machine's folders; streams look each second
COLLECTOR_INTERVAL: Final = 300.0  # the same where all changes are announced
DETAILED: Final = frozenset({"FAILED", "CANCELLED"})  # ended, and the ends of the ledger do not say why
OVER: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", UNREADABLE})
LONGEST_NAME: Final = 256  # bytes of the name of a home


class ExperimentPlace(NamedTuple):
    """Which experiment: the owner of its home, the name of the home, and its id."""

    owner: str
    home: str
    id: str


class _Known(NamedTuple):
    signature: str
    status: str
    dash_root: str


class ExperimentIndex:
    """The experiments of this machine's home, or of the homes that a collector has.

    Args:
        cache: where they are kept.
        site: what is served.
    """

    def __init__(self, cache: CacheFile, site: Site) -> None:
        self._cache = cache
        self._site = site
        self._folders = FolderCache()
        self._known: dict[ExperimentPlace, _Known] | None = None
        self._dirty: set[ExperimentPlace] = set()
        self._lock = threading.Lock()
        self._looked: float | None = None  # when the last look ended
        self._duration = 0.0  # of the last look
        self._later = LaterLook()
        self.version = 0

    def changed(self, place: ExperimentPlace) -> None:
        """An experiment was written; safe from any thread."""
        self._dirty.add(place)

    def forget(self) -> None:
        """The cache is empty now."""
        with self._lock:
            self._known = self._looked = None

    def homes(self) -> list[tuple[str, str, Path]]:
        """The homes: owner, name, folder."""
        if self._site.root is None:
            return [(user.name(), HERE, self._site.home)]
        above = f"{self._site.root}/{FOLDER}"
        return [
            (owner, home, Path(above, owner, home))
            for owner in self._folders.names(above)
            for home in self._folders.names(f"{above}/{owner}")
        ]

    def files(self, place: ExperimentPlace) -> tuple[Home, ExperimentFiles] | None:
        """The home and the files of an experiment; None if it does not exist.

        The home of this machine is also found by its name on other servers.

        Raises:
            LedgerError: its folder cannot be read.
        """
        for owner, home, folder in self.homes():
            names = {home, self._name_elsewhere()} if home == HERE else {home}
            if owner == place.owner and place.home in names:
                at = Home(folder)
                files = at.experiment(place.id)
                return None if files is None else (at, files)
        return None

    def _name_elsewhere(self) -> str | None:
        """The name that this machine's home has on other servers; None if it was never sent to one."""
        try:
            noted = Home(self._site.home).outbox / "name"
            return read_bytes(noted, limit=LONGEST_NAME, follows_link=False).decode("ascii", errors="replace")
        except OSError:
            return None

    def look(self, home: Home, files: ExperimentFiles) -> Snapshot:
        """A snapshot, for which nothing is asked over a network, run or written.

        Without a supervisor, the ends that attempts of this machine recorded themselves are shown. A copy on
        a collector shows what its ledger records: whether its supervisor lives is not known here.

        Raises:
            LedgerError: its files cannot be read.
            NotFoundError: it does not exist any more.
        """
        is_local = self._site.root is None
        snapshot = observe.look(files, home=home.directory, observe=False, uses_records=is_local)
        if self._site.root is not None and snapshot.supervisor in {"alive", "gone"}:
            return replace(snapshot, supervisor="elsewhere", stall=None, problem=None, waiting=None)
        return snapshot

    def refresh(self) -> None:
        """Read what has changed.

        Raises:
            CacheLostError: the cache is empty now.
        """
        with self._lock:
            interval = INTERVAL if self._site.root is None else COLLECTOR_INTERVAL
            interval = max(interval, LEAST_REST * self._duration)
            is_due = self._looked is None or time.monotonic() - self._looked > interval
            dirty = {self._dirty.pop() for _ in range(len(self._dirty))}
            if is_due and self._site.root is not None and self._looked is not None:
                self._later.begin(self._look_meanwhile)  # what is not announced was changed by hand
                is_due = False
            try:
                if is_due:
                    begin = time.monotonic()
                    self._look()
                    self._looked = time.monotonic()
                    self._duration = self._looked - begin
                elif dirty:
                    self._update(dirty)
            except BaseException:
                self._dirty.update(dirty)
                raise

    def close(self) -> None:
        """Wait for the end of a look."""
        self._later.close()

    def _look_meanwhile(self) -> None:
        """Look while requests are answered; they wait only while a few experiments are read."""
        begin = time.monotonic()
        with self._lock:
            known = dict(self._load())
        changed = self._changed(known)
        for first in range(0, len(changed), AT_ONCE):
            with self._lock:
                self._update(changed[first : first + AT_ONCE])
        with self._lock:
            if self._looked is not None:  # the cache was not lost meanwhile
                self._looked = time.monotonic()
                self._duration = self._looked - begin

    def _look(self) -> None:
        self._update(self._changed(self._load()))

    def _changed(self, known: Mapping[ExperimentPlace, _Known]) -> list[ExperimentPlace]:
        """The experiments that are new, have changed, have not ended, or no longer exist."""
        found = {}
        for owner, home, folder in self.homes():
            for root in Home(folder).roots:
                for name in self._folders.names(str(root)):
                    for experiment_id in self._folders.names(f"{root}/{name}"):
                        if name_in(experiment_id) == name:
                            found[ExperimentPlace(owner, home, experiment_id)] = (
                                f"{root}/{name}/{experiment_id}"
                            )
        changed = [
            place
            for place, directory in found.items()
            if (former := known.get(place)) is None
            or former.status not in OVER
            or former.signature != _signature(directory)
        ]
        return [*changed, *(known.keys() - found.keys())]

    def _load(self) -> dict[ExperimentPlace, _Known]:
        if self._known is None:
            rows = self._cache.read("SELECT owner, home, id, signature, status, dash_root FROM experiments")
            self._known = {ExperimentPlace(*row[:3]): _Known(*row[3:]) for row in rows}
        return self._known

    def dash_roots(self) -> list[str]:
        """The folders of records that the experiments of this machine's home name."""
        with self._lock:
            roots = dict.fromkeys(known.dash_root for known in self._load().values())
        return [root for root in roots if root]

    def _update(self, places: Iterable[ExperimentPlace]) -> None:
        known = self._load()
        homes = {(owner, home): Home(folder) for owner, home, folder in self.homes()}
        read = [(place, self._row(homes.get((place.owner, place.home)), place)) for place in places]
        rows = [row for _, row in read if row is not None]
        gone = [place for place, row in read if row is None and place in known]
        kept = {row.place: self._entry(row.place) for row in rows}
        changed = [row for row in rows if kept[row.place] != row.entry or known.get(row.place) != row.known]
        if not changed and not gone:
            return
        is_new = bool(gone) or any(_lasting(kept[row.place]) != _lasting(row.entry) for row in changed)
        with self._cache.changing() as connection:
            connection.executemany("DELETE FROM experiments WHERE owner = ? AND home = ? AND id = ?", gone)
            connection.executemany(
                "INSERT OR REPLACE INTO experiments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [row.values for row in changed],
            )
        for place in gone:
            del known[place]
        known |= {row.place: row.known for row in changed}
        self.version += is_new

    def _entry(self, place: ExperimentPlace) -> str | None:
        """The entry that the cache has of an experiment."""
        query = "SELECT entry FROM experiments WHERE owner = ? AND home = ? AND id = ?"
        found = self._cache.read(query, place)
        return str(found[0][0]) if found else None

    def state(self, place: ExperimentPlace) -> str:
        """A digest of what the list has of an experiment, without the seconds, which pass anyway."""
        entry = json.dumps(_lasting(self._entry(place)), sort_keys=True)
        return hashlib.sha256(entry.encode()).hexdigest()[:16]

    def _row(self, home: Home | None, place: ExperimentPlace) -> _ExperimentRow | None:
        if home is None:
            return None
        name = name_in(place.id)
        if name is None:
            return None
        try:
            files = home.experiment(place.id)
            sign = "" if files is None else _signature(str(files.directory))
            looked: list[Snapshot] = []

            def look(files: ExperimentFiles) -> Snapshot:
                looked.append(self.look(home, files))
                return looked[-1]

            summary = listing.summarize(home, place.id, name, look=look)
        except (ExpError, OSError):
            return None
        if summary is None or files is None:
            return None
        document = list_details.spec_document(files)
        root = "" if self._site.root is not None else _dash_root(home, files, document)
        try:
            if not looked and summary.status in DETAILED:
                look(files)
            details = entry_details.of_snapshot(looked[-1]) if looked else entry_details.of_spec(document)
            return _of_summary(place, summary, sign, root, details)
        except Exception as error:  # noqa: BLE001 - what one experiment contains must not hide all others
            problem = f"cannot be read: {type(error).__name__}: {error}"
            unreadable = listing.unreadable(place.id, name, problem)
            return _of_summary(place, unreadable, sign, root, entry_details.NOTHING)


def _of_summary(
    place: ExperimentPlace, summary: listing.Summary, sign: str, root: str, details: Mapping[str, Any]
) -> _ExperimentRow:
    """What the cache keeps of an experiment.

    Raises:
        ValueError: a number is none in JSON.
    """
    entry = {**summary.to_json(), "owner": place.owner, "home": place.home, **details}
    return _ExperimentRow(
        place=place,
        name=summary.name,
        title=summary.title or "",
        created=summary.created or "",
        ended=summary.ended or "",
        searched=list_details.searched(place.id, summary.title, details["description"], summary.tags),
        tags=marked(summary.tags) if summary.tags else SEPARATOR,
        executors=marked(details["executors"]),
        active=summary.active or 0.0,
        known=_Known(sign, str(summary.status or UNREADABLE), root),
        entry=json.dumps(entry, allow_nan=False),
    )


class _ExperimentRow(NamedTuple):
    place: ExperimentPlace
    name: str
    title: str
    created: str
    ended: str
    searched: str
    tags: str
    executors: str
    active: float
    known: _Known
    entry: str

    @property
    def values(self) -> tuple[Any, ...]:
        known = self.known
        return (
            *self.place,
            self.name,
            *map(storable, (self.title, known.status, self.created, self.ended, self.searched, self.tags)),
            storable(self.executors),
            self.active,
            known.signature,
            known.dash_root,
            self.entry,
        )


def _lasting(entry: str | None) -> Any:
    """An entry without the seconds, which grow while an experiment runs."""
    return None if entry is None else {**json.loads(entry), "active": None, "seconds_left": None}


def _signature(directory: str) -> str:
    """What differs once a finished experiment has changed; empty if that is not certain yet."""
    try:
        status = os.stat(f"{directory}/{LEDGER}")  # noqa: PTH116 - as text, of ten thousand experiments
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}" if is_settled(status.st_mtime_ns) else ""


def _dash_root(home: Home, files: ExperimentFiles, spec: Any) -> str:
    """The folder of records that the spec of an experiment names; empty if it names none.

    That of an experiment that this home did not create could be any folder, and is left out.
    """
    try:
        path = spec["tracking"].get("dash_root")
        if not path or not creation_mark.is_own(home, files, spec_copies.read_spec(files), None):
            return ""
        root = os.path.abspath(Path(spec["folder"], path))  # noqa: PTH100 - as tracking does it
    except (ExpError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return root if is_storable(root) else ""
