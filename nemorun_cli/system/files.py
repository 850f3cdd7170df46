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
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from pathlib import Path
    from typing import BinaryIO, Protocol

    class KnownFolders(Protocol):
        """Devices, inodes and hashes of the paths of what is on disk, such as a set of them."""

        def __contains__(self, key: tuple[int, int, int], /) -> bool: ...
        def add(self, key: tuple[int, int, int], /) -> None:
            """Something is on disk."""


FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
LARGEST: Final = 1 << 28  # bytes of a file that is read whole, unless its reader knows a lower bound
BLOCK: Final = 1 << 20  # bytes that are copied at a time
NOT_REGULAR: Final = "it is not a regular file"
IS_LINK: Final = "its path has a symbolic link, which is not followed"

_ENTERED: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RefusedFileError(OSError):
    """What has the path is not read: a FIFO, a device, a folder, a link, or a file that is too large."""


def write(path: Path | str, text: str) -> None:
    """Write a private file in place; not atomic, not synced. A FIFO or a link in its place is an error."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
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
    with _aside(path, mode=mode) as (stream, temporary):
        yield stream
        if is_durable:
            stream.flush()
            os.fsync(stream.fileno())
        stream.close()
        os.replace(temporary, path)  # noqa: PTH105 - this imports no pathlib
    if is_durable:
        sync(os.path.dirname(os.fspath(path)) or ".")  # noqa: PTH120 - the same


def write_new(path: Path | str, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Write a file whole that does not exist yet; what has the path is never replaced.

    Args:
        path: the file; its folder must exist.
        data: its content.
        mode: its permissions, less those that the umask removes.

    Raises:
        FileExistsError: something has the path, also if it is a link to nothing.
        OSError: it cannot be written; then there is no file.
    """
    with _aside(path, mode=mode) as (stream, temporary):
        stream.write(data)
        stream.close()
        try:
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)) from None
            os.replace(temporary, path)  # noqa: PTH105 - the same
        else:
            os.unlink(temporary)  # noqa: PTH108 - the same


@contextlib.contextmanager
def _aside(path: Path | str, *, mode: int) -> Iterator[tuple[BinaryIO, str]]:
    """A stream to a temporary file next to a file, and its path; it is removed if the block fails."""
    folder = os.path.dirname(os.fspath(path))  # noqa: PTH120 - this imports no pathlib
    temporary = os.path.join(folder, f".new-{os.getpid()}-{os.urandom(4).hex()}")  # noqa: PTH118 - the same
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - it has no path
            yield stream, temporary
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - the same
        raise


def overwrite(path: Path | str, at: int, data: bytes) -> None:
    """Replace bytes within a file by one synced write, which takes no space."""
    descriptor = _regular(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, data, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path | str) -> None:
    """Create a private folder and its missing parents; an existing folder is not changed."""
    try:
        _make_last(path)
        return  # noqa: TRY300 - outside of the handler, so that an error below is not chained to this one
    except FileNotFoundError:
        parent = os.path.dirname(os.fspath(path))  # noqa: PTH120 - this imports no pathlib
        if not parent:
            raise
    make_folder(parent)
    _make_last(path)  # still missing where no folder can be created, as in /proc


def _make_last(path: Path | str) -> None:
    try:
        os.mkdir(path, FOLDER_MODE)  # noqa: PTH102 - the same
    except FileExistsError:
        if not os.path.isdir(path):  # noqa: PTH112 - the same
            raise


def sync(path: Path | str) -> None:
    """Sync a file, or a folder, so that new and renamed entries in it survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_read(
    path: str | Path, *, follows_link: bool = True, inside: str | Path | None = None
) -> BufferedReader:
    """Open a regular file that others write; never waits, as opening a FIFO does.

    Args:
        path: the file.
        follows_link: whether the file itself may be a symbolic link.
        inside: a folder above the file; of the path below it no part may be a symbolic link.

    Raises:
        RefusedFileError: it is not a regular file, or is behind a link that is not followed.
        OSError: it cannot be opened.
    """
    return open(descriptor_to_read(path, follows_link=follows_link, inside=inside), "rb")


def descriptor_to_read(
    path: str | Path,
    *,
    follows_link: bool = True,
    inside: str | Path | None = None,
    folder: int | None = None,
) -> int:
    """The descriptor that `open_to_read` reads; `folder` is that of the file's folder, if it was entered."""
    if inside is None:
        return _regular(path, os.O_RDONLY if follows_link else os.O_RDONLY | os.O_NOFOLLOW, folder=folder)
    folder = enter(os.path.dirname(path), inside=inside)  # noqa: PTH120 - this imports no pathlib
    try:
        return _regular(path, os.O_RDONLY | os.O_NOFOLLOW, folder=folder)
    finally:
        os.close(folder)


def descriptor_of_folder(path: str) -> int:
    """A descriptor of a folder, which is no link, to lock it."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def is_behind_link(path: str, *, inside: str) -> bool:
    """Whether a part of a path below a folder is a symbolic link."""
    ends = (end for end in range(len(inside) + 1, len(path) + 1) if end == len(path) or path[end] == "/")
    return any(os.path.islink(path[:end]) for end in ends)  # noqa: PTH114 - this imports no pathlib


@contextlib.contextmanager
def entered(
    folder: str | Path,
    *,
    inside: str | Path,
    creates: bool = False,
    durable: KnownFolders | None = None,
    syncs: Callable[[int], None] | None = None,
) -> Iterator[int]:
    """A descriptor of a folder, for paths relative to it, that no symbolic link below `inside` leads to.

    Args:
        folder: the folder.
        inside: a folder above it, or itself, which exists.
        creates: whether missing folders below `inside` are created.
        durable: devices, inodes and hashes of the paths of folders that are known to survive a power
            failure; the others on the way are synced, and added.
        syncs: is called with the descriptor of a folder to sync it; default `sync_entries`.

    Raises:
        RefusedFileError: a part of its path below `inside` is a link.
        OSError: it cannot be opened.
    """
    descriptor = enter(folder, inside=inside, creates=creates, durable=durable, syncs=syncs)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def enter(
    folder: str | Path,
    *,
    inside: str | Path,
    creates: bool = False,
    durable: KnownFolders | None = None,
    syncs: Callable[[int], None] | None = None,
) -> int:
    """The descriptor that `entered` yields, to be closed by the caller; its arguments are the same."""
    text, path = os.fspath(folder), os.fspath(inside)
    descriptor = os.open(path, _ENTERED & ~os.O_NOFOLLOW)
    try:
        for part in text[len(path) :].split("/"):
            if not part:
                continue
            below, is_new = _entered(part, descriptor, text, creates=creates)
            if durable is not None:
                path = f"{path}/{part}"
                try:
                    if (key := (*identity(below), hash(path))) not in durable or is_new:
                        (syncs or sync_entries)(descriptor)  # a new one may have the inode of a former one
                        durable.add(key)
                except BaseException:
                    os.close(below)
                    raise
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def enter_below(name: str, *, folder: int, path: str | Path) -> int:
    """A descriptor of a folder in one that was entered.

    Args:
        name: its name.
        folder: the descriptor of the folder that contains it.
        path: its own path, which errors name.

    Raises:
        RefusedFileError: it is a link.
        OSError: it cannot be opened.
    """
    return _entered(name, folder, os.fspath(path), creates=False)[0]


def identity(descriptor: int) -> tuple[int, int]:
    """The device and inode of an open file or folder."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def sync_entries(folder: int) -> None:
    """Sync a folder that was entered, so that its entries survive a power failure."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entered(part: str, folder: int, path: str, *, creates: bool) -> tuple[int, bool]:
    """A descriptor of a folder in another one, and whether it was made; of a path, which errors name."""
    if part == os.pardir:
        raise RefusedFileError(errno.ELOOP, "its path has '..' in it", path)
    try:
        return os.open(part, _ENTERED, dir_fd=folder), False
    except FileNotFoundError as error:
        if not creates:
            raise FileNotFoundError(error.errno, error.strerror, path) from None
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.lstat(part, dir_fd=folder).st_mode):
            raise RefusedFileError(errno.ELOOP, IS_LINK, path) from None
        raise NotADirectoryError(error.errno, error.strerror, path) from None
    except OSError as error:
        raise type(error)(error.errno, error.strerror, path) from None
    with contextlib.suppress(FileExistsError):  # another process made it
        os.mkdir(part, FOLDER_MODE, dir_fd=folder)
    return _entered(part, folder, path, creates=False)[0], True


def descriptor_of_new(name: str, flags: int, *, folder: int, path: str | Path) -> int:
    """A descriptor of a private file that does not exist yet.

    Args:
        name: its name in a folder.
        flags: how it is opened, such as O_WRONLY.
        folder: the descriptor of the folder.
        path: of the folder, which errors name.

    Raises:
        FileExistsError: something has the name, also if it is a link to nothing.
        OSError: it cannot be created.
    """
    try:
        return os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE, dir_fd=folder)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, f"{path}/{name}") from None


def descriptor_to_append(path: str | Path) -> int:
    """A descriptor at the end of a private file, which is created if it is missing.

    Raises:
        RefusedFileError: it is not a regular file, or is a symbolic link.
        OSError: it cannot be opened; a FIFO without a reader is ENXIO.
    """
    return _regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW)


def descriptor_to_change(
    path: str | Path, *, creates: bool = True, appends: bool = False, folder: int | None = None
) -> int:
    """A descriptor of a private file to read, lock and write in place; it is created if it is missing.

    Args:
        path: the file.
        creates: whether a missing file is created.
        appends: whether every write is at the end.
        folder: the descriptor of its folder, if that was entered.

    Raises:
        RefusedFileError: it is not a regular file, or is a symbolic link.
        OSError: it cannot be opened; FileNotFoundError only without `creates`.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if creates else 0) | (os.O_APPEND if appends else 0)
    return _regular(path, flags, folder=folder)


def descriptor_of_fifo(path: str | Path, mode: int) -> int:
    """A descriptor of a FIFO, opened in a mode such as O_WRONLY without waiting for the other end.

    Raises:
        RefusedFileError: it is something else, such as a link.
        OSError: it cannot be opened; without a reader, ENXIO for O_WRONLY.
    """
    try:
        descriptor = os.open(path, mode | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedFileError(errno.ELOOP, IS_LINK, str(path)) from None
        raise
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise RefusedFileError(errno.EINVAL, "it is not a FIFO", str(path))


def _regular(path: str | Path, flags: int, *, folder: int | None = None) -> int:
    """A descriptor of a regular file: at a path, or at its last part in a folder."""
    name = path if folder is None else os.path.basename(path)  # noqa: PTH119 - this imports no pathlib
    try:
        descriptor = os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and flags & os.O_NOFOLLOW:
            raise RefusedFileError(errno.ELOOP, IS_LINK, str(path)) from None
        if error.errno == errno.ENXIO and not flags & os.O_WRONLY:  # a socket
            raise RefusedFileError(errno.ENXIO, NOT_REGULAR, str(path)) from None
        raise type(error)(error.errno, error.strerror, str(path)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise RefusedFileError(errno.EISDIR, f"{NOT_REGULAR}, but a directory", str(path))
    raise RefusedFileError(errno.EINVAL, NOT_REGULAR, str(path))


def read_bytes(
    path: str | Path,
    *,
    limit: int = LARGEST,
    follows_link: bool = True,
    inside: str | Path | None = None,
) -> bytes:
    """The content of a file that others write, as `open_to_read` opens it.

    Raises:
        RefusedFileError: it is not read by `open_to_read`, or is larger than `limit`.
        OSError: it cannot be read.
    """
    with open_to_read(path, follows_link=follows_link, inside=inside) as stream:
        return at_most(limit, stream, path)


def copy_file(
    source: str | Path, target: str | Path, *, mode: int | None = None, follows_link: bool = True
) -> None:
    """Copy a file that others write to a private file, completely or not at all.

    Args:
        source: the file, read as `open_to_read` does.
        target: the copy, which replaces what is there.
        mode: the permissions of the copy; None for those of the file.
        follows_link: whether `source` may be a symbolic link.
    """
    with open_to_read(source, follows_link=follows_link) as original:
        own = stat.S_IMODE(os.fstat(original.fileno()).st_mode)
        with whole(target, mode=own if mode is None else mode) as replacement:
            while block := original.read(BLOCK):
                replacement.write(block)


def at_most(limit: int, stream: BinaryIO, path: str | Path) -> bytes:
    """The rest of a stream, which has the path.

    Raises:
        RefusedFileError: it is longer than `limit`; then no more than that was read.
    """
    if os.fstat(stream.fileno()).st_size <= limit + stream.tell():
        data = stream.read(limit + 1)  # a file may grow meanwhile
        if len(data) <= limit:
            return data
    raise RefusedFileError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(path))


def is_regular(path: Path, *, follows_link: bool = True) -> bool:
    """Whether there is a file that can be read without waiting."""
    try:
        return stat.S_ISREG((path.stat() if follows_link else path.lstat()).st_mode)
    except OSError:
        return False
