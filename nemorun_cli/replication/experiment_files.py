"""Which files of one experiment are sent to its server, in the order in which a reader needs them.

With `tracking.spec` the spec is sent as it is, with `logs` what tasks printed, with `code` what they ran.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import LedgerError
from nemorun_cli.replication import masked_spec, shapes
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.storage import spec_copies
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system import locks, trees
from nemorun_cli.system.files import is_regular, open_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

OF_SPEC: Final = ("spec.yaml", "source.json", "resolved.json")
_PRINTED: Final = frozenset({"log", "stderr", "backend-output"})
_OF_SPEC_IN_ATTEMPT: Final = frozenset({"failed-line"})  # it has the text of a line of the spec
_ATTEMPT: Final = re.compile(r"attempt-[1-9][0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentParts:
    """What of an experiment is sent beyond its ledger, its graph and the ends of its attempts.

    Attributes:
        url: the server; None if nothing is sent.
        logs: whether what its tasks print is.
        spec: whether its spec is, with the values of `env`.
        code: whether the shipped code and the copies of scripts are.
    """

    url: str | None = None
    logs: bool = False
    spec: bool = False
    code: bool = False

    @classmethod
    def of(cls, tracking: Mapping[str, Any]) -> SentParts:
        """The settings in the section `tracking` of a resolved spec."""
        url = tracking.get("dash_url")
        flags = {key: tracking.get(key) is True for key in ("logs", "spec", "code")}
        return cls(url=url if isinstance(url, str) else None, **flags)


class ShippedFile(NamedTuple):
    """One file to send.

    Attributes:
        path: below the experiment's folder, on the server too.
        kind: how it is sent.
        source: the file on disk; None if `content` is sent instead.
        content: all of its bytes.
        inside: a folder above `source`, below which no link is followed.
    """

    path: str
    kind: FileKind
    source: Path | None = None
    content: bytes | None = None
    inside: Path | None = None

    def open(self) -> BinaryIO:
        """Open the file on disk to read.

        Raises:
            OSError: it cannot be opened, or is not a regular file.
        """
        if self.source is None:
            raise FileNotFoundError(self.path)
        return open_to_read(self.source, inside=self.inside)


def settings_of(directory: Path) -> SentParts:
    """What is sent of the experiment in a folder.

    Raises:
        LedgerError: its resolved spec cannot be read.
    """
    return SentParts.of(_present(ExperimentFiles(directory)).spec.tracking)


def files_of(directory: Path, settings: SentParts) -> Iterator[ShippedFile]:
    """The files of an experiment that exist now and are sent, those that others need first.

    A file that is not regular, or is behind a link, is passed over.

    Raises:
        LedgerError: its resolved spec cannot be read.
    """
    files = ExperimentFiles(directory)
    yield from _spec(files, settings)
    for name in ("labelled", "ledger.jsonl"):
        if is_regular(directory / name, follows_link=False):
            yield _file(files, name)
    yield from _attempts(files, settings)
    if settings.code:
        yield from _code(files)


def is_over(directory: Path) -> bool:
    """Whether nothing in the folder changes by itself: no supervisor lives, and no local attempt runs."""
    files = ExperimentFiles(directory)
    if locks.is_held_by_name(files.supervisor_lock):
        return False
    attempts = (Path(directory, folder) for folder in _attempt_folders(directory))
    return not any(
        locks.is_held(folder / "lock") for folder in attempts if not (folder / "exit.json").exists()
    )


def _spec(files: ExperimentFiles, settings: SentParts) -> Iterator[ShippedFile]:
    if not settings.spec:
        yield ShippedFile("resolved.json", FileKind.WHOLE, content=_present(files).masked)
        return
    for number in sorted(_numbers(files.revisions)):
        yield from (_file(files, f"revisions/{number}/{name}") for name in OF_SPEC)
    yield from (_file(files, name) for name in OF_SPEC)


class _Present:
    """The present spec of an experiment, as it was when its files had these versions."""

    def __init__(self, files: ExperimentFiles, versions: tuple[int, ...]) -> None:
        self.versions = versions
        self.spec = spec_copies.read_spec(files)
        self._files = files
        self._masked: bytes | None = None

    @property
    def masked(self) -> bytes:
        """Its copy without the values of variables."""
        if self._masked is None:
            number = self.spec.revision
            is_stored = self._files.revision(number).resolved.is_file()
            document = spec_copies.read_document(self._files, revision=number if is_stored else None)
            self._masked = masked_spec.masked(document)
        return self._masked


_presents: dict[Path, _Present] = {}  # those that were read last, by experiment
MOST_PRESENTS: Final = 16


def _present(files: ExperimentFiles) -> _Present:
    """The present spec; read again only when a file of it has changed, as a sender asks twice a second."""
    try:
        state = files.resolved.stat()
    except OSError as error:
        raise LedgerError(f"cannot read {files.resolved}: {error.strerror}") from error
    versions = (state.st_mtime_ns, state.st_size, state.st_ino, *sorted(_numbers(files.revisions)))
    present = _presents.pop(files.directory, None)
    if present is None or present.versions != versions:
        present = _Present(files, versions)
    _presents[files.directory] = present
    if len(_presents) > MOST_PRESENTS:
        del _presents[next(iter(_presents))]
    return present


def _attempts(files: ExperimentFiles, settings: SentParts) -> Iterator[ShippedFile]:
    for folder in _attempt_folders(files.directory):
        for name in sorted(_names(files.directory / folder)):
            if name in _PRINTED and not settings.logs:
                continue
            if name in _OF_SPEC_IN_ATTEMPT and not settings.spec:
                continue
            path = f"{folder}/{name}"
            if shapes.of_experiment(path) and is_regular(files.directory / path, follows_link=False):
                yield _file(files, path)


def _attempt_folders(directory: Path) -> Iterator[str]:
    """The folders of attempts, as paths in the experiment's folder; a member's is one level deeper."""
    for task in sorted(_names(directory / "tasks")):
        for name in sorted(_names(directory / "tasks" / task)):
            if _ATTEMPT.fullmatch(name):
                yield f"tasks/{task}/{name}"
                continue
            inner = f"tasks/{task}/{name}"
            yield from (
                f"{inner}/{each}" for each in sorted(_names(directory / inner)) if _ATTEMPT.fullmatch(each)
            )


def _code(files: ExperimentFiles) -> Iterator[ShippedFile]:
    """The shipped packages as they are in the store, where no task can change them, and the scripts."""
    for package in _present(files).spec.packages:
        name, store = Path(package.folder).name, Path(package.store)
        for path in _below(store):
            yield from _shipped(f"code/{name}/{path}", store / path, store)
    for path in _below(files.scripts):
        yield from _shipped(f"scripts/{path}", files.scripts / path, files.directory)
    for number in sorted(_numbers(files.revisions)):
        scripts = files.revision(number).scripts
        for path in _below(scripts):
            yield from _shipped(f"revisions/{number}/scripts/{path}", scripts / path, files.directory)


def _shipped(path: str, source: Path, inside: Path) -> Iterator[ShippedFile]:
    if (kind := shapes.of_experiment(path)) is not None:
        yield ShippedFile(path, kind, source=source, inside=inside)


def _below(folder: Path) -> Iterator[str]:
    """The regular files below a folder, as paths in it."""
    if not folder.is_dir():
        return
    for visit in trees.walk(folder):
        for entry in visit.entries:
            if entry.is_file(follow_symlinks=False):
                yield os.path.relpath(visit.path(entry.name), folder)


def _file(files: ExperimentFiles, path: str) -> ShippedFile:
    kind = shapes.of_experiment(path)
    if kind is None:
        raise ValueError(path)
    return ShippedFile(path, kind, source=files.directory / path, inside=files.directory)


def _numbers(folder: Path) -> Iterator[int]:
    return (int(name) for name in _names(folder) if name.isascii() and name.isdecimal() and name != "0")


def _names(folder: Path) -> list[str]:
    """The names in a folder; none if it does not exist, or is behind a link."""
    try:
        return [] if folder.is_symlink() else os.listdir(folder)  # noqa: PTH208 - of each attempt, often
    except (FileNotFoundError, NotADirectoryError):
        return []
