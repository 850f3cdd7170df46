"""Gets what a server has of a record, or of an experiment, and this machine has not.

As a program: `python -P -m nemorun_cli.replication.pull OUTBOX_FOLDER PREFIX [--timeout S] [--create]`. Its
exit codes: 0 all is here; 3 the server has no such record; 4 some of it is here; 6 the server is away, or
refuses; 8 the record exists (`--create`). With `--timeout`, SIGALRM ends it when the server is too slow.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import ExpError, NotFoundError
from nemorun_cli.replication import protocol, shapes
from nemorun_cli.replication.client import Client, file_address, record_address
from nemorun_cli.replication.record_files import ORDER
from nemorun_cli.replication.remote_errors import OF_ALL, RemoteError, RemoteFault
from nemorun_cli.replication.sender import outbox_files, tokens
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.system.files import (
    FILE_MODE,
    RefusedFileError,
    descriptor_to_change,
    descriptor_to_read,
    entered,
    make_folder,
    write_whole,
)
from nemorun_cli.tracking.outbox import notes, pulling
from nemorun_cli.tracking.outbox.markers import short_name
from nemorun_cli.tracking.store.record_paths import Place, check_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import BinaryIO

    from nemorun_cli.tracking.outbox.markers import Outbox

DONE: Final = 0
NO_RECORD: Final = 3
PARTLY: Final = 4
AWAY: Final = 6
EXISTS: Final = 8
MOST_FILES: Final = 500_000  # of one record: a server that names more is not believed
LARGEST_GROWN: Final = 1 << 32  # bytes of a file that is no content
BLOCK: Final = 1 << 16  # bytes compared at a time
STAGED: Final = ".new-pull-"  # begins the name of a file that is being received
TRIES: Final = 5  # to get a staged file, which other pulls make and remove
ALLOWED: Final = 1.5  # of the limit of one read, for the answers before the first file
WORTH_KEEPING: Final = 1 << 20  # bytes of a content from which on what has arrived of it stays
STALLED: Final = 10.0  # seconds for each block of a file
ASKED: Final = ".asked"  # ends the name of the note that a record was to be created
ASKED_FOR: Final = 3600.0  # seconds for which the note counts

_NOT_DONE: Final = OF_ALL - {RemoteFault.AWAY, RemoteFault.BROKEN} | {RemoteFault.FORBIDDEN}


class Pulled(NamedTuple):
    """What a pull did: files that are new or longer here, those that are left out, and why the first was."""

    files: int
    left: int
    reason: str | None


class AnswerWatchdog:
    """Ends this process, by SIGALRM, if a server that answers slowly holds it, also in a library.

    Args:
        limit: seconds for one read of an answer; None watches nothing.
    """

    def __init__(self, limit: float | None = None) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        """Watch the answers before the first file."""
        if self._limit is not None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
            signal.setitimer(signal.ITIMER_REAL, ALLOWED * self._limit)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._limit is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def progressed(self) -> None:
        """A block has arrived, or the first one is asked for."""
        if self._limit is not None:
            signal.setitimer(signal.ITIMER_REAL, STALLED)


def pull(
    client: Client,
    address: str,
    folder: str,
    *,
    kind_of: Callable[[str], FileKind | None] = shapes.of_record,
    inside: str,
    watchdog: AnswerWatchdog | None = None,
    listed: Callable[[], object] = bool,
) -> Pulled:
    """Get the files that do not exist here, and the rest of those that are a beginning of the server's.

    Nothing is overwritten or removed here: a file that differs, or whose writer is alive here, stays as it
    is. What the server names is checked: only the shapes of files of a record, no links, and contents by
    their checksums.

    Args:
        client: of the server.
        address: of the record, or the experiment.
        folder: its folder here, which is created if something is pulled.
        kind_of: the kind of a path, None if it is no file of it.
        inside: a folder above it, which exists; no link below it is followed.
        watchdog: learns what arrives.
        listed: is called when the server has named the files.

    Raises:
        NotFoundError: the server has no such record.
        RemoteError: the server is away or refuses.
        OSError: a file cannot be written, as with a full disk.
    """
    watchdog = watchdog or AnswerWatchdog()
    with watchdog:
        client.hello()
        sizes = client.sizes(address)
    if sizes is None:
        raise NotFoundError(f"{client.url} has nothing at {address}")
    listed()
    if len(sizes) > MOST_FILES:
        raise RemoteError(RemoteFault.NOT_EXP, f"{client.url} lists {len(sizes):,} files at {address}")
    pulled = left = 0
    reason = None
    for path in sorted(sizes, key=_order):
        kind = kind_of(path)
        if kind is None or sizes[path] > _largest(kind):
            left, reason = left + 1, reason or f"{path!r:.300} is no file that can be pulled"
            continue
        try:
            wanted = _Wanted(file_address(address, path), f"{folder}/{path}", kind, sizes[path])
            pulled += _pull_file(client, wanted, inside=inside, watchdog=watchdog)
        except RemoteError as error:
            if error.fault in OF_ALL:
                raise
            left, reason = left + 1, reason or error.message
        except (RefusedFileError, _OtherContentError) as error:
            left, reason = left + 1, reason or str(error)
    return Pulled(pulled, left, reason)


def _order(path: str) -> tuple[int, str]:
    folder = path.partition("/")[0]
    return ORDER.index(folder) if folder in ORDER else -1, path


def _largest(kind: FileKind) -> int:
    return protocol.LARGEST_FILE if kind is FileKind.CONTENT else LARGEST_GROWN


class _OtherContentError(Exception):
    """What is here is not a beginning of what the server has, or its content is not that of its name."""


class _Wanted(NamedTuple):
    """A file of the server: its address, its path here, its kind and its size there."""

    address: str
    target: str
    kind: FileKind
    size: int


def _pull_file(client: Client, wanted: _Wanted, *, inside: str, watchdog: AnswerWatchdog) -> bool:
    """Pull one file; returns whether it is new or longer here.

    What has arrived of a content stays when the pull ends, also by a signal; the next one continues it.
    """
    address, target, kind, size = wanted
    above = os.path.dirname(target)
    try:
        here = os.stat(target, follow_symlinks=False).st_size
    except (FileNotFoundError, NotADirectoryError):
        here = None
    if here is not None and (here >= size or kind is not FileKind.GROWING or _is_written_here(target)):
        return False
    with entered(above, inside=inside, creates=True) as folder:
        name = os.path.basename(target)
        descriptor, staged = _stage(folder, name, largest=size if kind is FileKind.CONTENT else 0)
        keeps = False
        try:
            with open(descriptor, "w+b") as stream:
                try:
                    _fetch(client, address, stream, size, watchdog)
                except (RemoteError, KeyboardInterrupt):
                    stream.flush()
                    keeps = kind is FileKind.CONTENT and os.fstat(descriptor).st_size >= WORTH_KEEPING
                    raise
                if kind is FileKind.CONTENT:
                    _check(stream, name)
                if here is not None:
                    return _extend(target, stream, here)
                return _place(folder, staged, name)
        finally:
            if not keeps:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(staged, dir_fd=folder)


def _stage(folder: int, name: str, *, largest: int) -> tuple[int, str]:
    """The staged file of a file, locked, and its name; what another pull left in it, up to a size, stays.

    Raises:
        RefusedFileError: another process receives this file now.
    """
    staged = f"{STAGED}{short_name(name)}"
    for _ in range(TRIES):
        descriptor = descriptor_to_change(staged, folder=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RefusedFileError(f"another process receives {name} now") from None
        except OSError:  # no locks on this file system
            os.close(descriptor)
            staged = f"{staged}-{os.getpid()}-{os.urandom(4).hex()}"
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            return os.open(staged, flags | os.O_EXCL, FILE_MODE, dir_fd=folder), staged
        status = os.fstat(descriptor)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(staged, dir_fd=folder, follow_symlinks=False).st_ino == status.st_ino:
                if status.st_size <= largest and status.st_nlink == 1:
                    return descriptor, staged
                os.unlink(staged, dir_fd=folder)  # it may be the file itself, by another name: never changed
        os.close(descriptor)
    raise RefusedFileError(f"other processes receive {name} now")


def _place(folder: int, staged: str, name: str) -> bool:
    """Give a staged file its name; returns False if its writer, or another pull, was faster."""
    try:
        os.link(staged, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def _is_written_here(path: str) -> bool:
    """Whether the writer of a file may be alive on this machine: its opening is here, and is locked."""
    record, _, rest = path.partition("/.record/")
    opening = f"{record}/.record/openings/{rest.rpartition('/')[2].partition('.')[0]}.jsonl"
    try:
        descriptor = descriptor_to_read(opening, follows_link=False)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _fetch(client: Client, address: str, stream: BinaryIO, size: int, watchdog: AnswerWatchdog) -> None:
    """Append what is missing of the first `size` bytes that the server has of a file."""
    begin = stream.seek(0, os.SEEK_END)
    missing = size - begin
    with contextlib.closing(client.read(address, begin)) as blocks, watchdog:
        watchdog.progressed()
        for block in blocks if missing else ():
            stream.write(block[:missing])
            missing -= len(block)
            watchdog.progressed()
            if missing <= 0:
                break
    if missing > 0:
        message = f"{client.url} sent {missing:,} bytes less than it has: {address}"
        raise RemoteError(RemoteFault.AWAY, message)
    stream.flush()
    stream.seek(0)


def _check(stream: BinaryIO, checksum: str) -> None:
    if hashlib.file_digest(stream, "sha256").hexdigest() != checksum:  # type: ignore[arg-type] # a file
        raise _OtherContentError(f"the server has another content than {checksum}")


def _extend(target: str, theirs: BinaryIO, here: int) -> bool:
    """Append to a file what the server has more, if the file has `here` bytes and they are the same there."""
    descriptor = descriptor_to_change(target, creates=False, appends=True)
    with open(descriptor, "r+b", buffering=0) as ours:
        fcntl.flock(ours, fcntl.LOCK_EX)  # of two pulls, one appends
        if os.fstat(descriptor).st_size != here:
            return False
        missing = here
        while missing > 0:
            block = ours.read(min(BLOCK, missing))
            if not block or block != theirs.read(len(block)):
                raise _OtherContentError(f"{target} is not a beginning of what the server has")
            missing -= len(block)
        while block := theirs.read(BLOCK):
            view = memoryview(block)
            while view:
                view = view[ours.write(view) :]
    return True


def pull_record(
    url: str,
    root: str,
    prefix: str,
    *,
    limit: float | None = None,
    watchdog: AnswerWatchdog | None = None,
    listed: Callable[[], object] = bool,
) -> Pulled:
    """Pull a record into a folder of records.

    Raises:
        UsageError: there is no token for the server.
        NotFoundError, RemoteError, OSError: as `pull`.
    """
    place = Place(root, check_prefix(prefix))
    client = Client(url, tokens.required(url), limit=limit)
    try:
        make_folder(root)
        address = record_address(prefix)
        return pull(client, address, place.record, inside=root, watchdog=watchdog, listed=listed)
    finally:
        client.close()


def create_record(outbox: Outbox, prefix: str, *, limit: float | None = None) -> bool:
    """Create the folder of a record on the server, which must not have it; returns False if it has.

    A record that was created, but whose answer was lost, is not in the way of the next try: a note of the
    outbox shows that this was tried, and nothing is in the record.

    Raises:
        UsageError: there is no token for the server.
        RemoteError: the server is away or refuses.
    """
    address = record_address(check_prefix(prefix))
    note = f"{outbox.folder}/{pulling.FOLDER}/{short_name(prefix)}{ASKED}"
    was_asked = _is_recent(note)
    client = Client(outbox.url, tokens.required(outbox.url), limit=limit)
    try:
        with AnswerWatchdog(limit):
            client.hello()
            with contextlib.suppress(OSError):
                make_folder(os.path.dirname(note))
                write_whole(note, b"")
            is_ours = client.create(address) or (was_asked and not client.sizes(address))
    except RemoteError as error:
        if not was_asked and (error.is_unreachable or error.fault in _NOT_DONE):
            _forget(note)
        raise
    finally:
        client.close()
    _forget(note)
    return is_ours


def _forget(note: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(note)


def _is_recent(note: str) -> bool:
    try:
        return time.time() - os.stat(note).st_mtime < ASKED_FOR
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Pull, or create, as a program; the last line on stderr is the reason of a failure."""
    parser = argparse.ArgumentParser(prog="nemorun_cli.replication.pull")
    parser.add_argument("outbox")
    parser.add_argument("prefix")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--create", action="store_true")
    options = parser.parse_args(arguments)
    outbox = notes.outbox_at(os.path.abspath(options.outbox))
    if outbox is None:
        sys.stderr.write(f"{options.outbox} is no outbox\n")
        return 2
    is_listed = False

    def listed() -> None:
        nonlocal is_listed
        is_listed = True
        sys.stdout.write(f"{pulling.LISTED}\n")
        sys.stdout.flush()

    limit = options.timeout
    try:
        if options.create:
            return DONE if create_record(outbox, options.prefix, limit=limit) else EXISTS
        root = outbox_files.root_of(outbox)
        pull_record(
            outbox.url, root, options.prefix, limit=limit, watchdog=AnswerWatchdog(limit), listed=listed
        )
    except NotFoundError as error:
        sys.stderr.write(f"{error.message}\n")
        return NO_RECORD
    except (ExpError, OSError) as error:
        sys.stderr.write(f"{error.message if isinstance(error, ExpError) else error}\n")
        return PARTLY if is_listed else AWAY
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
