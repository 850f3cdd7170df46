"""The logs of attempts as bytes, with known secrets masked by as many bytes as they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.model import masking
from nemorun_cli.serve.file_answers import PART, ranged
from nemorun_cli.serve.refusals import refusal
from nemorun_cli.system.files import RefusedFileError
from nemorun_cli.views import log_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
    from nemorun_cli.views.snapshot import Snapshot

STREAMS: Final = ("log", "stderr", "backend-output")
LARGEST: Final = 1 << 26  # bytes of a resolved spec
NOT_THERE: Final = (FileNotFoundError, NotADirectoryError, RefusedFileError)


def path_of(files: AttemptFiles, stream: str) -> Path:
    """The file of one of STREAMS.

    Raises:
        UsageError: there is no such stream.
    """
    if stream not in STREAMS:
        raise UsageError(f"stream={stream[:40]}: must be one of {', '.join(STREAMS)}")
    return {"log": files.log, "stderr": files.stderr}.get(stream, files.backend_output)


def number_of(snapshot: Snapshot, task: str, attempt: int | None, stream: str) -> int:
    """The number of the attempt: the latest one that has this log, unless it is given."""
    if attempt is not None:
        return attempt
    state = snapshot.history.tasks[task]
    is_error = stream == "stderr"
    return log_reader.latest_attempt(snapshot.files, task, state, is_error=is_error) or max(1, state.attempt)


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """Which log: of which attempt at a task, and where it is."""

    task: str
    attempt: int
    stream: str
    files: AttemptFiles
    path: Path
    is_over: bool

    def open(self) -> BinaryIO:
        """Open it to read.

        Raises:
            OSError: it is not there, or is no regular file.
        """
        return self.files.open(self.path)


def of_attempt(snapshot: Snapshot, task: str, *, attempt: int | None, stream: str) -> AttemptLog:
    """The log of the attempt, by default of the latest one that has this log."""
    number = number_of(snapshot, task, attempt, stream)
    files = snapshot.files.attempt(task, number)
    state = snapshot.history.tasks[task]
    is_over = state.is_over or number < state.attempt
    return AttemptLog(task, number, stream, files, path_of(files, stream), is_over)


def answer(
    request: Request, index: Index, snapshot: Snapshot, log: AttemptLog, *, secrets: Collection[str]
) -> Response:
    """The log of an attempt, or why it is missing."""
    try:
        opened = log.open()
    except NOT_THERE:
        return not_there(index, snapshot, log)
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Exp-Attempt": str(log.attempt),
        "Exp-Over": "1" if log.is_over else "0",
    }
    return ranged(
        request,
        opened,
        headers=headers,
        media_type="text/plain; charset=utf-8",
        shown=masked_reader(secrets),
    )


def not_there(index: Index, snapshot: Snapshot, log: AttemptLog) -> Response:
    """Why a log is missing: `no_log`, `not_here_yet` or `not_shipped`."""
    reason = missing(index, snapshot.files, "logs")
    if reason is not None:
        return refusal(404, "not_shipped", reason, hint="ship it with: tracking: {logs: true}")
    task, number = log.task, log.attempt
    state = snapshot.history.tasks[task]
    if index.site.root is not None and number <= state.attempt:
        message = f"the {log.stream} of attempt {number} of {task} is not here yet"
        return refusal(409, "not_here_yet", message, hint="its sender delivers it: exp sync --status")
    return refusal(404, "no_log", f"attempt {number} of {task} has no {log.stream}: {task} is {state.status}")


def missing(index: Index, files: ExperimentFiles, what: str) -> str | None:
    """Why a part of an experiment is not on this server; None if it is shipped, or was made here.

    Args:
        index: of the server.
        files: of the experiment.
        what: `logs`, `spec` or `code`, as the key `tracking` of its spec has it.
    """
    if index.site.root is None:
        return None
    try:
        tracking: Any = json.loads(files.read(files.resolved, limit=LARGEST)).get("tracking")
    except (OSError, ValueError, AttributeError):
        return None
    is_shipped = isinstance(tracking, dict) and tracking.get(what) is True
    return None if is_shipped else f"not shipped (tracking.{what})"


def masked_reader(secrets: Collection[str]) -> Callable[[BinaryIO, int, int], Iterator[bytes]] | None:
    """What reads a range of a log with secrets replaced by asterisks; None without secrets.

    The mask has as many bytes as what it hides, so that offsets stay valid.
    """
    forms = [form.encode(errors="surrogateescape") for form in masking.forms_in_line(secrets)]
    forms.sort(key=len, reverse=True)  # the whole of one before a part of it
    if not forms:
        return None
    margin = max(map(len, forms)) - 1

    def read(stream: BinaryIO, first: int, end: int) -> Iterator[bytes]:
        while first < end:
            stop = min(end, first + PART)
            begin = max(0, first - margin)
            stream.seek(begin)
            data = masked(stream.read(stop + margin - begin), forms)
            part = data[first - begin : stop - begin]
            if not part:
                return
            yield part
            first += len(part)

    return read


def plain(stream: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    """Read a range of a log as it is."""
    stream.seek(first)
    while first < end and (data := stream.read(min(PART, end - first))):
        first += len(data)
        yield data


def masked(data: bytes, forms: Sequence[bytes]) -> bytes:
    """The bytes with each of these texts replaced by as many asterisks."""
    for form in forms:
        data = data.replace(form, b"*" * len(form))
    return data
