"""What replaces the files of a record with `EXP_TRACKING=off`: calls are checked, and nothing is written."""

from __future__ import annotations

import io
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli.errors import StateError
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.system.files import open_to_read
from nemorun_cli.tracking.store.blob_store import BlobContent, Blobs, StagedBlob
from nemorun_cli.tracking.store.record_paths import RECORD, Place
from nemorun_cli.tracking.store.row_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE: Final = "/proc/no-record"  # there is nothing, and nothing can be created
CHECKSUM: Final = "0" * 64  # of a content that nobody keeps


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


class DiscardedStream(io.RawIOBase):
    """A binary stream that knows its position and its size, and keeps nothing."""

    def __init__(self) -> None:
        self.size = self._position = 0

    def readable(self) -> bool:
        """It can be read, as a staged file can, and holds zeros."""
        return True

    def writable(self) -> bool:
        """It takes bytes."""
        return True

    def seekable(self) -> bool:
        """Some formats go back to write a header."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Zeros, up to the size."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._position))
        view[:count] = bytes(count)
        self._position += count
        return count

    def write(self, data: Any) -> int:
        """Count the bytes."""
        count = memoryview(data).nbytes
        self._position += count
        self.size = max(self.size, self._position)
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Change the size."""
        self.size = self._position if size is None else size
        return self.size


def discarded_file(path: str) -> dict[str, Any]:
    """A file that was saved, as far as it is known: its path."""
    folder, _, name = path.rpartition("/")
    return {"id": name, "path": f"/{folder}", "filename": name, "checksum": CHECKSUM, "sizeBytes": 0}


class DiscardedBlobs(Blobs):
    """Contents that are checked as they are saved, and not kept."""

    @contextmanager
    def staging(self) -> Iterator[StagedBlob]:
        """A stream that takes a content; its size is known when the block ends."""
        stream = DiscardedStream()
        staged = StagedBlob(cast("Any", stream))
        yield staged
        staged.content = BlobContent(CHECKSUM, stream.size)

    def copy_in(self, source: str, *, inside: str | None = None) -> BlobContent:
        """The size of a file, which must be readable; that of a saved content is not known."""
        if source.startswith(NOWHERE):
            return BlobContent(CHECKSUM, 0)
        with open_to_read(source, follows_link=inside is None, inside=inside) as original:
            return BlobContent(CHECKSUM, os.fstat(original.fileno()).st_size)
