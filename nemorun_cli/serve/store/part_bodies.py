"""The body of a request with several small files: a line of JSON that names them, and then their bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from nemorun_cli.replication.protocol import MOST_PARTS
from nemorun_cli.serve.store.store_refusal import StoreRefusal

if TYPE_CHECKING:
    from typing import Any


class BodyPart(NamedTuple):
    """Bytes of one file.

    Attributes:
        path: in the replica.
        data: what is appended, or the whole file.
        offset: where a growing file is continued; None for a whole one.
    """

    path: str
    data: bytes
    offset: int | None


def parts(body: bytes) -> list[BodyPart]:
    """The files of a body.

    Raises:
        StoreRefusal: it does not have this form, or has too many files.
    """
    line, newline, data = body.partition(b"\n")
    try:
        named = json.loads(line)["files"]
        found, begin = [], 0
        for each in named:
            end = begin + _number(each["size"])
            offset = None if each["offset"] is None else _number(each["offset"])
            found.append(BodyPart(_path(each["path"]), data[begin:end], offset))
            begin = end
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _bad("its first line does not name files with path, offset and size") from None
    if not newline or begin != len(data):
        raise _bad("their sizes are not that of the body")
    if len(found) > MOST_PARTS:
        raise _bad(f"it has more than {MOST_PARTS} files")
    return found


def _bad(problem: str) -> StoreRefusal:
    return StoreRefusal(400, "bad_batch", f"the body is no batch of files: {problem}")


def _path(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # it has no lone surrogates
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 60:
        raise ValueError(value)
    return value
