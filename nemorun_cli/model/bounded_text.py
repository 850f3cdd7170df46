"""Bounds of texts that programs and people word, such as the message of an exception."""

from __future__ import annotations

from typing import Final

SHOWN: Final = 80  # characters of a value in the message of an error
MAX_MESSAGE: Final = 8_192  # characters of a message that is kept; an exception may carry megabytes


def bounded(text: str, limit: int = MAX_MESSAGE) -> str:
    """The text, or its beginning and its end with a note about what is left out between them."""
    if len(text) <= limit:
        return text
    note = f"\n… {len(text) - limit:,} characters are left out …\n"
    return text[: limit - limit // 2] + note + text[len(text) - limit // 2 :]


def shown(value: object, limit: int = SHOWN) -> str:
    """The beginning of a value's `repr`, or its type if that raises, for the message of an error."""
    try:
        return repr(value)[:limit]
    except Exception:  # noqa: BLE001 - the value's own __repr__ may raise anything
        return f"<{type(value).__qualname__}>"
