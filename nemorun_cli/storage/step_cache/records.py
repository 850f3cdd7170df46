"""What a task tracked, packed for the step cache, and unpacked as the record of a task with its result."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.storage.step_cache.entries import TrackedRecord
from nemorun_cli.system import trees
from nemorun_cli.system.files import make_folder, open_to_read, write_whole
from nemorun_cli.tracking.access import supervisor_api
from nemorun_cli.tracking.access.reader import belongs
from nemorun_cli.tracking.store import blob_store, json_values, row_files, sessions
from nemorun_cli.tracking.store.record_paths import Place, check_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.storage.step_cache.attempt_site import TrackedPlace
    from nemorun_cli.storage.step_cache.contents import ContentStore

OPENINGS: Final = "openings"
BLOBS: Final = "blobs"
_NOT_KEPT: Final = frozenset((BLOBS, "labels"))  # folders of a record; labels came from outside
_OF_MACHINE: Final = ("file", "dash_url", "home")  # facts of an opening that are others in a copy
_VERDICT: Final = ".verdict.json"


class UnkeptRecordError(Exception):
    """What a task tracked cannot be kept; the message is the reason."""


def places(tracked: TrackedPlace, task: str, registers: Sequence[Path], *, inside: Path) -> list[Place]:
    """The records that a task has written: its own, and those that its attempts registered."""
    found = [(tracked.root, f"{tracked.prefix}/{task}")]
    for register in registers:
        found += supervisor_api.registered(register, inside=inside)
    return [Place(root, check_prefix(prefix)) for root, prefix in dict.fromkeys(found)]


def pack(
    path: Path, found: Sequence[Place], tracked: TrackedPlace, *, experiment: str, task: str
) -> tuple[list[TrackedRecord], list[Path]]:
    """Write an archive of what a task tracked; returns its records, and the files of their blobs.

    Without any, there is no archive.

    Raises:
        UnkeptRecordError: a record cannot be read.
        OSError: the archive cannot be written.
    """
    kept: list[TrackedRecord] = []
    blobs: list[Path] = []
    try:
        openings = [(place, _openings(place, experiment, task)) for place in found]
        openings = [(place, own) for place, own in openings if own]
        if not openings:
            return [], []
        with tarfile.open(path, "x:", format=tarfile.PAX_FORMAT) as archive:
            for number, (place, own) in enumerate(openings):
                for inner in _files(place, own):
                    _add(archive, f"{number}/{inner}", Path(place.record, inner), inside=Path(place.root))
                checksums = _checksums(place, own)
                store = blob_store.Blobs(place.blobs)
                blobs += [Path(store.path(checksum)) for checksum in checksums]
                kept.append(_record(place, own, tuple(checksums), tracked))
    except (ExpError, ValueError, LookupError) as error:
        raise UnkeptRecordError(f"what it tracked cannot be read: {error}") from error
    return kept, blobs


def _openings(place: Place, experiment: str, task: str) -> dict[str, int]:
    if not os.path.isdir(place.openings):  # noqa: PTH112 - it is text
        return {}
    return {
        opening.id: opening.facts.get("attempt") or 1
        for opening in sessions.read_all(place)[0]
        if belongs(opening, exp_id=experiment, task=task)
    }


def _record(
    place: Place, openings: Mapping[str, int], checksums: tuple[str, ...], tracked: TrackedPlace
) -> TrackedRecord:
    inner = place.prefix.removeprefix(f"{tracked.prefix}/")
    is_own = place.root == tracked.root and inner != place.prefix
    where = ("", inner) if is_own else (place.root, place.prefix)
    return TrackedRecord(place=where, is_own=is_own, openings=openings, blobs=checksums)


def _files(place: Place, openings: Mapping[str, int]) -> Iterator[str]:
    """The files of openings in the folder of a record, as paths in it."""
    top = Path(place.record)
    for visit in trees.walk(top):
        folder = Path(visit.path("")).relative_to(top)
        if folder.parts[:1] and folder.parts[0] in _NOT_KEPT:
            continue
        for entry in visit.entries:
            if entry.name.partition(".")[0] in openings and entry.is_file(follow_symlinks=False):
                yield str(folder / entry.name)


def _add(archive: tarfile.TarFile, name: str, path: Path, *, inside: Path) -> None:
    with open_to_read(path, follows_link=False, inside=inside) as stream:
        member = tarfile.TarInfo(name)
        member.size = os.fstat(stream.fileno()).st_size
        archive.addfile(member, stream)


def _checksums(place: Place, openings: Mapping[str, int]) -> list[str]:
    """The contents of the files that were saved and are not deleted."""
    changes, _ = row_files.series(place.files, openings=list(openings), kind="files")
    saved = [change["saved"].get("checksum") for change in changes if "saved" in change]
    store = blob_store.Blobs(place.blobs)
    return [each for each in dict.fromkeys(saved) if each and os.path.isfile(store.path(each))]  # noqa: PTH113 - it is text


def target(kept: TrackedRecord, tracked: TrackedPlace) -> Place:
    """The place that what was kept of one record gets in another experiment."""
    root, prefix = kept.place
    if kept.is_own:
        return Place(tracked.root, check_prefix(f"{tracked.prefix}/{prefix}"))
    return Place(root, check_prefix(prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The attempt that gets a record, and whence it has it.

    Attributes:
        server: the address to which the experiment's records are sent, if any.
        verdict: the final status of the attempt, as the record has it.
    """

    experiment: str
    task: str
    attempt: int
    home: str
    server: str | None
    origin: Mapping[str, Any]
    verdict: Mapping[str, Any]


def renamed(records: Sequence[TrackedRecord], tracked: TrackedPlace) -> list[dict[str, str]]:
    """The new ids of the openings of each record: after all that the record has already."""
    names = []
    for kept in records:
        place = target(kept, tracked)
        taken = [row_files.generation_of(each) for each in sessions.ids(place)]
        own = [row_files.generation_of(each) for each in kept.openings]
        shift = max(taken, default=0) - min(own, default=1) + 1
        names.append(
            {
                each: f"{row_files.generation_of(each) + shift:04d}-{_middle(each)}-{os.urandom(4).hex()}"
                for each in kept.openings
            }
        )
    return names


def _middle(opening: str) -> str:
    """The time and the pid in the id of an opening."""
    return "-".join(opening.split("-")[1:3])


def unpack(
    archive: Path,
    records: Sequence[TrackedRecord],
    names: Sequence[Mapping[str, str]],
    *,
    tracked: TrackedPlace,
    owner: Owner,
    contents: ContentStore,
) -> list[Place]:
    """Write the records of an archive as those of another attempt; returns their places.

    The file of each opening is written last, so that a reader sees all of it or nothing.

    Raises:
        OSError: one cannot be written.
        ValueError: the archive is none of `pack`.
    """
    targets = [target(kept, tracked) for kept in records]
    last: list[tuple[Path, bytes]] = []
    with tarfile.open(archive, "r:") as packed:
        for member in packed:
            number, _, path = member.name.partition("/")
            stream = packed.extractfile(member)
            if stream is None or not number.isdecimal():
                raise ValueError(f"{archive} has an entry that is not a file")
            data, kept, known = stream.read(), records[int(number)], names[int(number)]
            folder, _, name = path.rpartition("/")
            opening, dot, rest = name.partition(".")
            if opening not in known or ".." in folder.split("/"):
                raise ValueError(f"{archive} has a file of no opening")
            new = Path(targets[int(number)].record, folder, f"{known[opening]}{dot}{rest}")
            if folder != OPENINGS:
                make_folder(new.parent)
                write_whole(new, data)
                continue
            is_last = kept.openings[opening] == max(kept.openings.values())
            if name.endswith(_VERDICT):
                data = _verdict(data, owner) if is_last else data
                make_folder(new.parent)
                write_whole(new, data)
            else:
                attempt = owner.attempt if is_last else kept.openings[opening]
                last.append((new, _opening(data, known[opening], attempt, targets[int(number)], owner)))
    for kept, place in zip(records, targets, strict=True):
        _place_blobs(kept, place, contents)
    for opening_file, facts in last:
        make_folder(opening_file.parent)
        write_whole(opening_file, facts)
    return targets


def _place_blobs(kept: TrackedRecord, place: Place, contents: ContentStore) -> None:
    store = blob_store.Blobs(place.blobs)
    for checksum in kept.blobs:
        path = Path(store.path(checksum))
        if not path.exists():
            make_folder(path.parent)
            temporary = path.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
            contents.copy_out(checksum, temporary, mode=0o600)
            temporary.replace(path)


def _verdict(data: bytes, owner: Owner) -> bytes:
    verdict = {**json.loads(data), **owner.verdict}
    return f"{json_values.dump(verdict)}\n".encode("ascii")


def _opening(data: bytes, name: str, attempt: int, place: Place, owner: Owner) -> bytes:
    """The file of an opening with the facts of its new owner in the first line."""
    first, _, rest = data.partition(b"\n")
    facts = {key: value for key, value in json.loads(first).items() if key not in _OF_MACHINE}
    facts |= {
        "id": name,
        "prefix": place.prefix,
        "exp_id": owner.experiment,
        "task": owner.task,
        "attempt": attempt,
        "home": owner.home,
        "cached_from": dict(owner.origin),
    }
    if owner.server is not None:
        facts["dash_url"] = owner.server
    return f"{json_values.dump(facts)}\n".encode("ascii") + rest


def discard(root: str, prefix: str, openings: Sequence[str]) -> None:
    """Remove the files of openings that an interrupted process has written."""
    place = Place(root, check_prefix(prefix))
    for name in openings:
        Path(place.opening(name)).unlink(missing_ok=True)  # first: without it, no reader sees the others
    for path in list(_files(place, dict.fromkeys(openings, 1))):
        Path(place.record, path).unlink(missing_ok=True)


def registration(found: Sequence[Place]) -> str:
    """The lines by which an attempt registers the records that it has opened."""
    lines = [json_values.dump({"dash_root": place.root, "prefix": place.prefix}) for place in found]
    return "".join(f"{line}\n" for line in lines)
