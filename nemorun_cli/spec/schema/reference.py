"""What a spec can hold, for people: the text of `exp schema PATH`, made from the JSON Schema."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import NotFoundError
from nemorun_cli.model.problems import choices, nearest
from nemorun_cli.spec.schema import walk

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH = 96  # columns
_INDENT = "  "
_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def describe(path: str = "") -> str:
    """The part of the schema at a path such as `tasks.retry` or `tasks.train.retry.limit`.

    Names of the user's may be left out or be anything. Raises NotFoundError, which lists what is there.
    """
    part = _part(path)
    lines = [path or "spec", *_wrapped(_said(part, "description") or "", _INDENT)]
    kind = _kind(part)
    if kind and kind != "a mapping":
        lines += ["", *_wrapped(kind, _INDENT)]
    lines += [_INDENT + fact for fact in _facts(part)]
    for title, entries in (("keys", walk.properties(part)), ("of each", _entries(part))):
        if entries:
            lines += ["", f"{_INDENT}{title}:"]
            for name, entry in entries.items():
                lines += ["", f"{_INDENT * 2}{name}", *_entry(entry)]
    return "\n".join(lines) + "\n"


def keys(path: str = "") -> list[str]:
    """The keys that can follow a path; raises like `describe`."""
    found = _part(path)
    return [*walk.properties(found), *_entries(found)]


def meant(path: str) -> str | None:
    """The path with a key where it has a name of the user's that looks like this key mistyped."""
    part: Mapping[str, Any] = walk.experiment()
    parts = [key for key in path.split(".") if key]
    for index, key in enumerate(parts):
        entries = _entries(part)
        if key not in entries and key not in walk.properties(part) and (near := nearest(key, entries)):
            return ".".join([*parts[:index], near, *parts[index + 1 :]])
        found = _below(part, key)
        if found is None:
            return None
        part = found
    return None


def part(path: str = "") -> dict[str, Any]:
    """The JSON Schema of that part, its references with what they refer to; raises like `describe`."""
    found = dict(_part(path))
    return {**found, "$defs": walk.experiment()["$defs"]} if path else found


def _part(path: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = walk.experiment()
    walked: list[str] = []
    for key in filter(None, path.split(".")):
        found = _below(part, key)
        if found is None:
            where = ".".join(walked) or "a spec"
            known = [*walk.properties(part), *_entries(part)]
            raise NotFoundError(f"{where} has no key {key!r}", hint=choices(key, known))
        part = found
        walked.append(key)
    return part


def _below(part: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    """The part under a key: under one of the user's names too where the name was left out."""
    entries = _entries(part)
    if key in entries and key not in walk.properties(part):
        return entries[key]
    found = walk.below(part, key)
    return found[0] if found else None


def _entries(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The keys of what stands under the user's names, or in a list."""
    inner = walk.names(part)
    items = [piece["items"] for piece in walk.pieces(part) if "items" in piece]
    found: dict[str, Mapping[str, Any]] = {}
    for entry in ([inner] if inner is not None else []) + items:
        found |= walk.properties(entry)
    return found


def _entry(part: Mapping[str, Any]) -> list[str]:
    if any("not" in piece for piece in walk.pieces(part)):
        return [
            *_wrapped(_said(part, "description") or "", _INDENT * 4),
            _INDENT * 4 + "not in this version yet",
        ]
    kind = _kind(part)
    lines = _wrapped(_said(part, "description") or "", _INDENT * 4)
    return [
        *lines,
        *(_wrapped(kind, _INDENT * 4) if kind else []),
        *(_INDENT * 4 + fact for fact in _facts(part)),
    ]


def _facts(part: Mapping[str, Any]) -> list[str]:
    facts = []
    default = _said(part, "default")
    if default is not None:
        facts.append(f"default: {_written(default)}")
    examples = _said(part, "examples")
    if examples:
        facts.append("example: " + "   ".join(_written(example) for example in examples))
    return facts


def _kind(part: Mapping[str, Any]) -> str:
    """What the value has to be, in words."""
    title = _said(part, "title")
    if title:
        return str(title)
    allowed = _said(part, "enum")
    if allowed:
        return "one of " + ", ".join(map(str, allowed))
    given = _said(part, "type")
    names = [given] if isinstance(given, str) else given or []
    return " or ".join(_TYPES[name] for name in names)


def _said(part: Mapping[str, Any], keyword: str) -> Any:
    """What the part says itself, or else what it refers to."""
    if keyword in part:
        return part[keyword]
    if "$ref" not in part:
        return None
    return _said(walk.experiment()["$defs"][part["$ref"].removeprefix("#/$defs/")], keyword)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
