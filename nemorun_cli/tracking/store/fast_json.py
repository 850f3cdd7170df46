"""Parses JSON with orjson where it is installed (the extra `fast`), with what `json.loads` would return."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# orjson makes floats of integers beyond 64 bits. It is enough to look for the digits of such a number: with
# all digits alike, and all that can precede a number alike, one search finds the first 19 of them.
_ALIKE: Final = str.maketrans("012345678[,- \t\n\r", "999999999" + ":" * 7)
_LONG_INTEGER: Final = ":" + "9" * 19

WORTH: Final = 1 << 22  # characters from which on importing orjson takes less time than it saves


def loads(text: str) -> Any:
    """What `json.loads(text)` returns.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    is_worth = len(text) >= WORTH or "orjson" in sys.modules
    parse = fast_parser() if is_worth else None
    if parse is not None and text.isascii() and _LONG_INTEGER not in f"[{text}".translate(_ALIKE):
        try:
            return parse(text)
        except ValueError:  # also of what json.loads accepts: NaN, lone surrogates, numbers like 1e999
            pass
    return json.loads(text)


@cache
def fast_parser() -> Callable[[str], Any] | None:
    """The parser of orjson; None if it is not installed."""
    try:
        import orjson  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return orjson.loads
