"""The end of a file is found without reading the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.system.file_end import last_bytes, last_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 18])
@pytest.mark.parametrize("data", [b"", b"x", b"x\n", b"\n\n\n", b"a\nb\nc", b"a\nb\nc\n", b"one\n\ntwo\r\n"])
def test_the_last_lines_are_found_from_the_end(tmp_path: Path, data: bytes, chunk: int) -> None:
    """The beginning of the last lines is the same as if all had been read, for any size of the pieces."""
    path = tmp_path / "log"
    path.write_bytes(data)
    lines = data.splitlines(keepends=True) if b"\r" not in data else [b"one\n", b"\n", b"two\r\n"]
    for count in range(len(lines) + 2):
        expected = len(data) - sum(map(len, lines[len(lines) - count :] if count < len(lines) else lines))
        with path.open("rb") as stream:
            found = last_lines(stream, count, chunk=chunk)
        assert found == (len(data) if count == 0 else expected)


def test_the_last_bytes_say_where_they_begin(tmp_path: Path) -> None:
    """Of a short file they are all there are."""
    path = tmp_path / "log"
    path.write_bytes(b"0123456789")
    with path.open("rb") as stream:
        assert last_bytes(stream.fileno(), 3) == (b"789", 7)
        assert last_bytes(stream.fileno(), 99) == (b"0123456789", 0)
        assert last_bytes(stream.fileno(), 0) == (b"", 10)
