"""What a log has in outline: its lines, where they begin, and which of them most likely explains a failure.

Logs are read in blocks and not mapped into memory: a task that truncates its log would end a process that
maps it.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.serve import attempt_logs
from nemorun_cli.views import log_excerpt

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import BinaryIO

    from starlette.requests import Request

    from nemorun_cli.serve.attempt_logs import AttemptLog
    from nemorun_cli.views.timeline import PastAttempt

OUTLINE_FORMAT: Final = "exp.log-outline/1"
BLOCK: Final = 1 << 20  # bytes that are read at a time, and between two marks
MOST_MARKS: Final = 256  # of one answer
MOST_LOGS: Final = 128  # whose lines are remembered
TAIL: Final = 1 << 10  # bytes by which a log is known again
LONGEST_TRACEBACK: Final = 1 << 16  # bytes
_TRACEBACK: Final = log_excerpt.TRACEBACK.encode()


class Scan(NamedTuple):
    """The lines of a log up to a byte.

    Attributes:
        size: the bytes that were read.
        breaks: the line breaks in them.
        marks: for each whole block, the line breaks before its end.
        traceback: where the last traceback begins; None without one.
        tail: the last bytes.
    """

    size: int = 0
    breaks: int = 0
    marks: tuple[int, ...] = ()
    traceback: int | None = None
    tail: bytes = b""

    @property
    def lines(self) -> int:
        """The lines; one that is unfinished counts too."""
        return self.breaks + (self.size > 0 and not self.tail.endswith(b"\n"))


@dataclass(slots=True)
class LineIndex:
    """The scans of the logs that were last asked for; safe from any thread."""

    _scans: OrderedDict[str, Scan] = field(default_factory=OrderedDict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, path: str, stream: BinaryIO) -> Scan:
        """The lines of a log as it is now."""
        with self._lock:
            own = self._locks.setdefault(path, threading.Lock())
        with own:  # two who open the same log read it once
            scan = _continued(self._scans.get(path, Scan()), stream)
        with self._lock:
            self._scans[path] = scan
            self._scans.move_to_end(path)
            while len(self._scans) > MOST_LOGS:
                oldest, _ = self._scans.popitem(last=False)
                self._locks.pop(oldest, None)
        return scan


def line_index_of(request: Request) -> LineIndex:
    """The lines of logs that the server of a request remembers."""
    state = request.app.state
    if not hasattr(state, "line_index"):
        state.line_index = LineIndex()
    index: LineIndex = state.line_index
    return index


def _continued(known: Scan, stream: BinaryIO) -> Scan:
    """The lines of a log of which a first part is known; all is read if that is another one now."""
    stream.seek(known.size - len(known.tail))
    if stream.read(len(known.tail)) != known.tail:
        known = Scan()
    size, breaks, marks, traceback, tail = (
        known.size,
        known.breaks,
        list(known.marks),
        known.traceback,
        known.tail,
    )
    stream.seek(size)
    while data := stream.read(BLOCK - size % BLOCK):
        before = tail[-len(_TRACEBACK) + 1 :]
        if (at := data.rfind(_TRACEBACK)) >= 0:
            traceback = size + at
        elif (at := (before + data[: len(_TRACEBACK)]).rfind(_TRACEBACK)) >= 0:
            traceback = size - len(before) + at  # it began in the block before
        breaks += data.count(b"\n")
        size += len(data)
        tail = data[-TAIL:] if len(data) >= TAIL else (tail + data)[-TAIL:]
        if size % BLOCK == 0:
            marks.append(breaks)
    return Scan(size, breaks, tuple(marks), traceback, tail)


def document(
    log: AttemptLog,
    known: LineIndex,
    *,
    secrets: Collection[str],
    attempt: PastAttempt | None,
    sizes: dict[str, int],
) -> dict[str, Any]:
    """The document `exp.log-outline/1`.

    Args:
        log: which one.
        known: the lines of logs that were read before.
        secrets: values to mask in the line of the error.
        attempt: what the ledger has about the attempt.
        sizes: the logs of this attempt that exist, with their bytes.

    Raises:
        OSError: it is not there, or is no regular file.
    """
    with log.open() as stream:
        scan = known.of(str(log.path), stream)
        has_failed = attempt is not None and attempt.status == "FAILED"
        error = _error(stream, scan, secrets, has_failed=has_failed)
    return {
        "schema": OUTLINE_FORMAT,
        "task": log.task,
        "attempt": log.attempt,
        "stream": log.stream,
        "streams": [{"name": name, "size": size} for name, size in sizes.items()],
        "size": scan.size,
        "lines": scan.lines,
        "marks": [*_marks(scan), {"offset": scan.size, "line": scan.breaks + 1}],
        "error": error,
        "over": log.is_over,
        "status": None if attempt is None else attempt.status,
        "exit_code": None if attempt is None else attempt.exit_code,
        "started": None if attempt is None else attempt.started,
        "ended": None if attempt is None else attempt.ended,
    }


def _marks(scan: Scan) -> list[dict[str, int]]:
    """The lines of some bytes: as many as an answer may have."""
    step = -(-(len(scan.marks) + 1) // MOST_MARKS)
    return [
        {"offset": (number + 1) * BLOCK, "line": scan.marks[number] + 1}
        for number in range(step - 1, len(scan.marks), step)
    ]


def sizes(log: AttemptLog) -> dict[str, int]:
    """The logs of the same attempt that exist, with their bytes."""
    found = {}
    for stream in attempt_logs.STREAMS:
        try:
            with log.files.open(attempt_logs.path_of(log.files, stream)) as opened:
                found[stream] = os.fstat(opened.fileno()).st_size
        except OSError:
            continue
    return found


def _error(
    stream: BinaryIO, scan: Scan, secrets: Collection[str], *, has_failed: bool
) -> dict[str, Any] | None:
    """The line that explains a failure, as `exp why` chooses it; else the end of the last traceback."""

    def shown(begin: int, end: int) -> tuple[list[bytes], list[str]]:
        reader = attempt_logs.masked_reader(secrets) or attempt_logs.plain
        pieces = b"".join(reader(stream, begin, end)).split(b"\n")
        return pieces, [log_excerpt.displayed(piece.decode(errors="replace")) for piece in pieces]

    begin, index = 0, None
    if has_failed:
        begin = max(0, scan.size - log_excerpt.WINDOW)
        pieces, lines = shown(begin, scan.size)
        index = log_excerpt.error_index(lines)
    if index is None and scan.traceback is not None:
        begin = scan.traceback
        pieces, lines = shown(begin, min(scan.size, begin + LONGEST_TRACEBACK))
        index = log_excerpt.traceback_end(lines, 0)
    if index is None:
        return None
    offset = begin + sum(len(piece) + 1 for piece in pieces[:index])
    return {"line": _breaks_before(stream, scan, offset) + 1, "offset": offset, "text": lines[index].strip()}


def _breaks_before(stream: BinaryIO, scan: Scan, offset: int) -> int:
    """The line breaks before a byte."""
    block = offset // BLOCK
    stream.seek(block * BLOCK)
    counted = scan.marks[block - 1] if block else 0
    return counted + stream.read(offset - block * BLOCK).count(b"\n")
