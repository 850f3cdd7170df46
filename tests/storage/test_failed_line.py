"""The record of the line that ended an inline text: the task writes it, so that it can be anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.storage import failed_line
from nemorun_cli.storage.failed_line import LONGEST_TEXT, RECORDER, FailedLine
from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = "one\n  two\n\n" + "x" * 1000


@pytest.fixture
def files(tmp_path: Path) -> AttemptFiles:
    """An attempt with an inline text."""
    found = AttemptFiles(tmp_path)
    found.script.write_text(RECORDER + TEXT)
    return found


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("1 1 \n", FailedLine(1, None, "one")),
        ("1 2 \n", FailedLine(2, None, "two")),
        ("1 3 \n", FailedLine(3, None, None)),
        ("1 4 \n", FailedLine(4, None, "x" * LONGEST_TEXT)),
        ("1 5 \n", FailedLine(5, None, None)),
        ("1 0 \n", FailedLine(0, None, None)),
        ("1 999999999 \n", FailedLine(999999999, None, None)),
        ("1 2 ./lib.sh\n", FailedLine(2, "./lib.sh", None)),
        ("1 2 " + "y" * 4000 + "\n", FailedLine(2, "y" * LONGEST_TEXT, None)),
        ("2 1 \n", None),  # the exit code of an earlier failure
        ("", None),
        ("1 1 ", None),
        ("1 -1 \n", None),
        ("1 1 \nmore", None),
        ("one two three\n", None),
        ("1 1 " + "z" * 100_000 + "\n", None),
    ],
)
def test_only_a_record_of_this_end_counts(
    files: AttemptFiles, record: str, expected: FailedLine | None
) -> None:
    """It has the form, the exit code of the attempt, and a bounded length."""
    files.failed_line.write_text(record)
    assert failed_line.read(files, 1) == expected
    assert failed_line.read(files, None) is None


def linked(folder: Path) -> Path:
    """Another file of this user, which would be a record and a text."""
    other = folder / "private"
    other.write_text("1 1 \n" if folder.name != "other" else "private\n" * 9)
    return other


@pytest.mark.parametrize(
    "make",
    [
        lambda _: None,
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(linked(path.parent)),
        lambda path: path.write_bytes(b"\xff\xfe\0"),
    ],
    ids=["missing", "fifo", "folder", "device", "link", "bytes"],
)
def test_what_is_no_record_is_none(files: AttemptFiles, make: Callable[[Path], object]) -> None:
    """Reading never waits and never raises, neither for the record nor for the text."""
    make(files.failed_line)
    assert failed_line.read(files, 1) is None
    other = AttemptFiles(files.directory / "other")
    other.directory.mkdir()
    other.failed_line.write_text("1 9 \n")
    make(other.script)
    assert failed_line.read(other, 1) == FailedLine(9, None, None)
