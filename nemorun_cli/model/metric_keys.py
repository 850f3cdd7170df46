"""The names of metrics: a key for each field of a series, such that no two that are shown have the same."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Field = tuple[str | None, str]  # the name of a series, None for the unnamed one, and a field in it

UNNAMED: Final = "."  # the unnamed series in an exact key: no spreadsheet computes what begins with it
_ENCODED: Final = re.compile(r"[%/:=<>!*?\[\]\s\x00-\x1f\x7f]")  # what keys and conditions give a meaning
_GLOB: Final = frozenset("*?[")


def plain(field: Field) -> str:
    """`train/loss`, or `loss` in the unnamed series."""
    series, name = field
    return name if series is None else f"{series}/{name}"


def exact(field: Field) -> str:
    """The key that no other field has: series and field percent-encoded, `.` for the unnamed series."""
    series, name = field
    left = UNNAMED if series is None else "%2E" if series == UNNAMED else _encoded(series)
    return f"{left}/{_encoded(name)}"


def _encoded(part: str) -> str:
    def code(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match[0].encode())

    return _ENCODED.sub(code, part)


def titles(fields: Iterable[Field]) -> dict[Field, str]:
    """The key of each field: the plain one, or the exact one where another field would have the same."""
    known = list(dict.fromkeys(fields))
    count = Counter(map(plain, known))
    if len(count) == len(known) and not any(key[:2] == f"{UNNAMED}/" or "%" in key for key in count):
        return {field: plain(field) for field in known}
    owners = {exact(field): field for field in known}
    return {
        field: key if count[key := plain(field)] == 1 and owners.get(key, field) == field else exact(field)
        for field in known
    }


def matching(name: str, titled: Mapping[Field, str]) -> list[Field]:
    """The fields that a name means: by key, by exact key, by plain key, or by the end of one (`loss`)."""
    full = named_fully(name, titled)
    if full:
        return full
    ending = f"/{name}"
    return [field for field in titled if plain(field).endswith(ending)]


def named_fully(name: str, titled: Mapping[Field, str]) -> list[Field]:
    """The fields that a name means by its key, exact key or plain key."""
    by_title = [field for field, title in titled.items() if title == name]
    if by_title:
        return by_title
    decoded = _decoded(name)
    if decoded is not None and decoded in titled:
        return [decoded]
    return [field for field in titled if plain(field) == name]


def _decoded(key: str) -> Field | None:
    """The field of an exact key; None for all other texts."""
    series, slash, name = key.partition("/")
    if not slash or "/" in name:
        return None
    return (None if series == UNNAMED else unquote(series)), unquote(name)


def is_wanted(field: Field, wanted: Sequence[str]) -> bool:
    """Whether one of these keys or globs means a field, by its key, its name or its series."""
    if not wanted:
        return True
    series, name = field
    names = (plain(field), name, series or "", exact(field))
    return any(
        text in names or any(fnmatch.fnmatchcase(each, text) for each in names) or _decoded(text) == field
        for text in wanted
    )


def literal(wanted: Sequence[str], fields: Iterable[Field]) -> list[str]:
    """The same selection, in which a text with glob characters that is the name of a field is no glob."""
    names = {name for field in fields for name in (plain(field), field[1], field[0] or "", exact(field))}
    return [glob.escape(text) if text in names else text for text in wanted]


def has_glob(wanted: Sequence[str]) -> bool:
    """Whether one of these texts could be a glob."""
    return any(_GLOB & set(text) for text in wanted)
