"""The body of an append to rows: decompressed within its limits, and text without control characters.

Rows are copied as they are: an append may begin and end inside of a line, and a line that is not a row stays
one that readers skip and report. Two things are refused, because no program that tracks writes them and
readers would pay for them: control characters other than tab and line breaks, and rows beyond the limit.
What precedes the refused line is stored.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.replication.protocol import LARGEST_DECOMPRESSED
from nemorun_cli.serve.store.store_refusal import StoreRefusal

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP: Final = 31  # zlib's number for a header of gzip
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r"))
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BLOCK: Final = 1 << 20  # bytes that are decompressed at a time
_CHUNK: Final = 1 << 16  # bytes read at a time


class RowFlaw(NamedTuple):
    """Why a line is refused.

    Attributes:
        good: the bytes before the line.
        code: a word for programs.
        problem: what is wrong.
    """

    good: int
    code: str
    problem: str


class Inflation:
    """A stream of gzip that is decompressed as it arrives, a block at a time."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """What these bytes decompress to, in blocks of bounded size.

        Raises:
            StoreRefusal: they are not gzip.
        """
        try:
            while data and not self._stream.eof:
                yield self._stream.decompress(data, _BLOCK)
                data = self._stream.unconsumed_tail
        except zlib.error as error:
            raise StoreRefusal(400, "bad_gzip", f"the body is not gzip: {error}") from None

    def require_end(self) -> None:
        """Refuse a body that is cut, or has more than one stream.

        Raises:
            StoreRefusal: it is.
        """
        if not self._stream.eof or self._stream.unused_data:
            raise StoreRefusal(400, "bad_gzip", "the body is not one complete gzip stream")


def decompressed(body: bytes, *, largest: int = LARGEST_DECOMPRESSED) -> bytes:
    """A body that is gzip, decompressed; no more of it than is allowed is.

    Raises:
        StoreRefusal: it is not gzip, is cut, or has more bytes than `largest`.
    """
    inflation, data = Inflation(), bytearray()
    for block in inflation.blocks(body):
        data += block
        if len(data) > largest:
            raise StoreRefusal(
                413,
                "too_large",
                f"the body has more than {largest:,} bytes, decompressed",
                hint="send less at once",
            )
    inflation.require_end()
    return bytes(data)


def flaw(data: bytes, *, carried: int, longest: int) -> RowFlaw | None:
    """The first line that is refused, or None.

    Args:
        data: what is to be appended.
        carried: the bytes of the incomplete line that it continues.
        longest: the bytes that a row may have.
    """
    flaws = []
    if len(data.translate(None, _CONTROLS)) != len(data):
        match = _CONTROL.search(data)
        at = match.start() if match else 0
        problem = f"it has the control character 0x{data[at]:02x}, which no row has"
        flaws.append(RowFlaw(data.rfind(b"\n", 0, at) + 1, "not_text", problem))
    if (begin := _too_long(data, carried=carried, longest=longest)) is not None:
        flaws.append(RowFlaw(begin, "row_too_long", f"a row has more than {longest:,} bytes"))
    return min(flaws, default=None)


def _too_long(data: bytes, *, carried: int, longest: int) -> int | None:
    """Where the first line begins that is too long."""
    begin, allowed = 0, longest - carried
    while len(data) - begin > allowed:
        end = data.rfind(b"\n", begin, begin + max(0, allowed) + 1)
        if end < 0:
            return begin
        begin, allowed = end + 1, longest
    return None


def carried(descriptor: int, size: int, *, most: int) -> int:
    """The bytes of the incomplete last line of a file; it is read back as far as `most`."""
    counted = 0
    while counted < min(size, most):
        start = max(0, size - counted - _CHUNK)
        block = os.pread(descriptor, size - counted - start, start)
        if (end := block.rfind(b"\n")) >= 0:
            return counted + len(block) - end - 1
        counted += len(block)
    return counted
