"""The parts of the path of a request, from its raw form.

A part may contain an encoded slash (`a%252Fb` is the file `a%2Fb`), which Starlette's `path` has decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def parts(scope: Mapping[str, Any], *, after: str) -> list[str] | None:
    """The parts of the path behind a fixed beginning, each decoded once; None if one is not a plain name.

    Args:
        scope: the ASGI scope of the request.
        after: the beginning, such as `/v1/records/`.
    """
    raw = bytes(scope["raw_path"]).partition(b"?")[0]
    begin = after.encode()
    if not raw.startswith(begin):
        return None
    decoded = []
    for part in raw[len(begin) :].split(b"/"):
        try:
            text = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            return None
        if not text or text in {".", ".."} or "/" in text or "\0" in text:
            return None
        decoded.append(text)
    return decoded
