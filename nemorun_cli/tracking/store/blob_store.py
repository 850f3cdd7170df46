"""The contents of saved files, each stored once under its SHA-256."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import LedgerDamagedError, NotFoundError
from nemorun_cli.system.files import FILE_MODE, make_folder, open_to_read, whole
from nemorun_cli.tracking.store.record_paths import parent_of_record

if TYPE_CHECKING:
    from collections.abc import Iterator

ALGORITHM: Final = "sha256"
PUBLIC_MODE: Final = 0o666  # of a copy for the user, less the umask


class BlobContent(NamedTuple):
    """The content of a file: its checksum and its size in bytes."""

    checksum: str
    size: int


class StagedBlob:
    """Bytes being stored; `content` is set once they are complete."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.content: BlobContent | None = None

    def done(self) -> BlobContent:
        """The staged content."""
        if self.content is None:
            raise RuntimeError("the content is known only after the staging block")
        return self.content


class Blobs:
    """A folder of contents."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, checksum: str) -> str:
        """The path of a content.

        Raises:
            NotFoundError: this is not a checksum, so the path could be outside of the store.
        """
        if len(checksum) != 64 or not all(character in "0123456789abcdef" for character in checksum):  # noqa: PLR2004 - hexadecimal digits of SHA-256
            raise NotFoundError(f"{checksum!r:.80} is not a checksum")
        return f"{self._folder}/{checksum[:2]}/{checksum}"

    @contextmanager
    def staging(self) -> Iterator[StagedBlob]:
        """A file to write a content to; it is stored when the block ends, and removed if the block fails."""
        make_folder(self._folder)
        temporary = f"{self._folder}/staged-{os.getpid()}-{os.urandom(6).hex()}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
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
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def copy_in(self, source: str, *, inside: str | None = None) -> BlobContent:
        """Store a copy of a file, which is only read; below the folder `inside` it is behind no link."""
        follows_link = inside is None
        with (
            open_to_read(source, follows_link=follows_link, inside=inside) as original,
            self.staging() as staged,
        ):
            shutil.copyfileobj(original, staged.stream, 1 << 20)
        return staged.done()

    def copy_out(self, checksum: str, target: str) -> None:
        """Copy a content to a path, completely or not at all.

        Raises:
            NotFoundError: the content does not exist.
            LedgerDamagedError: it has changed since it was saved.
        """
        with self.open(checksum) as original, whole(target, mode=PUBLIC_MODE) as copy:
            digest = hashlib.new(ALGORITHM)
            while block := original.read(1 << 20):
                digest.update(block)
                copy.write(block)
            self._check(digest.hexdigest(), checksum)

    def read(self, checksum: str) -> bytes:
        """Read and check a content.

        Raises:
            NotFoundError: it does not exist.
            LedgerDamagedError: it has changed since it was saved.
        """
        with self.open(checksum) as stream:
            data = stream.read()
        self._check(hashlib.new(ALGORITHM, data).hexdigest(), checksum)
        return data

    def _check(self, actual: str, checksum: str) -> None:
        if actual != checksum:
            raise LedgerDamagedError(f"{self.path(checksum)}: its content has changed since it was saved")

    def open(self, checksum: str) -> IO[bytes]:
        """Open a content as a stream, without checking it.

        Raises:
            NotFoundError: it does not exist.
            LedgerDamagedError: it cannot be read.
        """
        path = self.path(checksum)
        try:
            return open_to_read(path, follows_link=False, inside=parent_of_record(path))
        except FileNotFoundError:
            raise NotFoundError(f"the content {checksum} is not at {path}") from None
        except OSError as error:
            raise LedgerDamagedError(f"{path} cannot be read: {error.strerror}") from error
