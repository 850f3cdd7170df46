"""Makes the relative paths absolute in data that comes from a file in another folder.

The schemas mark the values that are paths: `format: path`, and `format: mount` for SOURCE:TARGET, where the
source is a path if it begins with a dot.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nemorun_cli.spec.schema import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_NOT_RELATIVE = ("/", "~", "${{")


def relocated(value: Any, parts: Iterable[Mapping[str, Any]], folder: Path) -> Any:
    """Return the value with its relative paths made absolute.

    Args:
        value: data of a spec.
        parts: the parts of schemas that apply to it.
        folder: the folder that its relative paths are relative to.
    """
    schemas = list(parts)
    if not schemas:
        return value
    if isinstance(value, dict):
        return {key: relocated(item, _below(schemas, key), folder) for key, item in value.items()}
    if isinstance(value, list):
        return [relocated(item, _below(schemas, str(index)), folder) for index, item in enumerate(value)]
    return _absolute(value, schemas, folder) if isinstance(value, str) else value


def _absolute(value: str, parts: Iterable[Mapping[str, Any]], folder: Path) -> str:
    formats = {piece.get("format") for part in parts for piece in walk.pieces(part)}
    if "path" in formats and value and not value.startswith(_NOT_RELATIVE):
        return os.path.normpath(folder / value)
    if "mount" in formats and value.startswith("."):
        source, colon, rest = value.rpartition(":/")
        return f"{os.path.normpath(folder / source)}{colon}{rest}" if colon else value
    return value


def _below(parts: Iterable[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    return [inner for part in parts for inner in walk.below(part, key)]
