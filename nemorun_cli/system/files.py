"""Private files and folders, the one way to write a file whole, and the one to read what others write.

Every program that tracks loads this module; it imports nothing that takes time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
NOT_REGULAR: Final = "it is not a regular file"


def write(path: Path | str, text: str) -> None:
    """Write a private file in place; not atomic, not synced. A FIFO in its place is an error, and no wait."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        data = memoryview(text.encode())
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def write_whole(
    path: Path | str, data: bytes, *, is_durable: bool = False, mtime_ns: int | None = None
) -> None:
    """Write a private file as `whole` does.

    Args:
        path: the file.
        data: its new content.
        is_durable: whether it must survive a power failure once this returns.
        mtime_ns: its modification time, in nanoseconds since 1970; None for now.
    """
    with whole(path, is_durable=is_durable) as stream:
        stream.write(data)
        if mtime_ns is not None:
            stream.flush()
            os.utime(stream.fileno(), ns=(mtime_ns, mtime_ns))


@contextlib.contextmanager
def whole(path: Path | str, *, mode: int = FILE_MODE, is_durable: bool = False) -> Iterator[BinaryIO]:
    """A stream whose content replaces a file when the block ends; if the block fails, the file is unchanged.

    A reader sees the old content or the new one, also after a crash. What has the old file open keeps it.

    Args:
        path: the file; its folder must exist.
        mode: the permissions of a private file, or of a private program.
        is_durable: whether it must survive a power failure once the block has ended.
    """
    folder = os.path.dirname(os.fspath(path))  # noqa: PTH120 - this imports no pathlib
    temporary = os.path.join(folder, f".new-{os.getpid()}-{os.urandom(4).hex()}")  # noqa: PTH118 - the same
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - it has no path
            yield stream
            if is_durable:
                stream.flush()
                os.fsync(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - the same
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - the same
        raise
    if is_durable:
        sync(folder or ".")


def make_folder(path: Path | str) -> None:
    """Create a private folder and its missing parents; an existing folder is not changed."""
    try:
        os.mkdir(path, FOLDER_MODE)  # noqa: PTH102 - the same
    except FileExistsError:
        if not os.path.isdir(path):  # noqa: PTH112 - the same
            raise
    except FileNotFoundError:
        parent = os.path.dirname(os.fspath(path))  # noqa: PTH120 - the same
        if not parent:
            raise
        make_folder(parent)
        make_folder(path)


def sync(path: Path | str) -> None:
    """Sync a file, or a folder, so that new and renamed entries in it survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_read(path: str | Path, *, follows_link: bool = True) -> BinaryIO:
    """Open a file that others write: never waits, as opening a FIFO does.

    Raises:
        OSError: it cannot be opened, is not a regular file, or is a link that is not to be followed.
    """
    flags = os.O_RDONLY if follows_link else os.O_RDONLY | os.O_NOFOLLOW
    return open(_regular(path, flags), "rb")


def descriptor_to_read(path: str | Path) -> int:
    """The descriptor that `open_to_read` reads."""
    return _regular(path, os.O_RDONLY)


def descriptor_to_append(path: str | Path) -> int:
    """A descriptor at the end of a private file, which is created if it is missing.

    Raises:
        OSError: it cannot be opened, or is not a regular file; a FIFO without a reader is ENXIO.
    """
    return _regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _regular(path: str | Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
    return descriptor


def read_bytes(path: str | Path) -> bytes:
    """The content of a file that others write, as `open_to_read` opens it."""
    with open_to_read(path) as stream:
        return stream.read()


def is_regular(path: Path) -> bool:
    """Whether there is a file that can be read without waiting."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
