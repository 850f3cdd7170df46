"""Globs over paths with `/`: `*` and `?` within one name, `**` over any number of folders."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_RELATIVE_PATH: Final = r"^(?!/)(?!(.*/)?\.\.(/|$))[^\x00]+$"
FOLDER: Final[Mapping[str, Any]] = {
    "title": "a folder, without .. in its path",
    "type": "string",
    "pattern": _RELATIVE_PATH,
}
LIST: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {
        "title": "a glob: a path with * ? [a-z], and ** for any folders",
        "type": "string",
        "pattern": _RELATIVE_PATH,
    },
}

_MAGIC = re.compile(r"[*?\[]")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a glob; a glob that matches a folder matches everything in it."""
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
    """The parts of a path or pattern, without empty parts and `.`."""
    return [part for part in pattern.split("/") if part not in ("", ".")]


def literal(pattern: str) -> str:
    """The literal prefix of a pattern: the folder, or the single path, to search."""
    prefix: list[str] = []
    for part in names(pattern):
        if _MAGIC.search(part):
            break
        prefix.append(part)
    return "/".join(prefix)


def _name(part: str) -> str:
    """The regular expression of a glob within one name; an unclosed bracket is a plain character."""
    regex, index = "", 0
    while index < len(part):
        char = part[index]
        index += 1
        if char == "*":
            regex += "[^/]*"
        elif char == "?":
            regex += "[^/]"
        elif char == "[" and (end := part.find("]", index + 1)) > 0:
            inner = part[index:end].replace("\\", "\\\\").replace("[", "\\[")
            regex += f"[^/{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
            index = end + 1
        else:
            regex += re.escape(char)
    return regex
