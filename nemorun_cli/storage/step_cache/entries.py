"""The entries of the step cache: what one task resulted in, by the fingerprint of what that depends on.

The contents of its files are stored first, and the entry last, as one file that replaces nothing torn: an
entry that can be read names only contents that were complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.step_cache import ID_PATTERN
from nemorun_cli.storage.step_cache.contents import ContentStore, Stamp, StoredContent
from nemorun_cli.system.files import make_folder, read_bytes, sync, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.storage.paths import Home

FORMAT: Final = "exp.step-cache/1"
LARGEST: Final = 1 << 26  # bytes of an entry
_DIGEST: Final = re.compile(r"[0-9a-f]{64}(?![\s\S])")


class UnreadableEntryError(Exception):
    """An entry cannot be read; the message is the reason."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a result: its name, the digest of its content, and its permissions."""

    name: str
    digest: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRecord:
    """What the task wrote in one record.

    Attributes:
        place: the root and the prefix; the prefix is relative to that of the experiment if `is_own`.
        is_own: whether it is below the experiment's own record.
        openings: their ids, each with the attempt that it belongs to.
        blobs: the digests of saved files.
    """

    place: tuple[str, str]
    is_own: bool
    openings: Mapping[str, int]
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCacheEntry:
    """The result of one attempt.

    Attributes:
        id: of the fingerprint.
        experiment: where it ran, with `task` and `attempt`.
        kept: when it was kept.
        outputs: what it wrote to `$EXP_OUTPUT`.
        files: what its `cache.outputs` match, by their names there.
        artifacts: what was copied back from another host, by their paths in its folder of artifacts.
        records: what it tracked; `archive` is the digest of the rows of all of them.
        contents: the stamp of each content that is named above.
    """

    id: str
    experiment: str
    task: str
    attempt: int
    kept: str
    exit_code: int = 0
    outputs: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[KeptFile, ...] = ()
    artifacts: tuple[KeptFile, ...] = ()
    records: tuple[TrackedRecord, ...] = ()
    archive: str | None = None
    contents: Mapping[str, Stamp] = field(default_factory=dict)

    @property
    def origin(self) -> dict[str, Any]:
        """The attempt that had this result, as the field `cached_from` has it."""
        return {"experiment": self.experiment, "task": self.task, "attempt": self.attempt}

    @property
    def size(self) -> int:
        """The bytes of its contents, of which other entries may have some too."""
        return sum(stamp.size for stamp in self.contents.values())

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """An entry from the output of `to_json`.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: it is none.
        """
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT}")
        entry = cls(
            id=str(document["id"]),
            experiment=str(document["experiment"]),
            task=str(document["task"]),
            attempt=int(document["attempt"]),
            kept=str(document["kept"]),
            exit_code=int(document["exit_code"]),
            outputs=dict(document["outputs"]),
            files=tuple(KeptFile(**each) for each in document["files"]),
            artifacts=tuple(KeptFile(**each) for each in document["artifacts"]),
            records=tuple(
                TrackedRecord(
                    place=(str(each["place"][0]), str(each["place"][1])),
                    is_own=bool(each["is_own"]),
                    openings={str(name): int(number) for name, number in each["openings"].items()},
                    blobs=tuple(each["blobs"]),
                )
                for each in document["records"]
            ),
            archive=document["archive"],
            contents={digest: Stamp(**stamp) for digest, stamp in document["contents"].items()},
        )
        named = {each.digest for each in (*entry.files, *entry.artifacts)}
        named.update(*(each.blobs for each in entry.records), filter(None, (entry.archive,)))
        if not named <= entry.contents.keys() or not all(map(_DIGEST.match, entry.contents)):
            raise ValueError("a content that it names is not described")
        return entry


class StepCache:
    """The step cache of a home.

    Args:
        home: that contains it.
        digest: returns the SHA-256 of a file; it may know it from an earlier call.
    """

    def __init__(self, home: Home, digest: Callable[[Path], str]) -> None:
        self._folder = home.step_cache_entries
        self.home, self.digest = home, digest
        self.contents = ContentStore(home.step_cache_contents, digest)

    def path(self, fingerprint: str) -> Path:
        """The file of the entry of a fingerprint.

        Raises:
            ValueError: it is not the id of a fingerprint.
        """
        if re.match(ID_PATTERN, fingerprint) is None:
            raise ValueError(f"{fingerprint!r} is not the id of a fingerprint")
        return self._folder / f"{fingerprint}.json"

    def read(self, fingerprint: str) -> StepCacheEntry | None:
        """The entry of a fingerprint, or None.

        Raises:
            UnreadableEntryError: there is a file of that name, but it is no entry.
        """
        path = self.path(fingerprint)
        try:
            document = json.loads(read_bytes(path, limit=LARGEST, follows_link=False))
            entry = StepCacheEntry.from_json(document)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreadableEntryError(f"{path} cannot be read: {error.strerror or error}") from error
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise UnreadableEntryError(f"{path} is no entry of the step cache: {error}") from error
        if entry.id != fingerprint:
            raise UnreadableEntryError(f"{path} is the entry of another fingerprint")
        return entry

    def altered(self, entry: StepCacheEntry) -> Path | None:
        """A file in the store that was changed or removed since the entry was kept; None if none was."""
        for digest, stamp in entry.contents.items():
            if not self.contents.is_intact(digest, stamp):
                return self.contents.path(digest)
        return None

    def write(self, entry: StepCacheEntry, *, replaces: bool) -> None:
        """Write an entry, whose contents are stored, so that it survives a power failure.

        Unless it `replaces` another one, that of another process stays which was written meanwhile.
        """
        make_folder(self._folder)
        path, data = self.path(entry.id), json.dumps(entry.to_json()).encode()
        if replaces:
            write_whole(path, data, is_durable=True)
            return
        temporary = path.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
        write_whole(temporary, data, is_durable=True)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        except OSError:  # a file system without hard links
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(self._folder)

    def ids(self) -> Iterator[str]:
        """The fingerprints that have an entry, in no order."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.suffix == ".json" and re.match(ID_PATTERN, path.stem):
                    yield path.stem


def stamps(kept: Mapping[str, StoredContent]) -> dict[str, Stamp]:
    """The stamps of contents by their digests."""
    return {content.digest: content.stamp for content in kept.values()}
