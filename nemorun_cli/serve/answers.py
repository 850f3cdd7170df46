"""Answers of the views: JSON documents with an ETag, and the parameters of requests."""

from __future__ import annotations

import hashlib
import math
import warnings
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from nemorun_cli.errors import UnreadableWarning, UsageError
from nemorun_cli.serve.bounded_threads import BoundedThreads
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.requests import Request

LONGEST: Final = 4096  # characters of a parameter
MOST: Final = 1000  # parameters of one name
MOST_CONDITIONS: Final = 100  # of these, if each is a condition of its own: SQLite takes 1000 in all
SLOW_READS: Final = 8  # threads; more would only share the processor
SLOW_READS_OF_USER: Final = 4  # of these, for one user
_Result = TypeVar("_Result")


async def off_loop(work: Callable[[], _Result]) -> _Result:
    """What a function returns that reads little, called in a thread."""
    return await run_in_threadpool(_silent(work))


async def slowly(request: Request, work: Callable[[], _Result]) -> _Result:
    """What a function returns that may read much, called in one of a few threads that are kept for that."""
    state = request.app.state
    if not hasattr(state, "slow_reads"):
        state.slow_reads = BoundedThreads(SLOW_READS, SLOW_READS_OF_USER)
    threads: BoundedThreads = state.slow_reads
    return await threads.run(request.state.caller.user, _silent(work))


def _silent(work: Callable[[], _Result]) -> Callable[[], _Result]:
    """The function, for which what is damaged is left out silently."""

    def call() -> _Result:
        warnings.filterwarnings("ignore", category=UnreadableWarning)
        return work()

    return call


def json_answer(request: Request, document: Mapping[str, Any]) -> Response:
    """A JSON document, written as the commands write it; 304 if the client has it already."""
    return text_answer(request, dump(document).encode("ascii"))


def text_answer(request: Request, body: bytes, *, media_type: str = "application/json") -> Response:
    """A body with its ETag; 304 without the body if the client has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if has_already(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def has_already(request: Request, tag: str) -> bool:
    """Whether a client has what an ETag names."""
    known = request.headers.get("if-none-match", "")
    return tag in (each.strip().removeprefix("W/") for each in known.split(","))


class QueryParameters:
    """The parameters of a query; those that are not known are errors.

    Raises:
        UsageError: one is not known, too long, or given too often.
    """

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            if name not in known:
                raise UsageError(
                    f"there is no parameter {name[:80]!r}", hint=f"there are: {', '.join(sorted(known))}"
                )
            if len(value) > LONGEST:
                raise UsageError(f"{name}: longer than {LONGEST} characters")
            self._values.setdefault(name, []).append(value)
            if len(self._values[name]) > MOST:
                raise UsageError(f"{name}: given more than {MOST} times")

    def all(self, name: str) -> list[str]:
        """All values."""
        return self._values.get(name, [])

    def few(self, name: str) -> list[str]:
        """All values, each of which makes a query deeper."""
        if len(values := self.all(name)) > MOST_CONDITIONS:
            raise UsageError(f"{name}: given more than {MOST_CONDITIONS} times")
        return values

    def text(self, name: str) -> str | None:
        """The value; None if it is not given."""
        values = self.all(name)
        if len(values) > 1:
            raise UsageError(f"{name}: given twice")
        return values[0] if values else None

    def integer(self, name: str, default: int | None = None, *, least: int = 0) -> int | None:
        """The value as an integer."""
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) >= least):  # noqa: PLR2004 - an exact float
            raise UsageError(f"{name}={text[:40]}: must be a whole number from {least} on")
        return int(text)

    def number(self, name: str) -> float | None:
        """The value as a number."""
        text = self.text(name)
        try:
            value = None if text is None else float(text)
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{name}={str(text)[:40]}: must be a number")
        return value

    def flag(self, name: str) -> bool:
        """Whether the value is 1."""
        text = self.text(name)
        if text not in {None, "0", "1"}:
            raise UsageError(f"{name}={str(text)[:40]}: must be 0 or 1")
        return text == "1"
