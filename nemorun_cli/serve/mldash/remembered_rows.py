"""Which rows of a stream were stored: a client that lost an answer sends them again.

ML-Dash's clients have no key for a request. But each row has its time in microseconds, so a row that equals
an earlier one in everything is that row.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from nemorun_cli.system.file_end import last_lines
from nemorun_cli.tracking.store import row_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROWS: Final = 20_000  # of one stream that are remembered, and at least those of the last body
BODIES: Final = 256  # of one stream
STREAMS: Final = 512  # of all records; one that was forgotten is read again from its files


class RememberedRows:
    """The last rows and the last bodies of one stream, as hashes."""

    def __init__(self) -> None:
        self._bodies: deque[bytes] = deque(maxlen=BODIES)
        self._known: set[bytes] = set()
        self._order: deque[int] = deque()
        self._sources: dict[int, int] = {}  # the hash of a row: the number of the body that it came with
        self._number = 0
        self._read = 0  # rows of each file of the stream that were read
        self._is_complete = False  # whether these were all, and none was forgotten

    def load(self, folder: str, count: int) -> None:
        """Read the last rows from the files of the stream, unless so many were read before."""
        if self._is_complete or self._read >= count:
            return
        count = self._read = max(count, 2 * self._read)
        self._is_complete = True
        self._order.clear()
        self._sources.clear()
        for source in row_files.sources(folder):
            with row_files.open_rows(source.path) as stream:
                begin = last_lines(stream, count + 1, chunk=row_files.BLOCK)  # the last one may be incomplete
                stream.seek(begin)
                data = stream.read()
            self._is_complete = self._is_complete and begin == 0
            complete = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
            self.add(complete, keep=len(self._order) + len(complete))

    def has_body(self, digest: bytes) -> bool:
        """Whether a body with this digest was stored."""
        return digest in self._known

    def add_body(self, digest: bytes) -> None:
        """Remember a body that was stored completely."""
        if len(self._bodies) == BODIES:
            self._known.discard(self._bodies[0])
        self._bodies.append(digest)
        self._known.add(digest)

    def begin_body(self) -> None:
        """From now on, lines belong to another body."""
        self._number += 1

    def new(self, lines: Sequence[bytes]) -> list[bytes]:
        """The lines that no earlier body had; a line that a body has twice is stored twice."""
        number, known = self._number, self._sources.get
        return [line for line in lines if known(hash(line), number) == number]

    def add(self, lines: Iterable[bytes], *, keep: int = ROWS) -> None:
        """Remember lines that were stored, of all at least the last `keep` ones."""
        keys = [*map(hash, lines)]
        self._order.extend(keys)
        self._sources.update(dict.fromkeys(keys, self._number))
        while len(self._order) > max(ROWS, keep):
            self._is_complete = False
            self._sources.pop(self._order.popleft(), None)


class Memory:
    """The remembered rows of the streams that were used last."""

    def __init__(self) -> None:
        self._streams: OrderedDict[str, RememberedRows] = OrderedDict()

    def of(self, folder: str) -> RememberedRows:
        """What is remembered of a stream."""
        stream = self._streams.pop(folder, None) or RememberedRows()
        self._streams[folder] = stream
        while len(self._streams) > STREAMS:
            self._streams.popitem(last=False)
        return stream


def digest(data: bytes) -> bytes:
    """The digest of a body."""
    return hashlib.sha256(data).digest()
