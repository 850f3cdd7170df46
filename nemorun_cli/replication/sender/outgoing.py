"""Ships one record or experiment: what is missing on the server, in the order of its kinds."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.model.units import size_text
from nemorun_cli.replication import protocol
from nemorun_cli.replication.client import BatchPart, file_address
from nemorun_cli.replication.remote_errors import OF_ALL, RemoteError, RemoteFault
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.tracking.outbox.notes import Known
from nemorun_cli.tracking.store import file_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.replication.client import Client
    from nemorun_cli.replication.record_files import LocalFile, Source

SMALLEST_BATCH: Final = 1 << 10  # bytes: what is refused as too large even so is left alone
COMPARED: Final = 4096  # bytes at the end of the server's file that are compared before the first append
PIECE_TIME: Final = 2.0  # seconds that a piece of a content should take at most: rows wait for it
LARGEST_PART: Final = 1 << 16  # bytes of a file that is sent together with others
MOST_LISTED: Final = 64  # files of something whose sizes are asked for with its last batch
LARGEST_INDEX: Final = 1 << 22  # bytes of rows of saved files in which a name is looked for
NAMING: Final = 1 << 14  # bytes of rows of saved files that are read to see which content is next
SMALLEST_PIECE: Final = 1 << 16  # bytes
TORN: Final = 5.0  # seconds without a change after which labels whose last line is torn are sent so
MOST_BREAKS: Final = 3  # faults of the server at one file, while it takes others, until it is left alone
MOST_BROKEN: Final = 3  # such files of a record until all of it is left alone
UNREADABLE: Final = "unreadable"  # the code of a problem of the files here


class SyncProblem(NamedTuple):
    """Why a file, or all files, of a record do not arrive, and since when."""

    fault: str
    message: str
    since: float


@dataclass(slots=True)
class Pace:
    """How much is sent at once, as the server and the way to it allow; in bytes."""

    batch: int = protocol.LARGEST_BATCH
    piece: int = protocol.LARGEST_BATCH
    largest: int = protocol.LARGEST_BATCH
    taken: int = 0  # requests that stored something
    largest_file: int | None = None  # that the server keeps

    def sent(self, size: int, seconds: float) -> None:
        """Adapt the pieces of contents to the speed of the last one."""
        rate = size / max(seconds, 1e-3)
        self.piece = int(min(self.largest, max(SMALLEST_PIECE, rate * PIECE_TIME)))
        self.batch = min(self.largest, self.batch * 2)

    def failed(self) -> None:
        """Send less at once: the connection broke, and all that was not answered is sent again."""
        self.batch = max(SMALLEST_PIECE, self.batch // 2)
        self.piece = max(SMALLEST_PIECE, self.piece // 2)

    def refused(self, size: int) -> bool:
        """Send half as much after a refusal of so many bytes as too large; False if that is too little."""
        if size <= SMALLEST_BATCH:
            return False
        self.largest = max(SMALLEST_BATCH, size // 2)
        self.batch, self.piece = min(self.batch, self.largest), min(self.piece, self.largest)
        return True


@dataclass(slots=True)
class _Breaks:
    """How often the server had a fault at a file, and how much it had taken at the first one."""

    taken: int
    count: int = 0


@dataclass(slots=True)
class Outgoing:
    """One record or experiment on its way.

    Attributes:
        source: its files here.
        pace: shared by all shipments to the server.
        is_own_file: whether the writer of a file is on this machine, so that a longer copy on the server is
            one of something else.
        on_server: the sizes that the server has; None until it was asked.
        problems: by path, files that are left alone; the path "" stands for all.
    """

    source: Source
    pace: Pace
    is_own_file: Callable[[str], bool] = lambda _: True
    on_server: dict[str, int] | None = None
    problems: dict[str, SyncProblem] = field(default_factory=dict)
    _files: list[LocalFile] = field(default_factory=list)
    _put: dict[str, tuple[int, int]] = field(default_factory=dict)  # sizes and times of whole files as sent
    _is_confirmed: bool = False  # whether the server's sizes were read after the last byte was sent
    _is_seen: bool = False  # whether all files were looked at since a refusal was dropped
    _must_ask: bool = False  # whether the server is asked what it has before anything is sent
    _compared: set[str] = field(default_factory=set)  # files that the server has the beginning of
    _tried: dict[str, float] = field(default_factory=dict)  # monotonic: when a problem occurred
    _is_single: bool = False  # whether each file is sent by itself
    _refused: dict[str, SyncProblem] = field(default_factory=dict)  # the problems of what is tried again
    _address: str | None = None  # of which `on_server` holds; None for that of an earlier sender
    _torn: dict[str, tuple[int, int, float]] = field(
        default_factory=dict
    )  # size, time, since when (monotonic)
    _breaks: dict[str, _Breaks] = field(default_factory=dict)

    def look(self) -> None:
        """Read the sizes of the files here; of what is refused as a whole keep nothing: it may be much."""
        self._files = [] if self.is_stuck else self.source.files()
        self._is_seen = not self.is_stuck

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the files here, as they were at the last look."""
        return {file.path: file.size for file in self._files}

    def limit(self, sizes: Mapping[str, int]) -> None:
        """Count only what the files had when they were of these sizes; what is written now comes later."""
        self._files = [
            file._replace(size=min(file.size, sizes[file.path])) for file in self._files if file.path in sizes
        ]

    def retry(self, *, age: float = 0.0) -> None:
        """Try again what was refused longer ago than so many seconds."""
        now = time.monotonic()
        for path, tried in list(self._tried.items()):
            if now - tried >= age:
                del self._tried[path]
                self._refused[path] = self.problems.pop(path)
                self._is_seen = self._is_confirmed = False

    @property
    def pending_files(self) -> list[LocalFile]:
        """What is not on the server, in the order in which it is sent."""
        return [file for file in self._files if self._is_pending(file)]

    @property
    def pending_bytes(self) -> int:
        """The bytes that are not on the server."""
        return sum(self._missing(file) for file in self._files if self._is_pending(file))

    @property
    def is_stuck(self) -> bool:
        """Whether nothing can be sent until something changes on the server, or here."""
        return "" in self.problems

    @property
    def is_suspect(self) -> bool:
        """Whether the server had a fault at a file of it: others come first."""
        return bool(self._breaks)

    @property
    def known(self) -> Known:
        """What the server has, for a later sender."""
        return Known(self.on_server or {}, self._put)

    def remember(self, known: Known) -> None:
        """Use what an earlier sender knew; the server corrects what is wrong."""
        self.on_server, self._put = dict(known.sizes), dict(known.whole)

    def forget(self) -> None:
        """Believe nothing that is known about the server, and ask it: it may have lost files."""
        self.on_server, self._is_confirmed, self._must_ask = None, False, True
        self._put.clear()
        self._compared.clear()

    def confirm(self, client: Client) -> bool:
        """Whether the server has all, by its own word.

        It was asked after the last byte was sent, and after the last look at the files here, of which none
        was left out because of a refusal.
        """
        if not self._is_seen or self.problems:
            return False
        if not self._is_confirmed:
            if not self._ask_sizes(client, again=True):
                return False
            self._take_sizes(self.on_server or {})
        sizes = self.on_server or {}
        return not self.pending_files and all(sizes.get(file.path, -1) >= file.size for file in self._files)

    def _take_sizes(self, sizes: dict[str, int]) -> None:
        self.on_server = sizes
        self._is_confirmed = True
        for file in self._files:
            if file.kind is FileKind.WHOLE and sizes.get(file.path) != file.size:
                self._put.pop(file.path, None)

    def send_rows(self, client: Client, *, in_batches: bool = False) -> bool:
        """Send one batch of each file that is no content; returns whether anything was sent.

        Args:
            client: of the server.
            in_batches: whether several small files are sent in one request.

        Raises:
            RemoteError: of the server or of the way to it; what concerns a file is kept as a problem.
        """
        if self._must_ask:
            if not self._ask_sizes(client, again=True):
                return False
            self._must_ask = False
        if in_batches and not self.is_stuck and not self._is_single:
            return self._send_in_batches(client)
        if not self._ask_sizes(client):
            return False
        return self._send_singly(client, self._files)

    def _send_singly(self, client: Client, files: Iterable[LocalFile]) -> bool:
        sent = False
        for file in sorted(files, key=lambda file: file.path in self._breaks):
            if file.kind is not FileKind.CONTENT and self._may_go(file):
                send = self._put_whole if file.kind is FileKind.WHOLE else self._append
                sent = self._guarded(file, lambda send=send, file=file: send(client, file)) or sent  # type: ignore[misc] # bound now
        return sent

    def _send_in_batches(self, client: Client) -> bool:
        """Send what is small together, in the order of the files, and the others singly."""
        if not self._has_address():
            return False
        parts: list[tuple[LocalFile, BatchPart]] = []
        sent, size = False, 0
        going = [file for file in self._files if file.kind is not FileKind.CONTENT and self._may_go(file)]
        for file in sorted(going, key=lambda file: file.path in self._breaks):
            part = self._part(file)
            more = 0 if part is None else len(part.data)
            is_full = size + more > self.pace.batch * 3 // 4 or len(parts) >= protocol.MOST_PARTS
            if parts and (part is None or is_full):
                sent = self._send_parts(client, parts) or sent
                parts, size = [], 0
            if part is not None:
                parts.append((file, part))
                size += more
            elif not self.is_stuck and self._ask_sizes(client):
                sent = self._send_singly(client, [file]) or sent
        if parts:
            sent = self._send_parts(client, parts, is_last=True) or sent
        elif self.on_server is None:
            self._ask_sizes(client)
        return sent

    def _part(self, file: LocalFile) -> BatchPart | None:
        """A small file for a batch; None if it is sent singly."""
        offset = None if file.kind is FileKind.WHOLE else (self.on_server or {}).get(file.path, 0)
        if file.size - (offset or 0) > LARGEST_PART or (offset and file.path not in self._compared):
            return None
        if (
            not file.path.isascii()
            or file.path.startswith(("files/", "labels/"))
            or file.path in self._breaks
        ):
            return None
        try:
            data = self.source.read(file.path, offset or 0, LARGEST_PART + 1)
        except OSError:
            return None
        if offset is None:
            return BatchPart(file.path, data, None) if len(data) == file.size else None
        return BatchPart(file.path, data[: file.size - offset], offset)

    def _send_parts(
        self, client: Client, parts: Sequence[tuple[LocalFile, BatchPart]], *, is_last: bool = False
    ) -> bool:
        if self.is_stuck or (len(parts) < 2 and self.on_server is not None):  # noqa: PLR2004 - several
            return not self.is_stuck and self._send_singly(client, [file for file, _ in parts])
        asks_sizes = self.on_server is None or (is_last and len(self._files) <= MOST_LISTED)
        try:
            answer = client.write(self.source.address, [part for _, part in parts], asks_sizes=asks_sizes)
        except RemoteError as error:
            if error.fault in OF_ALL:
                self._is_single |= error.fault is RemoteFault.BROKEN  # it may be because of one of them
                raise
            if error.fault is RemoteFault.FORBIDDEN:
                self._stop("", error.fault, error.message)
                return False
            if error.fault is not RemoteFault.TOO_LARGE or not self.pace.refused(
                sum(len(part.data) for _, part in parts)
            ):
                self._is_single = True  # each file has its own answer then
            return True
        self._is_confirmed = False
        if answer.sizes is not None:
            self._take_sizes(answer.sizes)
        sent = False
        for (file, part), outcome in zip(parts, answer.outcomes, strict=True):
            sent = self._guarded(file, partial(self._take, file, part, outcome)) or sent
        return sent

    def _take(self, file: LocalFile, part: BatchPart, outcome: int | RemoteError) -> bool:
        """Note what the server did with a file of a batch."""
        if isinstance(outcome, RemoteError):
            raise outcome
        self._was_taken(file.path)
        if part.offset is None:
            self._put[file.path] = file.size, file.mtime_ns
        self._compared.add(file.path)
        if outcome > (self.on_server or {}).get(file.path, 0) or part.offset is None:
            self._set(file.path, outcome)
        return True

    def send_contents(self, client: Client, *, limit: float) -> bool:
        """Send pieces of contents, one content after the other; returns whether anything was sent.

        Args:
            client: of the server.
            limit: seconds after which no further piece is begun: rows wait for them.

        Raises:
            RemoteError: as `send_rows`.
        """
        if not self._ask_sizes(client):
            return False
        contents = {
            file.path: file for file in self._files if file.kind is FileKind.CONTENT and self._may_go(file)
        }
        sent, end = False, time.monotonic() + limit
        paths = dict.fromkeys([*self._named(), *contents]) if contents else ()
        for path in sorted(paths, key=lambda path: path in self._breaks):
            file = contents.get(path)
            while file is not None and self._may_go(file):
                if not self._guarded(file, lambda file=file: self._append_content(client, file)):  # type: ignore[misc] # bound now
                    break
                sent = True
                if time.monotonic() >= end:
                    return True
        return sent

    def _ask_sizes(self, client: Client, *, again: bool = False) -> bool:
        if not self._has_address():
            return False
        if again or self.on_server is None:
            try:
                self.on_server = client.sizes(self.source.address) or {}
            except RemoteError as error:
                if error.fault in OF_ALL:
                    raise
                self._stop("", error.fault, error.message)
                return False
            self._is_confirmed = True
        return True

    def _has_address(self) -> bool:
        """Whether its place on the server is known; with another one all begins from zero."""
        if self.is_stuck:
            return False
        try:
            address = self.source.address
        except RemoteError:
            raise
        except (ExpError, OSError) as error:
            self._stop("", UNREADABLE, str(error))
            return False
        if self._address not in {None, address}:  # the token is another user's now
            self.on_server, self._is_confirmed = None, False
            self._put.clear()
            self._compared.clear()
        self._address = address
        return True

    def _is_pending(self, file: LocalFile) -> bool:
        if file.kind is FileKind.WHOLE:
            return self._put.get(file.path) != (file.size, file.mtime_ns)
        have = (self.on_server or {}).get(file.path)
        return have is None or have < file.size

    def _missing(self, file: LocalFile) -> int:
        if file.kind is FileKind.WHOLE:
            return file.size
        return max(0, file.size - (self.on_server or {}).get(file.path, 0))

    def _may_go(self, file: LocalFile) -> bool:
        if self.is_stuck or file.path in self.problems:
            return False
        have = (self.on_server or {}).get(file.path, 0)
        if file.kind is FileKind.GROWING and have > file.size:
            if self.is_own_file(file.path):
                text = f"the server has {have:,} bytes of {file.path}, and here are only {file.size:,}"
                self._stop(file.path, RemoteFault.DIVERGED, text)
            return False
        return self._is_pending(file)

    def _guarded(self, file: LocalFile, act: Callable[[], bool]) -> bool:
        try:
            return act()
        except FileNotFoundError:
            return False  # it was removed; the next look shows that
        except OSError as error:
            text = f"{file.path} cannot be read: {error.strerror or error}"
            self._stop(file.path, UNREADABLE, text)
            return False
        except RemoteError as error:
            return self._faulted(file, error)
        except ExpError as error:
            self._stop(file.path, UNREADABLE, str(error))
            return False

    def _faulted(self, file: LocalFile, error: RemoteError) -> bool:
        """Keep a fault as the problem of a file, or adopt the server's offset; raise what concerns all."""
        if error.fault is RemoteFault.BROKEN and self._is_of_file(file.path):
            broken = sum(each.fault == RemoteFault.BROKEN for each in self.problems.values())
            self._stop(
                file.path if broken < MOST_BROKEN else "", error.fault, f"{file.path}: {error.message}"
            )
            return False
        if error.fault in OF_ALL:
            raise error
        if error.fault is RemoteFault.CONFLICT and error.offset is not None:
            self._set(file.path, error.offset)
            self._compared.discard(file.path)
            return True
        is_large = file.kind is FileKind.CONTENT  # then the quota may still have space for rows
        is_of_record = error.fault is RemoteFault.FORBIDDEN or (
            error.fault is RemoteFault.QUOTA and not is_large
        )
        path = "" if is_of_record else file.path
        message = (
            error.message if is_of_record or file.path in error.message else f"{file.path}: {error.message}"
        )
        limit = self.pace.largest_file
        if error.fault is RemoteFault.REFUSED and limit is not None and file.size > limit:
            message = f"{self._name_of(file)} ({size_text(file.size)}) is larger than the {size_text(limit)}"
            message += " of this server (--max-file)"
        self._stop(path, error.fault, message)
        return False

    def _name_of(self, file: LocalFile) -> str:
        """The name by which a program saved a content, if a row says so; otherwise the path."""
        for rows in self._files if file.kind is FileKind.CONTENT else ():
            if rows.path.startswith("files/"):
                with contextlib.suppress(OSError, LookupError, TypeError, ValueError):
                    for line in self.source.read(rows.path, 0, LARGEST_INDEX).splitlines():
                        if file.path in _contents_of(line):
                            return file_index.full_path(json.loads(line)["saved"])
        return file.path

    def _is_of_file(self, path: str) -> bool:
        """Whether a fault of the server is one of this file: it occurs again, and others are taken."""
        before = self._refused.get(path)
        if before is not None and before.fault == RemoteFault.BROKEN:
            return True
        breaks = self._breaks.setdefault(path, _Breaks(self.pace.taken))
        breaks.count += 1
        return breaks.count >= MOST_BREAKS and self.pace.taken > breaks.taken

    def _stop(self, path: str, fault: str, message: str) -> None:
        if path:
            self._breaks.pop(path, None)
        else:
            self._breaks.clear()
        before = self._refused.pop(path, None)
        since = before.since if before is not None and before.fault == fault else time.time()
        self.problems[path] = SyncProblem(str(fault), message, since)
        self._tried[path] = time.monotonic()

    def _set(self, path: str, size: int) -> None:
        if self.on_server is None:
            self.on_server = {}
        self.on_server[path] = size

    def _has_sent(self, path: str) -> None:
        self._is_confirmed = False
        self._was_taken(path)

    def _was_taken(self, path: str) -> None:
        self._breaks.pop(path, None)
        self._refused.pop(path, None)
        self.pace.taken += 1

    def _put_whole(self, client: Client, file: LocalFile) -> bool:
        data = self.source.read(file.path, 0, file.size + 1)
        if file.path.startswith("labels/") and not data.endswith(b"\n") and not self._is_torn(file):
            return False  # it is being written
        client.put(file_address(self.source.address, file.path), data)
        if len(data) == file.size:  # otherwise it has changed since the look
            self._put[file.path] = file.size, file.mtime_ns
        self._set(file.path, len(data))
        self._has_sent(file.path)
        return True

    def _is_torn(self, file: LocalFile) -> bool:
        """Whether nobody completes the last line of a file: its writer was killed."""
        now = time.monotonic()
        size, mtime_ns, since = self._torn.get(file.path, (0, 0, now))
        if (size, mtime_ns) != (file.size, file.mtime_ns):
            self._torn[file.path] = file.size, file.mtime_ns, now
            return False
        return now - since >= TORN

    def _append(self, client: Client, file: LocalFile) -> bool:
        offset = (self.on_server or {}).get(file.path, 0)
        data = self.source.read(file.path, offset, min(self.pace.batch, file.size - offset))
        if not data and offset < file.size:
            raise FileNotFoundError(file.path)  # it became shorter
        end = data.rfind(b"\n") + 1
        if end and file.path.startswith("files/"):
            data = self._without_missing(data[:end])
            if not data:
                return False  # the content that the first row names is first
        elif end and offset + len(data) < file.size:
            data = data[:end]  # whole rows, where there are any
        address = file_address(self.source.address, file.path)
        if offset and file.path not in self._compared:  # the server cannot see whether its bytes are ours
            last = self.source.read(file.path, max(0, offset - COMPARED), min(COMPARED, offset))
            client.append(address, offset - len(last), last)
        self._compared.add(file.path)
        try:
            self._set(file.path, client.append(address, offset, data))
        except RemoteError as error:
            if error.fault is not RemoteFault.TOO_LARGE or not self.pace.refused(len(data)):
                raise
            return True
        self._has_sent(file.path)
        return True

    def _append_content(self, client: Client, file: LocalFile) -> bool:
        address = file_address(self.source.address, file.path)
        have = (self.on_server or {}).get(file.path)
        if have is None and file.size <= self.pace.piece:
            have = 0  # the server answers with what it has
        if have is None:
            state = client.content(address)
            if state.is_complete:
                self._set(file.path, file.size)
                return True
            have = state.size
        if have > file.size:
            have = 0
        data = self.source.read(file.path, have, min(self.pace.piece, file.size - have))
        begin = time.monotonic()
        try:
            self._set(file.path, client.append_content(address, have, file.size, data))
        except RemoteError as error:
            if error.fault is not RemoteFault.TOO_LARGE or not self.pace.refused(len(data)):
                raise
            return True
        self.pace.sent(len(data), time.monotonic() - begin)
        self._has_sent(file.path)
        return True

    def _without_missing(self, rows: bytes) -> bytes:
        """The rows of saved files before the first one whose content is still to be sent."""
        coming = {file.path for file in self._files if file.kind is FileKind.CONTENT and self._may_go(file)}
        size = 0
        for line in rows.splitlines(keepends=True):
            if not coming.isdisjoint(_contents_of(line)):
                break
            size += len(line)
        return rows[:size]

    def _named(self) -> list[str]:
        """The contents that the next rows of saved files name."""
        paths: list[str] = []
        for file in self._files:
            if file.path.startswith("files/") and self._is_pending(file):
                offset = (self.on_server or {}).get(file.path, 0)
                try:
                    rows = self.source.read(file.path, offset, min(NAMING, file.size - offset))
                except OSError:  # it was removed, or its turn as a file of rows reports it
                    continue
                paths += [path for line in rows.splitlines() for path in _contents_of(line)]
        return paths


def _contents_of(line: bytes) -> list[str]:
    """The contents that a row of saved files names."""
    try:
        row = json.loads(line)
        checksum = row["saved"]["checksum"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    return [f"blobs/{checksum[:2]}/{checksum}"] if isinstance(checksum, str) else []
