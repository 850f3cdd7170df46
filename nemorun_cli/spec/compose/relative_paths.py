"""Paths in data that comes from another folder: made to lead from there, whoever uses the data.

Which values are paths is what schemas say: `format: path`, and `format: mount` for SOURCE:TARGET, whose
source is a path where it begins with a dot.
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
    """The value with its relative paths made absolute.

    Args:
        value: data of a spec.
        parts: the parts of schemas that hold for it.
        folder: where its relative paths begin.
    """
    known = list(parts)
    if not known:
        return value
    if isinstance(value, dict):
        return {key: relocated(item, _below(known, key), folder) for key, item in value.items()}
    if isinstance(value, list):
        return [relocated(item, _below(known, str(index)), folder) for index, item in enumerate(value)]
    return _leading(value, known, folder) if isinstance(value, str) else value


def _leading(value: str, parts: Iterable[Mapping[str, Any]], folder: Path) -> str:
    formats = {piece.get("format") for part in parts for piece in walk.pieces(part)}
    if "path" in formats and value and not value.startswith(_NOT_RELATIVE):
        return os.path.normpath(folder / value)
    if "mount" in formats and value.startswith("."):
        source, colon, rest = value.partition(":")
        return f"{os.path.normpath(folder / source)}{colon}{rest}"
    return value


def _below(parts: Iterable[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    return [found for part in parts for found in walk.below(part, key)]
