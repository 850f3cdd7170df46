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
    """The regular expression of a glob; a glob that matches a folder matches everything in it.

    The first place where the names between two `**` match is the right one, if any is, and so is that of the
    characters between two `*`. An atomic group (`(?>…)`) tries no other, which could take exponential time.
    """
    first, *others = _between_folders(names(pattern))
    text = "".join(f"{_name(part)}/" for part in first) if others else _whole(first)
    for index, parts in enumerate(others):
        if index < len(others) - 1:
            text += f"(?>(?:[^/]+/)*?{''.join(f'{_name(part)}/' for part in parts)})" if parts else ""
        else:
            text += f"(?:[^/]+/)*?{_whole(parts)}" if parts else ".+"
    return re.compile(text, re.DOTALL)


def _between_folders(parts: list[str]) -> list[list[str]]:
    """The parts before, between and after each `**`."""
    groups: list[list[str]] = [[]]
    for part in parts:
        if part == "**":
            groups.append([])
        else:
            groups[-1].append(part)
    return groups


def _whole(parts: list[str]) -> str:
    return "/".join(map(_name, parts)) + ("(?:/.*)?" if parts else "")


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
    first, *others = _between_stars(part)
    text = first + "".join(f"(?>[^/]*?{between})" for between in others[:-1])
    return text + (f"[^/]*{others[-1]}" if others else "")


def _between_stars(part: str) -> list[str]:
    """The regular expressions before, between and after each `*`."""
    texts, index = [""], 0
    while index < len(part):
        char = part[index]
        index += 1
        if char == "*":
            texts.append("")
        elif char == "?":
            texts[-1] += "[^/]"
        elif char == "[" and (end := part.find("]", index + 1)) > 0:
            inner = part[index:end].replace("\\", "\\\\").replace("[", "\\[")
            texts[-1] += f"[^/{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]"
            index = end + 1
        else:
            texts[-1] += re.escape(char)
    return texts
