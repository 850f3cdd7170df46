"""The store of replicas: every change of one, in whole or not at all, and on disk when it returns.

Requests are repeated, reordered and cut, and come from two senders at once: each changes a file only if it
continues it, so that the server's bytes are always the first of the original's.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.replication import shapes
from nemorun_cli.replication.protocol import LARGEST_ROW
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.serve.store import (
    durable_files,
    quotas,
    replica_addresses,
    replica_folders,
    row_bodies,
    running_digests,
    store_refusal,
    unsynced_files,
    whole_files,
)
from nemorun_cli.serve.store.durable_files import DurableFiles
from nemorun_cli.serve.store.path_locks import PathLocks
from nemorun_cli.serve.store.root_folder import INCOMING, LOCKS
from nemorun_cli.serve.store.running_digests import RunningDigests
from nemorun_cli.serve.store.staging import Staging
from nemorun_cli.serve.store.store_refusal import StoreRefusal, not_found
from nemorun_cli.storage.paths import LEDGER
from nemorun_cli.system.files import descriptor_to_change, descriptor_to_read, identity, sync_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.serve.site import Site
    from nemorun_cli.serve.store.replica_addresses import Replica, ReplicaFile
    from nemorun_cli.serve.store.unsynced_files import UnsyncedFiles

LARGEST_WHOLE: Final = 256 << 20  # bytes of a file that is sent at once, and that readers read at once
_SYNCED_TOGETHER: Final = 32  # files, whose descriptors are open meanwhile, with those of their folders
_LONG: Final = 1 << 16  # bytes of an incomplete row that are not read back with each append
_MOST_TORN: Final = 1000  # files whose incomplete rows are known
LARGEST_LEDGER_ROW: Final = 64 << 20  # bytes of a line of an experiment's files, which no user writes


class ContentState(NamedTuple):
    """How much of a content the server has.

    Attributes:
        size: bytes on the server.
        is_complete: whether the content has its place, and its checksum fits.
    """

    size: int
    is_complete: bool


@dataclass(slots=True)
class StagedWhole:
    """A whole file that is being received.

    Attributes:
        file: whose place it gets.
        descriptor: of the staged file.
        path: of the staged file.
        present: bytes that are stored under its path.
        taken: bytes that count for its user until it has its place, or is removed.
    """

    file: ReplicaFile
    descriptor: int
    path: str
    present: int
    taken: int = 0


class ReplicaPart(NamedTuple):
    """Bytes of one of several files in a request.

    Attributes:
        file: a growing file, or a whole one.
        data: what is appended, or all of it.
        offset: where a growing file is continued; None for a whole one.
    """

    file: ReplicaFile
    data: bytes
    offset: int | None


class _Grown(NamedTuple):
    """A file that was appended to: what it is on disk, and its size before and after."""

    key: tuple[int, int, int]
    before: int
    after: int


PartOutcome = int | StoreRefusal
"""The bytes that are on disk up to the end of a part, or why it is refused."""


class ReplicaStore:
    """The replicas below the root of a site.

    Args:
        site: a server that collects, whose root is prepared.
    """

    def __init__(self, site: Site) -> None:
        if site.root is None:
            raise ValueError("this site has no root for replicas")
        self._largest = site.largest_file
        self._files = DurableFiles()
        self._locks = PathLocks(site.own / LOCKS)
        self._quotas = quotas.quotas_of(site.root, site.quota)
        self._digests = RunningDigests()
        self._torn: dict[tuple[int, int], tuple[int, int]] = {}
        self.staging = Staging(site.own / INCOMING)
        self.root = site.root

    # Growing files

    def append(self, file: ReplicaFile, data: bytes, *, offset: int) -> int:
        """Append bytes to a growing file if it has `offset` bytes; if it has these bytes already, keep it.

        Returns:
            The bytes that are on disk up to the end of `data`.

        Raises:
            StoreRefusal: the file has another size or other bytes, a line is refused, or the limit of its
                user is reached.
            OSError: the disk is full or faulty; then the file is as it was.
        """
        with self._open_rows(file, offset, None) as descriptor:
            return self._append(file, descriptor, data, offset=offset)

    @contextlib.contextmanager
    def _open_rows(self, file: ReplicaFile, offset: int, later: UnsyncedFiles | None) -> Iterator[int]:
        self._quotas.prepare(file.replica.owner)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._locks.held(file.full, kind="rows"))
            try:
                opened = self._files.opened(file, creates=offset == 0, later=later)
                descriptor = stack.enter_context(opened)
            except FileNotFoundError:
                raise _stale(file, 0) from None
            yield descriptor

    def _append(
        self, file: ReplicaFile, descriptor: int, data: bytes, *, offset: int, syncs: bool = True
    ) -> int:
        size = os.fstat(descriptor).st_size
        if size != offset:
            _require_same(file, descriptor, data, offset=offset, size=size)
            if syncs:
                os.fsync(descriptor)  # the server may have died before it had done this
            return offset + len(data)
        if size + len(data) > self._largest:
            raise _too_large(file, self._largest)
        flaw = self._flaw(file, descriptor, data, size) if _has_rows(file) else None
        good = data if flaw is None else data[: flaw.good]
        self._quotas.take(file.replica.owner, len(good), is_new=size == 0)
        durable_files.append(descriptor, good, size=size, syncs=syncs)
        if flaw is not None:
            raise StoreRefusal(
                422,
                flaw.code,
                f"{file.label}: a line is not kept: {flaw.problem}",
                hint="the lines before it are stored",
                offset=size + len(good),
            )
        return size + len(data)

    def _flaw(self, file: ReplicaFile, descriptor: int, data: bytes, size: int) -> row_bodies.RowFlaw | None:
        longest = LARGEST_ROW if file.replica.is_record else LARGEST_LEDGER_ROW
        key = identity(descriptor)
        known = self._torn.pop(key, None)
        if known is not None and known[0] == size:
            carried = known[1]
        else:
            carried = row_bodies.carried(descriptor, size, most=longest)
        flaw = row_bodies.flaw(data, carried=carried, longest=longest)
        end = data.rfind(b"\n") + 1
        if (torn := len(data) - end if end else carried + len(data)) > _LONG:
            if len(self._torn) >= _MOST_TORN:
                self._torn.clear()
            self._torn[key] = size + len(data), torn
        return flaw

    # Contents

    def content(self, file: ReplicaFile) -> ContentState | None:
        """How much of a content the server has; None if nothing."""
        for path, is_complete in ((file.full, True), (self.staging.content(file), False)):
            with contextlib.suppress(FileNotFoundError):
                descriptor = descriptor_to_read(path, inside=file.replica.root)
                try:
                    return ContentState(os.fstat(descriptor).st_size, is_complete)
                finally:
                    os.close(descriptor)
        return None

    def receive(self, file: ReplicaFile, block: bytes | memoryview, *, offset: int, total: int) -> None:
        """Add a block to a content that is being received; it need not be on disk yet.

        Raises:
            StoreRefusal: the server has less than `offset` bytes of it, or others.
            OSError: the disk is full or faulty; then the content is as it was.
        """
        self._require_size(file, offset + len(block), total)
        self._quotas.prepare(file.replica.owner)
        path = self.staging.content(file)
        with self._locks.held(path, kind="contents"):
            if self._is_complete(file, block, offset=offset):
                return
            if offset == 0:
                self.staging.make_folder(file)
            with _opened(path, creates=offset == 0) as descriptor:
                if descriptor is None:
                    raise _stale(file, 0)
                before = running_digests.state(descriptor)
                size = before[1]
                if size == 0:
                    self._digests.begin(path, descriptor)
                if offset > size:
                    raise _stale(file, size)
                known = min(size - offset, len(block))
                if not durable_files.has_at(descriptor, block[:known], offset=offset):
                    os.unlink(path)  # noqa: PTH108 - a text
                    raise _stale(file, 0)
                if rest := memoryview(block)[known:]:
                    self._quotas.take(file.replica.owner, len(rest), is_new=size == 0)
                    durable_files.append(descriptor, rest, size=size, syncs=False)
                    self._digests.extend(path, descriptor, rest, before=before)

    def received(self, file: ReplicaFile, *, total: int) -> ContentState:
        """Put what was received on disk, and, if it is complete and its checksum fits, in its place.

        Raises:
            StoreRefusal: the checksum does not fit; then the received bytes are dropped.
            OSError: the disk is full or faulty.
        """
        path = self.staging.content(file)
        with self._locks.held(path, kind="contents"):
            if (state := self.content(file)) is not None and state.is_complete:
                self._files.confirm(file)
                return state
            with _opened(path, creates=False) as descriptor:
                if descriptor is None:
                    return ContentState(0, is_complete=False)
                os.fsync(descriptor)
                if (size := os.fstat(descriptor).st_size) < total:
                    return ContentState(size, is_complete=False)
                self._require_checksum(file, path, descriptor)
                with self._files.entered(file, creates=True) as folder:
                    os.rename(path, file.checksum, dst_dir_fd=folder)
                    sync_entries(folder)
                self._files.note(file, descriptor)
                return ContentState(size, is_complete=True)

    def _is_complete(self, file: ReplicaFile, block: bytes | memoryview, *, offset: int) -> bool:
        """Whether the server has the whole content, with this block in it."""
        try:
            descriptor = descriptor_to_read(file.full, inside=file.replica.root)
        except FileNotFoundError:
            return False
        try:
            if not durable_files.has_at(descriptor, block, offset=offset):
                raise _diverged(file, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        return True

    def _require_size(self, file: ReplicaFile, end: int, total: int) -> None:
        if end > total:
            raise StoreRefusal(400, "too_long", f"{file.label}: the body goes beyond Upload-Length")
        if total > self._largest:
            raise _too_large(file, self._largest)

    def _require_checksum(self, file: ReplicaFile, path: str, descriptor: int) -> None:
        checksum, is_as_received = self._digests.of_complete(path, descriptor)
        if checksum == file.checksum:
            return
        os.unlink(path)  # noqa: PTH108 - a text
        if not is_as_received:  # what was on disk from before may be at fault: it is sent again
            raise _stale(file, 0)
        raise StoreRefusal(
            422,
            "checksum",
            f"{file.label}: the received bytes have the SHA-256 {checksum}; they are dropped",
            offset=0,
        )

    # Whole files

    @contextlib.contextmanager
    def staged(self, file: ReplicaFile) -> Iterator[StagedWhole]:
        """A new file for the bytes of a whole one, which is removed unless it got its place."""
        present = 0
        with contextlib.suppress(OSError):
            present = os.lstat(file.full).st_size
        with self.staging.new() as (descriptor, path):
            staged = StagedWhole(file, descriptor, path, present)
            try:
                yield staged
            finally:
                if os.path.lexists(path):
                    self._quotas.give(file.replica.owner, staged.taken)

    def extend(self, staged: StagedWhole, data: bytes) -> None:
        """Add bytes to a staged file; beyond those that are stored under its path, they count for the user.

        Raises:
            StoreRefusal: it is larger than one may be, or the limit of its user is reached.
            OSError: the disk is full or faulty.
        """
        size = os.fstat(staged.descriptor).st_size
        end = size + len(data)
        largest = min(LARGEST_WHOLE, self._largest)
        if end > largest:
            raise _too_large(staged.file, largest)
        more = max(0, end - staged.present) - staged.taken
        self._quotas.take(staged.file.replica.owner, more, is_new=False)
        staged.taken += more
        durable_files.append(staged.descriptor, data, size=size, syncs=False)

    def put(self, staged: StagedWhole) -> bool:
        """Give a staged file its place, unless the same content is stored there.

        Returns:
            Whether something was written.

        Raises:
            StoreRefusal: another content is stored there, and stays; of two verdicts the later one.
            OSError: the disk is full or faulty.
        """
        os.fsync(staged.descriptor)
        return self._place(staged, None)

    def _place(self, staged: StagedWhole, later: UnsyncedFiles | None) -> bool:
        """Give a staged file, which is on disk, its place; its folder is synced, or is `later`."""
        file = staged.file
        with self._locks.held(file.full, kind="whole"):
            is_new = True
            with (
                contextlib.suppress(FileNotFoundError),
                self._files.opened(file, creates=False, later=later) as present,
            ):
                if durable_files.are_equal(staged.descriptor, present):
                    os.fsync(present)
                    return False
                if not _is_replaced(file) or whole_files.is_older(file, staged.descriptor, than=present):
                    raise _diverged(file, os.fstat(present).st_size)
                is_new = False
            self._quotas.take(file.replica.owner, 0, is_new=is_new)  # its bytes were counted as they came
            with self._files.entered(file, creates=True, later=later) as folder:
                os.rename(staged.path, file.path.rpartition("/")[2], dst_dir_fd=folder)
                if later is None:
                    sync_entries(folder)
                    self._files.note(file, staged.descriptor)
                else:
                    later.note_folder(folder)
                    later.add(durable_files.key_of(file, staged.descriptor))
        return True

    # Several small files at once

    def write(self, parts: Sequence[ReplicaPart]) -> list[PartOutcome]:
        """Append to growing files and store whole ones, in their order, and sync all together.

        Returns:
            For each part what `append` returns, or the size of the whole file; or its refusal.
        """
        found: list[PartOutcome] = []
        for first in range(0, len(parts), _SYNCED_TOGETHER):
            found += self._write(parts[first : first + _SYNCED_TOGETHER])
        return found

    def _write(self, parts: Sequence[ReplicaPart]) -> list[PartOutcome]:
        outcomes: list[PartOutcome] = []
        grown: dict[int, _Grown] = {}
        with contextlib.ExitStack() as stack, self._files.unsynced() as later:
            staged = {
                index: self._staged_part(part, stack)
                for index, part in enumerate(parts)
                if part.offset is None
            }
            made = [each for each in staged.values() if isinstance(each, StagedWhole)]
            errors = unsynced_files.in_parallel(os.fsync, [each.descriptor for each in made])
            faults = {each.path: error for each, error in zip(made, errors, strict=True) if error is not None}
            for index, part in enumerate(parts):
                try:
                    if part.offset is not None:
                        outcomes.append(self._append_later(part, later, index, grown))
                        continue
                    whole = staged[index]
                    if isinstance(whole, StoreRefusal):
                        raise whole
                    if whole.path in faults:
                        raise faults[whole.path]
                    self._place(whole, later)
                    outcomes.append(len(part.data))
                except StoreRefusal as refusal:
                    outcomes.append(refusal)
                except OSError as error:
                    outcomes.append(store_refusal.of_error(error, part.file.label))
            failed = later.sync()
            for index, (key, before, after) in grown.items():
                if key in failed:
                    file = parts[index].file
                    with self._locks.held(file.full, kind="rows"):
                        later.cut(key, before=before, after=after)
                    outcomes[index] = store_refusal.of_error(failed[key], file.label)
        return outcomes

    def _staged_part(self, part: ReplicaPart, stack: contextlib.ExitStack) -> StagedWhole | StoreRefusal:
        try:
            staged = stack.enter_context(self.staged(part.file))
            self.extend(staged, part.data)
        except StoreRefusal as refusal:
            return refusal
        except OSError as error:
            return store_refusal.of_error(error, part.file.label)
        return staged

    def _append_later(
        self, part: ReplicaPart, later: UnsyncedFiles, index: int, grown: dict[int, _Grown]
    ) -> int:
        offset = part.offset or 0
        with self._open_rows(part.file, offset, later) as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                return self._append(part.file, descriptor, part.data, offset=offset, syncs=False)
            finally:
                after = os.fstat(descriptor).st_size
                key = durable_files.key_of(part.file, descriptor)
                later.note_file(key, descriptor)
                grown[index] = _Grown(key, before, after)

    # Reading

    def opened(self, file: ReplicaFile) -> int:
        """A descriptor to read a file, of a content only if it is complete.

        Raises:
            StoreRefusal: there is no such file.
            OSError: it cannot be read, or is behind a link.
        """
        try:
            return descriptor_to_read(file.full, inside=file.replica.root)
        except FileNotFoundError:
            raise not_found(file.label) from None

    def size(self, file: ReplicaFile) -> ContentState:
        """How much of a file the server has.

        Raises:
            StoreRefusal: nothing.
            OSError: it cannot be read, or is behind a link.
        """
        if file.kind is FileKind.CONTENT:
            if (state := self.content(file)) is None:
                raise not_found(file.label)
            if state.is_complete:
                self._files.confirm(file)
            return state
        descriptor = self.opened(file)
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        self._files.confirm(file, status)
        return ContentState(status.st_size, is_complete=False)

    def sizes(self, replica: Replica) -> dict[str, int]:
        """The files of a replica by their paths in it, with the bytes that are on disk.

        Raises:
            StoreRefusal: there is no such replica.
            OSError: it is behind a link.
        """
        found = {}
        for path, entry in replica_folders.listed(replica):
            with contextlib.suppress(FileNotFoundError):  # moved to the trash meanwhile
                status = entry.stat(follow_symlinks=False)
                self._files.confirm(replica_addresses.file_of(replica, path), status)
                found[path] = status.st_size
        return found


@contextlib.contextmanager
def _opened(path: str, *, creates: bool) -> Iterator[int | None]:
    """A descriptor of a staged file; None if it is missing and not created."""
    try:
        descriptor = descriptor_to_change(path, creates=creates)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _has_rows(file: ReplicaFile) -> bool:
    """Whether a growing file has rows: logs of attempts and shipped code have any bytes."""
    return file.replica.is_record or file.path == LEDGER


def _is_replaced(file: ReplicaFile) -> bool:
    if file.replica.is_record:
        return shapes.may_replace_in_record(file.path)
    return shapes.may_replace_in_experiment(file.path)


def _require_same(file: ReplicaFile, descriptor: int, data: bytes, *, offset: int, size: int) -> None:
    """Refuse bytes unless the file has them already."""
    if offset > size:
        raise _stale(file, size)
    known = min(size - offset, len(data))
    if not durable_files.has_at(descriptor, memoryview(data)[:known], offset=offset):
        raise _diverged(file, size)
    if known < len(data):
        raise _stale(file, size)


def _stale(file: ReplicaFile, size: int) -> StoreRefusal:
    return StoreRefusal(
        409, "offset", f"{file.label} has {size} bytes here", hint="continue from Upload-Offset", offset=size
    )


def _diverged(file: ReplicaFile, size: int) -> StoreRefusal:
    return StoreRefusal(
        409,
        "diverged",
        f"{file.label} has other bytes here, which stay",
        hint="the original was replaced after it was sent: use another prefix, or delete the server's copy",
        offset=size,
    )


def _too_large(file: ReplicaFile, largest: int) -> StoreRefusal:
    return StoreRefusal(
        422, "file_too_large", f"{file.label}: this server keeps files of at most {largest:,} bytes"
    )
