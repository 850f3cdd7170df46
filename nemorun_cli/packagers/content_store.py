"""The store of contents by hash in the home: each content is written once and never changed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.packagers.content import Listing, blocks, digest_of, listing
from nemorun_cli.system import locks, owners, trees
from nemorun_cli.system.files import FILE_MODE, FOLDER_MODE, descriptor_to_change, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.packagers.content import Entry
    from nemorun_cli.storage.paths import Home

NAME_LENGTH: Final = 16  # digits of the hash in the name of its folder
PART: Final = ".part-"  # prefix of a content that is being written
PROGRAM_MODE: Final = 0o700


def place(home: Home, digest: str) -> Path:
    """The folder of the content with this hash, which need not exist."""
    return home.code / digest[:NAME_LENGTH]


def has(home: Home, digest: str) -> bool:
    """Whether the content with this hash is in the store.

    Raises:
        UsageError: another user put it there, or may change it: in the home of a group, it could be anything.
    """
    folder = place(home, digest)
    if not folder.is_dir():
        return False
    if (distrust := owners.distrust(folder)) is not None:
        raise UsageError(distrust.message, hint=distrust.remedy)
    return True


@contextlib.contextmanager
def used(home: Home) -> Iterator[None]:
    """A context in which no content is deleted, so that an experiment can start to refer to one."""
    make_folder(home.code)
    with locks.sharing(home.code_lock):
        yield


def put(home: Home, entries: Sequence[Entry]) -> tuple[Path, Listing]:
    """Store a content; return its folder and its listing.

    If a file changes in the meantime, the listing describes the copied version.
    """
    stored = listing(entries, digest=digest_of)
    if has(home, stored.hash):
        return place(home, stored.hash), stored
    part = Path(tempfile.mkdtemp(prefix=PART, dir=home.code))
    try:
        stored = _write(part, entries)
        target = place(home, stored.hash)
        if not has(home, stored.hash):  # a file changed to a version that is already stored
            _rename(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target, stored


def copy(source: Path, target: Path) -> None:
    """Copy a content into a folder that tasks may change."""
    shutil.copytree(source, target, symlinks=True)


def unused(home: Home, referred: set[str]) -> Iterator[Path]:
    """Yield contents whose folder name is not in `referred`, and incomplete ones."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(home.code.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name not in referred:
                yield path


def discard(home: Home, path: Path) -> bool:
    """Remove a content; False if an experiment is being created, which may start to refer to it."""
    descriptor = descriptor_to_change(home.code_lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        trees.remove(path)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _rename(part: Path, target: Path) -> None:
    """Move a complete content to its final name; if another run was faster, its content is the same."""
    try:
        part.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _write(folder: Path, entries: Sequence[Entry]) -> Listing:
    """Write the entries into a new folder; links last, so that no file is written through a link."""
    links = [entry for entry in entries if entry.kind == "link"]
    copied: dict[str, tuple[str, int]] = {}
    for entry in entries:
        target = folder / entry.path
        if entry.kind == "folder":
            target.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        elif entry.kind != "link":
            target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            copied[entry.path] = _copy(entry, target)
    for link in links:
        target = folder / link.path
        target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        target.symlink_to(link.target)
    return listing(entries, digest=lambda entry: copied[entry.path])


def _copy(entry: Entry, target: Path) -> tuple[str, int]:
    mode = PROGRAM_MODE if entry.kind == "program" else FILE_MODE
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(descriptor, "wb") as stream:
        for block in blocks(entry):
            stream.write(block)
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
