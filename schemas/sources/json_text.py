"""JSON as people read and edit it: what fits a line is on one line."""

from __future__ import annotations

import json
from typing import Any, Final

_WIDTH: Final = 110  # columns
_INDENT: Final = 2


def text(value: Any) -> str:
    """Return the value as JSON that ends with a line break; its outermost mapping is never on one line."""
    return _lines(value, 0, 0) + "\n"


def _lines(value: Any, indent: int, taken: int) -> str:
    """Return the value as JSON, where `taken` columns of its first line are in use."""
    line = json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict) and value:
        line = "{ " + line[1:-1] + " }"
    if not isinstance(value, (dict, list)) or not value or (indent and taken + len(line) < _WIDTH):
        return line
    inner = " " * (indent + _INDENT)
    parts = []
    for key, item in value.items() if isinstance(value, dict) else ((None, item) for item in value):
        lead = inner if key is None else f"{inner}{json.dumps(key, ensure_ascii=False)}: "
        parts.append(lead + _lines(item, indent + _INDENT, len(lead)))
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}\n" + ",\n".join(parts) + f"\n{' ' * indent}{closing}"
