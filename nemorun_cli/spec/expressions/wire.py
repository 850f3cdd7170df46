"""Values of expressions as JSON, between `exp` and the process that evaluates; numbers stay as written."""

from __future__ import annotations

import json
from typing import Any, Final

from nemorun_cli.spec.yaml.scalars import WrittenFloat, WrittenInt, scalar

_MARK: Final = ""  # the key of what JSON has no form for


def encode(message: Any) -> bytes:
    """Return plain data as a line of JSON; raises TypeError for any other value."""
    return json.dumps(_marked(message)).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Return the plain data of a line; raises ValueError."""
    return json.loads(line, object_hook=_unmarked)


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        marked = {key: _marked(item) for key, item in value.items()}
        return {_MARK: list(marked.items())} if _MARK in marked else marked
    if isinstance(value, (list, tuple)):
        return [_marked(item) for item in value]
    if isinstance(value, (WrittenInt, WrittenFloat)):
        return {_MARK: value.written}
    return value


def _unmarked(value: dict[str, Any]) -> Any:
    if _MARK not in value:
        return value
    marked = value[_MARK]
    return scalar(marked) if isinstance(marked, str) else dict(marked)
