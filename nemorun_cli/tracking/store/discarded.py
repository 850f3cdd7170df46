"""What replaces the files of a record with `EXP_TRACKING=off`: calls are checked, and nothing is written."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, cast

from nemorun_cli.errors import NotFoundError, StateError
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.model.tracking_switch import OFF, VARIABLE
from nemorun_cli.system.files import open_to_read
from nemorun_cli.tracking.store.blob_store import ALGORITHM, BlobContent, Blobs, StagedBlob
from nemorun_cli.tracking.store.file_index import FileIndex, full_path
from nemorun_cli.tracking.store.record_paths import RECORD, Place
from nemorun_cli.tracking.store.row_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from nemorun_cli.tracking.store.file_index import File
    from nemorun_cli.tracking.store.row_files import Row

NOWHERE: Final = "/proc/no-record"  # there is nothing, and nothing can be created
NOT_KEPT: Final = "0" * 64  # in place of the checksum of a content that is not kept
MOST_KEPT: Final = 1 << 26  # bytes of contents in memory


class DiscardedPlace(Place):
    """The place of a record that does not exist: readers find what a record without rows has."""

    __slots__ = ()

    @property
    def record(self) -> str:
        """A folder that cannot exist."""
        return f"{NOWHERE}/{RECORD}"


class DiscardingWriter(Writer):
    """A writer that checks whether the record is open, and writes nothing."""

    is_off = True

    def __getstate__(self) -> dict[str, Any]:
        """A copy is open as the original is."""
        return {"name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Writer.__init__(self)
        self.name = state["name"]

    def append(self, folder: str, line: bytes) -> None:
        """Discard a line.

        Raises:
            StateError: the record is not open.
        """
        del folder, line
        self.require_open()


class DiscardedSession:
    """An opening that is only in memory; its methods are those of `OpenSession`."""

    is_removed: Final = False

    def __init__(self, place: Place) -> None:
        self.place = place
        self.id = f"0001-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}-{os.urandom(4).hex()}"
        self.status = Status.RUNNING

    def presence(self) -> None:
        """No file."""
        return

    def end(self, status: Status, **_: Any) -> None:
        """Remember the status.

        Raises:
            StateError: it has already ended.
        """
        if self.status is not Status.RUNNING:
            raise StateError(f"the record cannot go from {self.status} to {status}")
        self.status = status

    def release(self) -> None:
        """Nothing is held."""


class BoundedStream(io.RawIOBase):
    """A binary stream that keeps what is written while that is small; of more, only the size is known."""

    def __init__(self) -> None:
        self.size = self._position = 0
        self.kept: bytearray | None = bytearray()

    def readable(self) -> bool:
        """It can be read, as a staged file can; what is not kept reads as zeros."""
        return True

    def writable(self) -> bool:
        """It takes bytes."""
        return True

    def seekable(self) -> bool:
        """Some formats go back to write a header."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What was written, or zeros, up to the size."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._position))
        end = self._position + count
        view[:count] = bytes(count) if self.kept is None else self.kept[self._position : end]
        self._position = end
        return count

    def write(self, data: Any) -> int:
        """Keep the bytes, or count them."""
        view = memoryview(data).cast("B")
        end = self._position + len(view)
        self._resize(max(self.size, end))
        if self.kept is not None:
            self.kept[self._position : end] = view
        self._position = end
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Change the size."""
        self._resize(self._position if size is None else size)
        return self.size

    def _resize(self, size: int) -> None:
        self.size = size
        if size > MOST_KEPT:
            self.kept = None
        elif self.kept is not None:
            del self.kept[size:]
            self.kept.extend(bytes(size - len(self.kept)))


def unknown_file(path: str) -> File:
    """A file that an earlier program may have saved, as far as it is known: its path."""
    folder, _, name = path.rpartition("/")
    return {"id": name, "path": f"/{folder}", "filename": name, "checksum": NOT_KEPT, "sizeBytes": 0}


class MemoryIndex(FileIndex):
    """The index of the files that were saved through this object, in memory."""

    def __init__(self, place: Place, writer: Writer) -> None:
        super().__init__(place, writer)
        self._by_opening: list[tuple[str, Mapping[str, Any]]] = []

    def add(self, files: Sequence[File], *, timestamp: float) -> list[File]:
        """Remember saved files, and return them with their versions."""
        for file in files:
            self._append(timestamp, {"saved": file})
        return [{**file, "version": self._counted(full_path(file))} for file in files]

    def _append(self, timestamp: float, change: Mapping[str, Any]) -> None:
        super()._append(timestamp, change)
        self._by_opening.append((self._writer.name or "", change))

    def _changes(self, openings: Collection[str] | None) -> list[Row]:
        return [{**change} for opening, change in self._by_opening if openings is None or opening in openings]


class MemoryBlobs(Blobs):
    """Contents that are checked as they are saved; the latest are kept in memory, to be read back."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._contents: dict[str, bytes] = {}
        self._kept_bytes = 0

    @contextmanager
    def staging(self) -> Iterator[StagedBlob]:
        """A stream that takes a content; its size is known when the block ends."""
        stream = BoundedStream()
        staged = StagedBlob(cast("Any", stream))
        yield staged
        staged.content = self._keep(stream)

    def _keep(self, stream: BoundedStream) -> BlobContent:
        if stream.kept is None:
            return BlobContent(NOT_KEPT, stream.size)
        data = bytes(stream.kept)
        checksum = hashlib.new(ALGORITHM, data).hexdigest()
        self._kept_bytes += len(data) - len(self._contents.pop(checksum, b""))
        self._contents[checksum] = data
        while self._kept_bytes > MOST_KEPT:
            self._kept_bytes -= len(self._contents.pop(next(iter(self._contents))))
        return BlobContent(checksum, len(data))

    def copy_in(self, source: str, *, inside: str | None = None) -> BlobContent:
        """Keep a small file, which must be readable; of others and of unknown ones, the size is enough."""
        if source.startswith(NOWHERE):
            checksum = os.path.basename(source)
            return BlobContent(checksum, len(self._contents.get(checksum, b"")))
        with open_to_read(source, follows_link=inside is None, inside=inside) as original:
            size = os.fstat(original.fileno()).st_size
            if size > MOST_KEPT:
                return BlobContent(NOT_KEPT, size)
            with self.staging() as staged:
                shutil.copyfileobj(original, staged.stream, 1 << 20)
        return staged.done()

    def open(self, checksum: str) -> IO[bytes]:
        """A content that is kept.

        Raises:
            NotFoundError: it is too large, or others that were saved later took its place.
        """
        if checksum not in self._contents:
            raise NotFoundError(
                f"the content of this file is not kept: with {VARIABLE}={OFF}, only the last"
                f" {MOST_KEPT >> 20} MiB that a program saved can be read back",
                hint=f"unset {VARIABLE} to read larger files back",
            )
        return io.BytesIO(self._contents[checksum])
