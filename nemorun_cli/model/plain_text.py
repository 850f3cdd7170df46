"""Plain values as text for command lines and environment variables."""

from __future__ import annotations

import json
from typing import Any


def text_of(value: Any) -> str:
    """A value as text: numbers as the spec writes them; booleans, lists and mappings as JSON."""
    if isinstance(value, str):
        return value
    written = getattr(value, "written", None)
    if written is not None:
        return str(written)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
