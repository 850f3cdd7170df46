"""The contents of saved files, each kept once under its SHA-256."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import LedgerDamagedError, NotFoundError
from nemorun_cli.tracking.store.record_paths import FILE_MODE, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ALGORITHM: Final = "sha256"


class BlobContent(NamedTuple):
    """What a file held: its checksum and its size in bytes."""

    checksum: str
    size: int


class StagedBlob:
    """Bytes on their way in; `content` is there once they are all in."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.content: BlobContent | None = None

    def done(self) -> BlobContent:
        """What was staged."""
        if self.content is None:
            raise RuntimeError("the content is known when the staging is over")
        return self.content


class Blobs:
    """A folder of contents."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, checksum: str) -> str:
        """Where a content lies.

        Raises:
            NotFoundError: this is no checksum, so it may be no file of ours.
        """
        if len(checksum) != 64 or not all(character in "0123456789abcdef" for character in checksum):  # noqa: PLR2004 - hexadecimal digits of SHA-256
            raise NotFoundError(f"{checksum!r:.80} is no checksum")
        return f"{self._folder}/{checksum[:2]}/{checksum}"

    @contextmanager
    def staging(self) -> Iterator[StagedBlob]:
        """A file to write a content into; it takes its place when the block ends, or leaves no trace."""
        make_folder(self._folder)
        aside = f"{self._folder}/staged-{os.getpid()}-{os.urandom(6).hex()}"
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            with open(descriptor, "w+b") as stream:
                staged = StagedBlob(stream)
                yield staged
                stream.flush()
                stream.seek(0)
                checksum = hashlib.file_digest(stream, ALGORITHM).hexdigest()
                staged.content = BlobContent(checksum, os.fstat(stream.fileno()).st_size)
            path = self.path(checksum)
            make_folder(os.path.dirname(path))
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise

    def copy_in(self, source: str) -> BlobContent:
        """Take a copy of a file; the file itself is only read."""
        with open(source, "rb") as original, self.staging() as staged:
            shutil.copyfileobj(original, staged.stream, 1 << 20)
        return staged.done()

    def copy_out(self, checksum: str, target: str) -> None:
        """Put a copy of a content at a path, whole or not at all.

        Raises:
            NotFoundError: the content is not here.
            LedgerDamagedError: it is not what it was when it was saved.
        """
        aside = f"{target}.{os.getpid()}-{os.urandom(4).hex()}"
        try:
            with self.open(checksum) as original, open(aside, "xb") as copy:
                digest = hashlib.new(ALGORITHM)
                while block := original.read(1 << 20):
                    digest.update(block)
                    copy.write(block)
            self._check(digest.hexdigest(), checksum)
            os.replace(aside, target)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise

    def read(self, checksum: str) -> bytes:
        """A content.

        Raises:
            NotFoundError: it is not here.
            LedgerDamagedError: it is not what it was when it was saved.
        """
        with self.open(checksum) as stream:
            data = stream.read()
        self._check(hashlib.new(ALGORITHM, data).hexdigest(), checksum)
        return data

    def _check(self, found: str, checksum: str) -> None:
        if found != checksum:
            raise LedgerDamagedError(f"{self.path(checksum)}: its content has changed since it was saved")

    def open(self, checksum: str) -> IO[bytes]:
        """A content as a stream; whether it is still what was saved is not checked.

        Raises:
            NotFoundError: it is not here.
        """
        path = self.path(checksum)
        try:
            return open(path, "rb")
        except FileNotFoundError:
            raise NotFoundError(f"the content {checksum} is not at {path}") from None
