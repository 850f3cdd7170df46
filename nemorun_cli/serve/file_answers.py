"""Answers that are the bytes of a file, or a range of them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from starlette.requests import Request

PART: Final = 1 << 18  # bytes that are read at a time
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_HIDING: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]"
)
INLINE: Final = {
    **{kind: kind for kind in ("image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4")},
    **dict.fromkeys(
        ("text/plain", "text/csv", "text/markdown", "application/json", "application/yaml"),
        "text/plain; charset=utf-8",
    ),
}
"""The types that a browser may show, and as what: none of them can run anything."""


def ranged(
    request: Request,
    stream: BinaryIO,
    *,
    headers: Mapping[str, str],
    media_type: str,
    shown: Callable[[BinaryIO, int, int], Iterator[bytes]] | None = None,
) -> Response:
    """The bytes of a file as it is now, or of the range that the request names; closes the stream.

    Args:
        request: with or without `Range`.
        stream: the file.
        headers: more headers.
        media_type: of the bytes.
        shown: reads the bytes from an offset to another one; by default as they are.
    """
    size = os.fstat(stream.fileno()).st_size
    every = {"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", **headers}
    # An empty file has no range; the whole of it is what was asked for, and no error.
    asked = request.headers.get("range") if size else None
    first, end, status = 0, size, 200
    if asked is not None and (match := _RANGE.fullmatch(asked.strip())) and any(match.groups()):
        begin, stop = match.groups()
        first = int(begin) if begin else max(0, size - int(stop))
        end = min(size, int(stop) + 1) if begin and stop else size
        if first >= end:
            stream.close()
            return Response(status_code=416, headers={**every, "Content-Range": f"bytes */{size}"})
        status = 206
        every["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    every["Content-Length"] = str(end - first)
    if request.method == "HEAD":
        stream.close()
        return Response(status_code=status, headers=every, media_type=media_type)
    content = (shown or _bytes)(stream, first, end)
    return StreamingResponse(_closing(stream, content), status, every, media_type)


def _bytes(stream: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    stream.seek(first)
    while first < end and (data := stream.read(min(PART, end - first))):
        first += len(data)
        yield data


def _closing(stream: BinaryIO, content: Iterator[bytes]) -> Iterator[bytes]:
    with stream:
        yield from content


def file_headers(name: str, kind: str, *, is_inline: bool) -> tuple[dict[str, str], str]:
    """The headers and the type of a file that a program saved.

    Args:
        name: of the file, for who saves it.
        kind: its type, as the program gave it.
        is_inline: whether it may be shown, if its type is in INLINE.
    """
    shown = INLINE.get(kind.partition(";")[0].strip().lower()) if is_inline else None
    how = "inline" if shown else "attachment"
    plain = _HIDING.sub("_", name.rpartition("/")[2].encode(errors="replace").decode())
    headers = {
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(plain, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }
    return headers, shown or "application/octet-stream"
