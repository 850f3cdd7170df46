"""A JSON object in a private file, which several processes read and change: logins, tokens, sessions."""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import os
import stat
import threading
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LockHeldError, UntrustedError
from nemorun_cli.system import locks, owners
from nemorun_cli.system.files import (
    RefusedFileError,
    at_most,
    make_folder,
    open_to_read,
    overwrite,
    read_bytes,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

LARGEST: Final = 64 << 20  # bytes of the file
PATIENCE: Final = 10.0  # seconds to wait for another writer
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class PrivateJson:
    """The file; one object of this class may be used by several threads.

    A file that was read is kept open, so that no other one gets its inode: the same inode is the same file.

    Args:
        path: the file; a file with a lock is next to it.
        form: the format, which the file names.
        is_secret: whether a file that other users may read is refused, not only one that they may change.
    """

    def __init__(self, path: Path, form: str, *, is_secret: bool = False) -> None:
        self.path = path
        self._form = form
        self._is_secret = is_secret
        self._guard = threading.Lock()
        self._descriptor: int | None = None
        self._identity: tuple[int, ...] = ()
        self._content: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The present content, which the caller does not change; empty if there is no file.

        The same object is returned as long as the file is the same.

        Raises:
            UntrustedError: other users may change it, or read what is secret.
            LedgerError: it is damaged, or cannot be read.
        """
        with self._guard:
            try:
                if self._descriptor is not None and self._identity == _identity(os.stat(self.path)):  # noqa: PTH116 - for each request
                    return self._content
                stream = open_to_read(self.path, follows_link=False)
            except FileNotFoundError:
                self._keep(None, (), {})
                return self._content
            except RefusedFileError as error:
                raise UntrustedError(f"{self.path} is not used: {error.strerror}", hint="remove it") from None
            except OSError as error:
                raise self._damaged(error.strerror or str(error)) from None
            with stream:
                identity = _identity(os.fstat(stream.fileno()))
                content = self._checked(stream)
                self._keep(os.dup(stream.fileno()), identity, content)
            return content

    def _keep(self, descriptor: int | None, identity: tuple[int, ...], content: dict[str, Any]) -> None:
        if descriptor is None and self._descriptor is None and not self._content:
            return  # still the same object
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._identity, self._content = descriptor, identity, content

    def _checked(self, stream: BinaryIO) -> dict[str, Any]:
        status = os.fstat(stream.fileno())
        if not owners.is_unshared(status, owners.trusted()):
            who = owners.shown(status.st_uid)
            message = f"it belongs to {who}, and has the mode {status.st_mode & 0o777:o}"
            raise UntrustedError(f"{self.path} is not used: {message}", hint=f"chmod 600 {self.path}")
        if self._is_secret and status.st_mode & _OTHERS:
            message = f"{self.path} is not used: other users may read it"
            raise UntrustedError(message, hint=f"chmod 600 {self.path}")
        try:
            content = json.loads(at_most(LARGEST, stream, self.path))
        except (ValueError, RecursionError, RefusedFileError) as error:
            raise self._damaged(str(error)) from None
        if not isinstance(content, dict) or content.get("format") != self._form:
            raise self._damaged(f"its format is not {self._form}")
        return content

    def _damaged(self, reason: str) -> LedgerError:
        hint = "restore it from a backup, or remove it"
        return LedgerDamagedError(f"{self.path} is not used: {reason}", hint=hint)

    @contextlib.contextmanager
    def changed(self, *, is_durable: bool = True, blanked: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
        """A copy of the content, which replaces the file when the block ends, unless it is unchanged.

        Other writers wait until then.

        Args:
            is_durable: whether the change must survive a power failure once the block has ended.
            blanked: ASCII texts in the file, looked at after the block. If the disk is full, all of them are
                overwritten with zeros where they are, instead of the change.

        Raises:
            LockHeldError: another process keeps the lock.
            UntrustedError: as `read`; or the folder belongs to another user.
            LedgerError: as `read`; or the file cannot be written, and is unchanged.
        """
        lock = self.path.with_name(f"{self.path.name}.lock")
        with self._writing():
            _require_own(self.path.parent)
            make_folder(self.path.parent)
            descriptor = locks.take(lock, patience=PATIENCE)
        if descriptor is None:
            raise LockHeldError(f"{lock} is held by another process")
        try:
            before = self.read()
            content = copy.deepcopy(before)
            yield content
            if content != before:
                content = {"format": self._form, **content}
                data = json.dumps(content, indent=1).encode() + b"\n"
                with self._writing():
                    try:
                        write_whole(self.path, data, is_durable=is_durable)
                    except OSError as error:
                        texts = list(blanked)
                        if not texts or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                            raise
                        _blank(self.path, texts)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Report an error of the system within the block as one about this file."""
        try:
            yield
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written: {error.strerror or error}") from None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # `os` is None when Python ends
        if (descriptor := getattr(self, "_descriptor", None)) is not None:
            close(descriptor)


def _blank(path: Path, texts: Iterable[str]) -> None:
    """Overwrite texts in a file with zeros, each with one write, so that the file is never half changed."""
    data = read_bytes(path, limit=LARGEST, follows_link=False)
    for text in texts:
        if (at := data.find(text.encode("ascii"))) >= 0:
            overwrite(path, at, b"0" * len(text))


def _require_own(folder: Path) -> None:
    """Refuse to write into a folder of another user: as root, its owner could not read what is written.

    Raises:
        UntrustedError: it belongs to another user, or the folder above it does if it is missing.
    """
    for path in (folder, folder.parent):
        with contextlib.suppress(FileNotFoundError):
            uid = path.stat().st_uid
            if uid not in owners.trusted():
                name = owners.name_of(uid) or f"'#{uid}'"
                raise UntrustedError(
                    f"{path} belongs to {owners.shown(uid)}, and nothing is written there",
                    hint=f"run exp as its owner: sudo -u {name} exp …",
                )
            return


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_uid
