"""Reads what a job measured of itself into rows of its task's record: each line once, even after a crash.

A row contains the byte at which its line begins, as a row of the task's output does (see `output_metrics`).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.supervisor.output_metrics import AT, written
from nemorun_cli.system.files import RefusedFileError, open_to_read
from nemorun_cli.tracking.store import json_values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST: Final = 1 << 20  # bytes of a chunk, which has ten thousand samples
LONGEST_NODE: Final = 64  # characters

_FIELD: Final = re.compile(r"cpu|memory|gpu\d{1,3}\.(memory|utilization)", re.ASCII)
_NODE: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


class JobSamples:
    """Reads the samples of one attempt and keeps the position.

    Args:
        path: the file that the job appends to; no link is followed.
        inside: the folder of the experiment; of the path below it no part may be a link.
        folder: the task's series.
        opening: the session id under which rows are written.
        write: writes a row of these fields, as of this moment (Unix seconds).
    """

    def __init__(
        self,
        path: Path,
        *,
        inside: Path,
        folder: str,
        opening: str,
        write: Callable[[float, dict[str, Any]], None],
    ) -> None:
        self._path, self._inside, self._write = path, inside, write
        last, count = written(folder, opening)
        self._offset, self._is_written = last, count > 0  # whether the line there has its row

    def read(self, *, chunks: int = 1) -> None:
        """Write a row for each line that was added; a line is complete with its line break.

        After so many chunks the next call continues: a task may have written anything there.

        Raises:
            OSError: the file cannot be read, or a row cannot be written.
        """
        try:
            if os.stat(self._path, follow_symlinks=False).st_size <= self._offset:  # noqa: PTH116 - called each second
                return
            stream = open_to_read(self._path, follows_link=False, inside=self._inside)
        except (FileNotFoundError, NotADirectoryError, RefusedFileError):
            return
        with stream:
            stream.seek(self._offset)
            for _ in range(chunks):
                data = stream.read(LARGEST)
                lines, end, _rest = data.rpartition(b"\n")
                if end:
                    self._take(lines)
                    stream.seek(self._offset)
                elif len(data) == LARGEST:  # part of a line that no job has written
                    self._offset += LARGEST
                else:
                    return

    def _take(self, lines: bytes) -> None:
        for line in lines.split(b"\n"):
            if not self._is_written and (sample := parse(line)):
                at, fields = sample
                self._write(at, {**fields, AT: self._offset})
            self._is_written = False
            self._offset += len(line) + 1


def parse(line: bytes) -> tuple[float, dict[str, Any]] | None:
    """The moment and the fields of a line; None for what no job writes, as a task could."""
    try:
        values = json_values.load(line.decode("ascii"))
        at = values.pop("time")
        node = values.pop("node", None)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError):
        return None
    fields = {name: value for name, value in values.items() if _FIELD.fullmatch(name) and _is_number(value)}
    if not _is_number(at) or not fields:
        return None
    if isinstance(node, str) and len(node) <= LONGEST_NODE and _NODE.fullmatch(node):
        fields["node"] = node
    return float(at), fields


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e18  # noqa: PLR2004 - and no NaN
