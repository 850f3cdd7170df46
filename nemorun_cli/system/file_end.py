"""The end of a file, of which no more is read than is needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO

CHUNK: Final = 1 << 16  # bytes read at a time


def last_bytes(descriptor: int, size: int) -> tuple[bytes, int]:
    """The last `size` bytes of an open file, and the byte at which they begin."""
    start = max(0, os.fstat(descriptor).st_size - size)
    return os.pread(descriptor, size, start), start


def last_lines(stream: BinaryIO, count: int, *, chunk: int = CHUNK) -> int:
    """The byte at which the last `count` lines of a file begin.

    Args:
        stream: the file; its position is changed.
        count: the number of lines; a last one without a line break counts too.
        chunk: the number of bytes to read at a time.
    """
    end = stream.seek(0, os.SEEK_END)
    if not count or not end:
        return end
    stream.seek(end - 1)
    remaining = count if stream.read(1) == b"\n" else count - 1  # line breaks to pass before the one we want
    position = end
    while position > 0:
        start = max(0, position - chunk)
        stream.seek(start)
        data = stream.read(position - start)
        position = start
        if (passed := data.count(b"\n")) <= remaining:
            remaining -= passed
            continue
        passed_from = len(data)
        for _ in range(remaining):
            passed_from = data.rfind(b"\n", 0, passed_from)
        return start + data.rfind(b"\n", 0, passed_from) + 1
    return 0
