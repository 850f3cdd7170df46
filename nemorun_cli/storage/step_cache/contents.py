"""Contents of files in the step cache: each once, under its digest, and never changed by `exp`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.storage.step_cache.content_digests import ContentError
from nemorun_cli.system.files import BLOCK, make_folder, open_to_read, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FICLONE: Final = 0x40049409  # the request of Linux that makes a file share the blocks of another one
READ_ONLY: Final = 0o400  # the mode of a copy in the store
WRITES: Final = 0o222
_NO_LINKS: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


class UnsteadyFileError(Exception):
    """A file was changed while it was copied; the argument is its path."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file in the store is known to be unchanged, without reading it."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The stamp of a file that was just examined."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent:
    """What was stored of a file: its digest, its permissions, and the stamp of the file in the store."""

    digest: str
    mode: int
    stamp: Stamp


class ContentStore:
    """The folder of contents.

    Args:
        folder: where they are.
        digest: returns the SHA-256 of a file; it may know it from an earlier call.
    """

    def __init__(self, folder: Path, digest: Callable[[Path], str]) -> None:
        self._folder, self._digest = folder, digest

    def path(self, digest: str) -> Path:
        """The file of a content."""
        return self._folder / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether there is a content with this digest, by its name."""
        return self.path(digest).is_file()

    def is_intact(self, digest: str, stamp: Stamp) -> bool:
        """Whether the file of a content still has it; it is read only if its stamp is another one."""
        path = self.path(digest)
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                return False
            return Stamp.of(status) == stamp or (
                status.st_size == stamp.size and self._digest(path) == digest
            )
        except (OSError, ContentError):
            return False

    def put(self, source: Path, *, inside: Path | None = None) -> StoredContent:
        """Store a file: with the blocks of the source where the file system can share them, else a copy.

        A file that nobody may write to can be stored as another name of the same file.

        Args:
            source: the file.
            inside: below this folder, no part of its path may be a link.

        Raises:
            UnsteadyFileError: it was changed meanwhile.
            OSError: it cannot be read, or the store cannot be written.
        """
        with open_to_read(source, follows_link=False, inside=inside) as stream:
            before = os.fstat(stream.fileno())
            with self._staged() as temporary:
                if not _linked(source, before, temporary):
                    _copy(stream, temporary, mode=READ_ONLY)
                after = os.fstat(stream.fileno())
                if _identity(before) != _identity(after):
                    raise UnsteadyFileError(str(source))
                return self._stored(temporary, mode=stat.S_IMODE(before.st_mode))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """The path of a new file, for `take_in` once it is written; it is removed after the block."""
        with self._staged() as temporary:
            yield temporary

    def take_in(self, temporary: Path) -> StoredContent:
        """Store a file that `writing` has named."""
        temporary.chmod(READ_ONLY)
        return self._stored(temporary, mode=READ_ONLY)

    def _stored(self, temporary: Path, *, mode: int) -> StoredContent:
        with open_to_read(temporary, follows_link=False) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        path = self.path(digest)
        make_folder(path.parent)
        is_there = path.is_file() and not path.is_symlink() and self._digest(path) == digest
        if not is_there:
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        return StoredContent(digest=digest, mode=mode, stamp=Stamp.of(path.lstat()))

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        make_folder(self._folder)
        temporary = self._folder / f".new-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def copy_of(source: Path, target: Path) -> None:
        """Copy a file, which is not stored, to a new one.

        Raises:
            OSError: it cannot be read, or the copy cannot be written.
        """
        with open_to_read(source, follows_link=False) as stream:
            _copy(stream, target, mode=READ_ONLY)

    def copy_out(self, digest: str, target: Path, *, mode: int) -> None:
        """Make a new file with a content; nothing may have its path.

        Raises:
            OSError: it cannot be written; then there is no file.
        """
        with open_to_read(self.path(digest), follows_link=False) as stream:
            status = os.fstat(stream.fileno())
            if stat.S_IMODE(status.st_mode) == mode and _linked(self.path(digest), status, target):
                return
            try:
                _copy(stream, target, mode=mode)
            except BaseException:
                target.unlink(missing_ok=True)
                raise


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _linked(source: Path, status: os.stat_result, target: Path) -> bool:
    """Give a file that nobody may write to a second name; returns whether that was possible."""
    if status.st_mode & WRITES or status.st_uid != os.geteuid():
        return False
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    if target.lstat().st_ino == status.st_ino:
        return True
    target.unlink()
    return False


def _copy(stream: Any, target: Path, *, mode: int) -> None:
    """Copy an open file to a new one, which shares its blocks if the file system can do that."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.ioctl(descriptor, FICLONE, stream.fileno())
        except OSError:
            os.lseek(stream.fileno(), 0, os.SEEK_SET)
            while block := os.read(stream.fileno(), BLOCK):
                view = memoryview(block)
                while view:
                    view = view[os.write(descriptor, view) :]
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
