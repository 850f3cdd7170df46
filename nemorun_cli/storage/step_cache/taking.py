"""Gives a task the result of an earlier success: its files, its outputs, and what it tracked.

What is written for that is first listed in the file `cached.json` of the attempt's folder, with all that the
ledger will have of it. If this process is
killed before the ledger has the result, the next one finds the list and removes what it names: records, and
files that did not get their places.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.status import ExperimentStatus, Reason
from nemorun_cli.storage import attempts
from nemorun_cli.storage.events import origin_text
from nemorun_cli.storage.step_cache import records
from nemorun_cli.storage.step_cache.content_digests import ContentError
from nemorun_cli.storage.step_cache.declared_files import SHARED
from nemorun_cli.storage.step_cache.entries import UnreadableEntryError
from nemorun_cli.system import crashpoints, locks
from nemorun_cli.system.files import descriptor_to_change, is_behind_link, make_folder, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nemorun_cli.storage.paths import AttemptFiles
    from nemorun_cli.storage.step_cache.attempt_site import AttemptSite
    from nemorun_cli.storage.step_cache.entries import KeptFile, StepCache, StepCacheEntry
    from nemorun_cli.tracking.store.record_paths import Place

LARGEST: Final = 1 << 26  # bytes of a list of what was written
CHANGED: Final = "was changed since the task wrote it, so the task runs and writes it again"
NOT_TAKEN: Final = "the result of an earlier run is not taken"


@dataclass(frozen=True, slots=True)
class Hit:
    """An earlier result that a task has now.

    Attributes:
        entry: the result.
        message: whose it is.
        records: the root and the prefix of each record that the task has now, with an opening in it.
    """

    entry: StepCacheEntry
    message: str
    records: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Miss:
    """No earlier result was taken; `message` is the reason, if there is one."""

    message: str | None = None


class _UntakenError(Exception):
    """An entry is not taken; the message is the reason, and what to do."""


class _ChangedFileError(Exception):
    """A file is in the way that the task wrote and somebody has changed since."""

    def __init__(self, target: Path, digest: str) -> None:
        super().__init__(target)
        self.target, self.digest = target, digest


def take(
    cache: StepCache, site: AttemptSite, fingerprint: str, *, parts: Mapping[str, str] | None = None
) -> Hit | Miss:
    """Give an attempt, which has not started, the result that is kept for a fingerprint.

    Args:
        cache: where it is kept.
        site: the places of the attempt.
        fingerprint: its id.
        parts: of the fingerprint.
    """
    try:
        if not cache.path(fingerprint).exists() and not _was_begun(site):
            return Miss()
        with _locked(site), locks.sharing(cache.home.step_cache_lock):
            undo(site)
            return _looked_up(cache, site, fingerprint, parts or {})
    except OSError as error:
        return Miss(f"{NOT_TAKEN}: {error.filename or cache.home.step_cache}: {error.strerror or error}")


def look(cache: StepCache, site: AttemptSite, fingerprint: str) -> Hit | Miss:
    """What `take` would return for an attempt of an experiment that does not exist yet; writes nothing."""
    try:
        entry = cache.read(fingerprint)
        if entry is None:
            return Miss()
        _require_unaltered(cache, entry)
        _Placement(cache, list(places(site, entry)))
    except UnreadableEntryError as error:
        return Miss(f"{error} (remedy: remove this file)")
    except _ChangedFileError as error:
        return Miss(
            f"{error.target} was changed since the task wrote it, so the task runs and writes it again"
        )
    except _UntakenError as error:
        return Miss(str(error))
    except (ContentError, OSError, ValueError) as error:
        return Miss(f"{NOT_TAKEN}: {error}")
    return Hit(entry, f"it has the result of {origin_text(entry.origin)}")


@contextlib.contextmanager
def _locked(site: AttemptSite) -> Iterator[None]:
    """A context in which no other process writes for the attempt: that of a killed supervisor ends later."""
    attempts.make_folders(site.files)
    descriptor = descriptor_to_change(site.files.lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _looked_up(cache: StepCache, site: AttemptSite, fingerprint: str, parts: Mapping[str, str]) -> Hit | Miss:
    try:
        entry = cache.read(fingerprint)
        return Miss() if entry is None else _taken(cache, site, entry, parts)
    except UnreadableEntryError as error:
        return Miss(f"{error} (remedy: remove this file)")
    except _UntakenError as error:
        return Miss(str(error))
    except ContentError as error:
        return Miss(f"{NOT_TAKEN}: {error}")
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            undo(site)
        where = getattr(error, "filename", None) or cache.home.step_cache
        return Miss(f"{NOT_TAKEN}: {where}: {getattr(error, 'strerror', None) or error}")


def _require_unaltered(cache: StepCache, entry: StepCacheEntry) -> None:
    if (altered := cache.altered(entry)) is not None:
        raise _UntakenError(
            f"the result of {origin_text(entry.origin)} is not taken: {altered} was changed or removed since"
            " (remedy: none is needed, the result of this run replaces it)"
        )


def _taken(cache: StepCache, site: AttemptSite, entry: StepCacheEntry, parts: Mapping[str, str]) -> Hit:
    _require_unaltered(cache, entry)
    message = f"it has the result of {origin_text(entry.origin)}"
    try:
        placement = _Placement(cache, list(places(site, entry)))
    except _ChangedFileError as error:
        raise _UntakenError(_set_aside(cache, error.target, error.digest)) from None
    tracked = _Tracked.of(entry, site)
    listing = {
        "origin": entry.origin,
        "records": tracked.listing,
        "files": placement.temporaries,
        "fingerprint": entry.id,
        "parts": dict(parts),
        "outputs": dict(entry.outputs),
        "exit_code": entry.exit_code,
        "message": message,
    }
    attempts.put(site.files.cached, json.dumps(listing))
    crashpoints.point("step_cache.listed")
    placement.prepare()
    crashpoints.point("step_cache.prepared")
    placement.place()
    crashpoints.point("step_cache.placed")
    tracked.write(cache, message)
    attempts.put(site.files.log, f"{message}, which exp logs --origin prints\n")
    with contextlib.suppress(OSError):  # `exp gc` removes it earlier
        os.utime(cache.path(entry.id))
    crashpoints.point("step_cache.taken")
    return Hit(entry, message, tracked.openings)


def _set_aside(cache: StepCache, target: Path, digest: str) -> str:
    """Copy a file that was changed by hand, before the task writes it again; returns what was done."""
    folder = cache.home.step_cache_replaced / digest[:16]
    make_folder(folder)
    copy = folder / target.name
    if not copy.exists():
        cache.contents.copy_of(target, copy)
    return (
        f"{target} {CHANGED} (remedy: make the change in what the task reads; a copy of the changed file is"
        f" {copy})"
    )


def places(site: AttemptSite, entry: StepCacheEntry) -> Iterator[tuple[Path, KeptFile]]:
    """The files of a result, each with the folder that its name starts at."""
    for kept in entry.files:
        folders = site.folders
        if folders is None:
            raise _UntakenError(f"{kept.name} has no place: the task does not see the files of this machine")
        is_shared = kept.name.startswith(SHARED)
        yield (
            folders.shared if is_shared else folders.workdir,
            type(kept)(kept.name.removeprefix(SHARED), kept.digest, kept.mode),
        )
    yield from ((site.files.artifacts, kept) for kept in entry.artifacts)


class _Placement:
    """The files of a result, written next to their places, and then renamed all at once.

    What is in the way stays, unless the step cache has its content: then it is the result of another run.
    """

    def __init__(self, cache: StepCache, files: Iterable[tuple[Path, KeptFile]]) -> None:
        self._cache = cache
        self._missing: list[tuple[Path, KeptFile, Path]] = []  # where it goes, and where it is written first
        for root, kept in files:
            target = root / kept.name
            if not self._is_there(target, kept, root):
                temporary = target.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
                self._missing.append((target, kept, temporary))

    @property
    def temporaries(self) -> list[str]:
        """The paths of the files before they have their places."""
        return [str(temporary) for _, _, temporary in self._missing]

    def _is_there(self, target: Path, kept: KeptFile, root: Path) -> bool:
        """Whether a file has its place already; refuses what cannot be replaced."""
        if ".." in Path(kept.name).parts or Path(kept.name).is_absolute():
            raise _UntakenError(f"{kept.name} is outside of {root}")
        if root.is_dir() and is_behind_link(str(target), inside=str(root)):
            raise _UntakenError(
                f"{target} is behind a symbolic link, which is not followed (remedy: remove the link)"
            )
        try:
            status = target.lstat()
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            raise _UntakenError(f"{target} has no folder (remedy: move away what is in its place)") from None
        if not stat.S_ISREG(status.st_mode):
            raise _UntakenError(f"{target} is in the way: it is not a file (remedy: move it away)")
        digest = self._cache.digest(target)
        if digest == kept.digest:
            return stat.S_IMODE(status.st_mode) == kept.mode
        if not self._cache.contents.has(digest):
            raise _ChangedFileError(target, digest)
        return False

    def prepare(self) -> None:
        """Write the files next to their places."""
        for target, kept, temporary in self._missing:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._cache.contents.copy_out(kept.digest, temporary, mode=kept.mode)

    def place(self) -> None:
        """Give the files their names."""
        for target, _, temporary in self._missing:
            temporary.replace(target)
            crashpoints.point("step_cache.file")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tracked:
    """What a result has tracked, with the new ids of the openings in each record."""

    entry: StepCacheEntry
    site: AttemptSite
    names: list[dict[str, str]]

    @classmethod
    def of(cls, entry: StepCacheEntry, site: AttemptSite) -> Self:
        """The records of an entry, as those of another attempt."""
        return cls(entry=entry, site=site, names=records.renamed(entry.records, site.tracked))

    @property
    def _places(self) -> list[Place]:
        return [records.target(kept, self.site.tracked) for kept in self.entry.records]

    @property
    def listing(self) -> list[dict[str, Any]]:
        """What `undo` needs to remove them."""
        return [
            {"root": place.root, "prefix": place.prefix, "openings": list(new.values())}
            for place, new in zip(self._places, self.names, strict=True)
        ]

    @property
    def openings(self) -> tuple[tuple[str, str, str], ...]:
        """The root and the prefix of each record, with its latest opening."""
        return tuple((each["root"], each["prefix"], max(each["openings"])) for each in self.listing)

    def write(self, cache: StepCache, message: str) -> None:
        """Write the records, and register them for the attempt."""
        entry, site = self.entry, self.site
        if entry.archive is None:
            return
        owner = records.Owner(
            experiment=site.experiment.id,
            task=site.task,
            attempt=site.attempt,
            home=str(cache.home.directory),
            server=site.server,
            origin=entry.origin,
            verdict={
                "status": str(ExperimentStatus.COMPLETED),
                "reason": str(Reason.CACHED),
                "message": message,
                "exit_code": entry.exit_code,
                "author": "supervisor",
            },
        )
        records.unpack(
            cache.contents.path(entry.archive),
            entry.records,
            self.names,
            tracked=site.tracked,
            owner=owner,
            contents=cache.contents,
        )
        attempts.put(site.files.records, records.registration(self._places))


def undo(site: AttemptSite) -> None:
    """Remove what an attempt got from a process that was killed before the ledger had that.

    Raises:
        OSError: something cannot be removed.
    """
    files = site.files
    if not _was_begun(site):
        return
    written = listed(files) or {}
    for each in written.get("records", ()):
        records.discard(each["root"], each["prefix"], each["openings"])
    for path in written.get("files", ()):
        Path(path).unlink(missing_ok=True)
    for own in (files.records, files.log, files.cached):
        own.unlink(missing_ok=True)


def _was_begun(site: AttemptSite) -> bool:
    """Whether a process has begun to give the attempt an earlier result."""
    return attempts.is_own_folder(site.files.directory) and os.path.lexists(site.files.cached)


def listed(files: AttemptFiles) -> dict[str, Any] | None:
    """What was written for an attempt that has the result of another one; None if it has not."""
    try:
        document = json.loads(read_bytes(files.cached, limit=LARGEST, inside=files.root))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenResult:
    """What the ledger has of an attempt that has an earlier result.

    Attributes:
        origin: the attempt that had it.
        fingerprint: the id of its fingerprint; `parts` are those of it.
        time: when it was taken, in Unix seconds.
    """

    origin: Mapping[str, Any]
    fingerprint: str
    parts: Mapping[str, str]
    outputs: Mapping[str, Any]
    exit_code: int
    message: str
    time: float


def taken(files: AttemptFiles) -> TakenResult | None:
    """The earlier result that an attempt has; None if it has none, or only a part of it."""
    document = listed(files)
    if document is None or files.claim.exists() or not files.log.is_file():
        return None
    try:
        return TakenResult(
            origin={name: document["origin"][name] for name in ("experiment", "task", "attempt")},
            fingerprint=str(document["fingerprint"]),
            parts={str(name): str(value) for name, value in document["parts"].items()},
            outputs=dict(document["outputs"]),
            exit_code=int(document["exit_code"]),
            message=str(document["message"]),
            time=files.log.stat().st_mtime,
        )
    except (OSError, LookupError, TypeError, ValueError, AttributeError):
        return None  # of an earlier version
