"""Globs over paths with `/`: `*` and `?` within one name, `**` over any number of folders."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE: Final = r"^(?!/)(?!(.*/)?\.\.(/|$))[^\x00]+$"
FOLDER: Final[Mapping[str, Any]] = {
    "title": "a folder, without .. in its path",
    "type": "string",
    "pattern": _PLACE,
}
LIST: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {
        "title": "a glob: a path with * ? [a-z], and ** for any folders",
        "type": "string",
        "pattern": _PLACE,
    },
}

_MAGIC = re.compile(r"[*?\[]")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """What fits the paths that the pattern means; one that fits a folder means all that is in it."""
    parts = names(pattern)
    text = ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            text += ".+" if is_last else "(?:[^/]+/)*"
        else:
            text += _name(part) + ("(?:/.*)?" if is_last else "/")
    return re.compile(text, re.DOTALL)


def names(pattern: str) -> list[str]:
    """The parts of a pattern that say something."""
    return [part for part in pattern.split("/") if part not in ("", ".")]


def literal(pattern: str) -> str:
    """The part of a pattern that comes before its first glob: the folder, or the one path, to look at."""
    found: list[str] = []
    for part in names(pattern):
        if _MAGIC.search(part):
            break
        found.append(part)
    return "/".join(found)


def _name(part: str) -> str:
    """The regular expression of a glob within one name; a bracket that is not closed is a plain character."""
    found, index = "", 0
    while index < len(part):
        char = part[index]
        index += 1
        if char == "*":
            found += "[^/]*"
        elif char == "?":
            found += "[^/]"
        elif char == "[" and (end := part.find("]", index + 1)) > 0:
            inner = part[index:end].replace("\\", "\\\\").replace("[", "\\[")
            found += f"[^/{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
            index = end + 1
        else:
            found += re.escape(char)
    return found
