"""Gets what a server has of a record, or of an experiment, and this machine has not.

As a program: `python -P -m nemorun_cli.replication.pull OUTBOX_FOLDER PREFIX [--timeout S] [--create]`. Its
exit codes: 0 all is here; 3 the server has no such record; 6 the server is away, or refuses; 8 the record
exists (`--create`).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import sys
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
)
from nemorun_cli.tracking.outbox import notes
from nemorun_cli.tracking.store.record_paths import Place, check_prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

DONE: Final = 0
NO_RECORD: Final = 3
AWAY: Final = 6
EXISTS: Final = 8
MOST_FILES: Final = 500_000  # of one record: a server that names more is not believed
LARGEST_GROWN: Final = 1 << 32  # bytes of a file that is no content
BLOCK: Final = 1 << 16  # bytes compared at a time
STAGED: Final = ".new-"  # begins the name of a file that is being written


class Pulled(NamedTuple):
    """What a pull did: files that are new or longer here, those that are left out, and why the first was."""

    files: int
    left: int
    reason: str | None


def pull(
    client: Client,
    address: str,
    folder: str,
    *,
    kind_of: Callable[[str], FileKind | None] = shapes.of_record,
    inside: str,
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

    Raises:
        NotFoundError: the server has no such record.
        RemoteError: the server is away or refuses.
        OSError: a file cannot be written, as with a full disk.
    """
    sizes = client.sizes(address)
    if sizes is None:
        raise NotFoundError(f"{client.url} has nothing at {address}")
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
            pulled += _pull_file(client, wanted, inside=inside)
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


def _pull_file(client: Client, wanted: _Wanted, *, inside: str) -> bool:
    """Pull one file; returns whether it is new or longer here."""
    address, target, kind, size = wanted
    above = os.path.dirname(target)
    try:
        here = os.stat(target, follow_symlinks=False).st_size
    except (FileNotFoundError, NotADirectoryError):
        here = None
    if here is not None and (here >= size or kind is not FileKind.GROWING or _is_written_here(target)):
        return False
    with entered(above, inside=inside, creates=True) as folder:
        name, staged = os.path.basename(target), f"{STAGED}{os.getpid()}-{os.urandom(4).hex()}"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(staged, flags | os.O_EXCL, FILE_MODE, dir_fd=folder)
        try:
            with open(descriptor, "w+b") as stream:
                _fetch(client, address, stream, size)
                if kind is FileKind.CONTENT:
                    _check(stream, name)
                if here is not None:
                    return _extend(target, stream, here)
            return _place(folder, staged, name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(staged, dir_fd=folder)


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


def _fetch(client: Client, address: str, stream: BinaryIO, size: int) -> None:
    """Write the first `size` bytes that the server has of a file."""
    missing = size
    with contextlib.closing(client.read(address)) as blocks:
        for block in blocks if size else ():
            stream.write(block[:missing])
            missing -= len(block)
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


def pull_record(url: str, root: str, prefix: str, *, limit: float | None = None) -> Pulled:
    """Pull a record into a folder of records.

    Raises:
        UsageError: there is no token for the server.
        NotFoundError, RemoteError, OSError: as `pull`.
    """
    place = Place(root, check_prefix(prefix))
    client = _client(url, limit)
    try:
        make_folder(root)
        return pull(client, record_address(prefix), place.record, inside=root)
    finally:
        client.close()


def create_record(url: str, prefix: str, *, limit: float | None = None) -> bool:
    """Create the folder of a record on the server, which must not have it; returns False if it has.

    Raises:
        UsageError: there is no token for the server.
        RemoteError: the server is away or refuses.
    """
    client = _client(url, limit)
    try:
        return client.create(record_address(check_prefix(prefix)))
    finally:
        client.close()


def _client(url: str, limit: float | None) -> Client:
    client = Client(url, tokens.required(url), limit=limit)
    client.hello()
    return client


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
    try:
        if options.create:
            return DONE if create_record(outbox.url, options.prefix, limit=options.timeout) else EXISTS
        pull_record(outbox.url, outbox_files.root_of(outbox), options.prefix, limit=options.timeout)
    except NotFoundError as error:
        sys.stderr.write(f"{error.message}\n")
        return NO_RECORD
    except (ExpError, OSError) as error:
        sys.stderr.write(f"{error.message if isinstance(error, ExpError) else error}\n")
        return AWAY
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
