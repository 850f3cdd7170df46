"""Plain values as the text that a command line or an environment gets."""

from __future__ import annotations

import json
from typing import Any


def text_of(value: Any) -> str:
    """A value as text: numbers as they were written, true and false, lists and mappings as JSON."""
    if isinstance(value, str):
        return value
    written = getattr(value, "written", None)
    if written is not None:
        return str(written)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
