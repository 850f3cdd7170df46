"""Files that only imports write: they grow to what their source has, and never change otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.system.files import descriptor_to_change, descriptor_to_read, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH: Final = 1 << 20  # bytes that are compared and written at once


def cut_incomplete(descriptor: int) -> None:
    """Remove an incomplete last line, which an import left that was killed."""
    size = os.fstat(descriptor).st_size
    end = size
    while end and (block := os.pread(descriptor, min(BATCH, end), max(0, end - BATCH))):
        found = block.rfind(b"\n")
        if found >= 0:
            end = max(0, end - BATCH) + found + 1
            break
        end = max(0, end - BATCH)
    if end < size:
        os.ftruncate(descriptor, end)


class Growth(NamedTuple):
    """How many lines a file lacked, and whether it has others than the source."""

    added: int
    differs: bool


def grown(path: str, lines: Iterable[bytes], *, is_dry: bool) -> Growth:
    """Append to a file the lines that it lacks.

    It has the first of the lines, and perhaps a part of the next one. Where it has others, it is not changed.
    """
    added = position = 0
    descriptor: int | None = None
    try:
        for block, count in _blocks(lines):
            if descriptor is None:
                descriptor = _opened(path, is_dry=is_dry)
            existing = b"" if descriptor is None else os.pread(descriptor, len(block), position)
            if not block.startswith(existing):
                return Growth(added, differs=True)
            position += len(block)
            rest = block[len(existing) :]
            if rest:
                added += count - existing.count(b"\n")
                if descriptor is not None and not is_dry:
                    _write_all(descriptor, rest)
        size = 0 if descriptor is None else os.fstat(descriptor).st_size
        return Growth(added, differs=size > position)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: str, *, is_dry: bool) -> int | None:
    if is_dry:
        try:
            return descriptor_to_read(path, follows_link=False)
        except FileNotFoundError:
            return None
    make_folder(Path(path).parent)
    return descriptor_to_change(path, appends=True)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _blocks(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """The lines in blocks, each with its number of lines."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= BATCH:
            yield b"".join(part), len(part)
            part, size = [], 0
    if part:
        yield b"".join(part), len(part)
