"""The text of `exp schema PATH`, generated from the JSON Schema of a spec."""

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
_MOST_PLACES = 3  # in a hint
_DEEPEST = 3  # keys of a path in a hint
TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def describe(path: str = "", *, width: int | None = None) -> str:
    """Describe the part of the schema at a path such as `tasks.retry` or `tasks.train.retry.limit`.

    User-defined names in the path may be arbitrary or omitted. Lines have at most `width` columns, if given.
    Raises NotFoundError with the known keys.
    """
    part = _part(path)
    width = min(width or _WIDTH, _WIDTH)
    lines = [path or "spec", *_wrapped(_keyword(part, "description") or "", _INDENT, width)]
    kind = _kind(part)
    if kind and kind != "a mapping":
        lines += ["", *_wrapped(kind, _INDENT, width)]
    lines += [_INDENT + fact for fact in _facts(part)]
    for title, entries in (("keys", walk.properties(part)), ("of each", _entries(part))):
        if entries:
            lines += ["", f"{_INDENT}{title}:"]
            for name, entry in entries.items():
                lines += ["", f"{_INDENT * 2}{name}", *_entry(entry, width)]
    return "\n".join(lines) + "\n"


def keys(path: str = "") -> list[str]:
    """Return the keys that can follow a path; raises like `describe`."""
    schema = _part(path)
    return [*walk.properties(schema), *_entries(schema)]


def example(path: str = "") -> str | None:
    """Return the path of the key below a path that has the most keys of its own; None below a plain value."""
    lead = f"{path}." if path else ""
    paths = [f"{lead}{key}" for key in keys(path)]
    return max(paths, key=lambda inner: len(keys(inner)), default=None)


def meant(path: str) -> str | None:
    """Return the path with a user-defined name replaced by the key that it probably misspells, or None."""
    part: Mapping[str, Any] = walk.experiment()
    parts = [key for key in path.split(".") if key]
    for index, key in enumerate(parts):
        entries = _entries(part)
        if key not in entries and key not in walk.properties(part) and (near := nearest(key, entries)):
            return ".".join([*parts[:index], near, *parts[index + 1 :]])
        inner = _below(part, key)
        if inner is None:
            return None
        part = inner
    return None


def part(path: str = "") -> dict[str, Any]:
    """Return the JSON Schema of the part, with the definitions it refers to; raises like `describe`."""
    schema = dict(_part(path))
    return {**schema, "$defs": walk.experiment()["$defs"]} if path else schema


def _part(path: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = walk.experiment()
    walked: list[str] = []
    for key in filter(None, path.split(".")):
        inner = _with_options(key) if walked == ["executors"] else _below(part, key)
        is_executor = walked[:1] == ["executors"] and len(walked) == len(("executors", "name"))
        options = _options() if inner is None and is_executor else {}
        inner = inner or options.get(key)
        if inner is None:
            where = ".".join(walked) or "a spec"
            hint = choices(key, [*walk.properties(part), *options]) if options else _hint(part, path, key)
            raise NotFoundError(f"{where} has no key {key!r}", hint=hint)
        part = inner
        walked.append(key)
    return part


def _with_options(name: str) -> Mapping[str, Any] | None:
    """Return what an executor can have; with the options of a type if it is named like the type."""
    from nemorun_cli import executors  # noqa: PLC0415 - imports executors only for paths that need it

    entry = _below(walk.experiment()["properties"]["executors"], name)
    if entry is None or name not in executors.built_in():
        return entry
    shared, options = walk.properties(entry), executors.find(name).options_schema["properties"]
    description = f"An executor of the type {name}, and its options."
    return {"description": description, "type": "object", "properties": {**shared, **options}}


def _options() -> dict[str, Mapping[str, Any]]:
    """Return the options of the built-in types of executors; of several types, those of the first one."""
    from nemorun_cli import executors  # noqa: PLC0415 - the same

    options: dict[str, Mapping[str, Any]] = {}
    for name in reversed(executors.built_in()):
        options |= executors.find(name).options_schema["properties"]
    return options


def _hint(part: Mapping[str, Any], path: str, key: str) -> str:
    """Suggest the most similar key, or else the places of keys with this name elsewhere, or list the keys."""
    known = [*walk.properties(part), *_entries(part)]
    elsewhere = [] if nearest(key, known) else _places(path.rpartition(".")[2])
    if not elsewhere:
        return choices(key, known)
    return " · ".join(f"exp schema {place}" for place in elsewhere[:_MOST_PLACES])


def _places(name: str) -> list[str]:
    """Return the paths that end with a key of this name: the shortest first, those of tasks before others."""
    found: list[str] = []
    level = [""]
    for _ in range(_DEEPEST):
        below = [f"{path}.{key}".lstrip(".") for path in level for key in keys(path)]
        ends = [path for path in below if path.rpartition(".")[2] == name]
        found += sorted(ends, key=lambda path: not path.startswith("tasks."))
        level = below
    return found


def _below(part: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    """Return the part under a key, or under a key of an entry whose user-defined name was omitted."""
    entries = _entries(part)
    if key in entries and key not in walk.properties(part):
        return entries[key]
    inner = walk.below(part, key)
    return inner[0] if inner else None


def _entries(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the keys of the entries under user-defined names or in a list."""
    named = walk.names(part)
    items = [piece["items"] for piece in walk.pieces(part) if "items" in piece]
    keys_of_entries: dict[str, Mapping[str, Any]] = {}
    for entry in ([named] if named is not None else []) + items:
        keys_of_entries |= walk.properties(entry)
    return keys_of_entries


def _entry(part: Mapping[str, Any], width: int) -> list[str]:
    if any("not" in piece for piece in walk.pieces(part)):
        return [
            *_wrapped(_keyword(part, "description") or "", _INDENT * 4, width),
            _INDENT * 4 + "not supported in this version",
        ]
    kind = _kind(part)
    lines = _wrapped(_keyword(part, "description") or "", _INDENT * 4, width)
    return [
        *lines,
        *(_wrapped(kind, _INDENT * 4, width) if kind else []),
        *(_INDENT * 4 + fact for fact in _facts(part)),
    ]


def _facts(part: Mapping[str, Any]) -> list[str]:
    facts = []
    default = _keyword(part, "default")
    if default is not None:
        facts.append(f"default: {_written(default)}")
    examples = _keyword(part, "examples")
    if examples:
        facts.append("example: " + "   ".join(_written(example) for example in examples))
    return facts


def _kind(part: Mapping[str, Any]) -> str:
    """Describe the allowed values in words."""
    title = _keyword(part, "title")
    if title:
        return str(title)
    allowed = _keyword(part, "enum")
    if allowed:
        return "one of " + ", ".join(map(str, allowed))
    types = _keyword(part, "type")
    names = [types] if isinstance(types, str) else types or []
    return " or ".join(TYPES[name] for name in names)


def _keyword(part: Mapping[str, Any], keyword: str) -> Any:
    """Return the value of a keyword in the part, or else in the definition that it refers to."""
    if keyword in part:
        return part[keyword]
    if "$ref" not in part:
        return None
    return _keyword(walk.experiment()["$defs"][part["$ref"].removeprefix("#/$defs/")], keyword)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
