"""The text of `exp schema PATH`, generated from the JSON Schema of a spec."""

from __future__ import annotations

import functools
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
    lines = [path or "spec", *_wrapped(keyword(part, "description") or "", _INDENT, width)]
    words = kind(part)
    if words and words != "a mapping":
        lines += ["", *_wrapped(words, _INDENT, width)]
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


def _part(path: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = walk.experiment()
    walked: list[str] = []
    for key in filter(None, path.split(".")):
        inner = _with_options(part, walked, key)
        options = _options() if inner is None and _is_of_any_type(walked) else {}
        inner = inner or options.get(key)
        if inner is None:
            where = ".".join(walked) or "a spec"
            named = options or (_plugins() if walked == ["plugins"] else ())
            hint = (
                choices(key, [*walk.properties(part), *_entries(part), *named])
                if named
                else _hint(part, path, key)
            )
            raise NotFoundError(f"{where} has no key {key!r}", hint=hint)
        part = inner
        walked.append(key)
    return part


def _is_of_any_type(walked: list[str]) -> bool:
    """Whether a path leads to an executor whose name is not that of a type."""
    from nemorun_cli import executors  # noqa: PLC0415 - imports executors only for paths that need it

    is_executor = walked[:1] == ["executors"] and len(walked) == len(("executors", "name"))
    return is_executor and walked[1] not in executors.built_in()


def _with_options(part: Mapping[str, Any], walked: list[str], name: str) -> Mapping[str, Any] | None:
    """Return what is below a part; with its options if it is named like a built-in one that has options."""
    entry = _below(part, name)
    if walked == ["executors"]:
        options = _options_of("executors", name)
        if entry is not None and options is not None:
            description = f"An executor of the type {name}, and its options."
            properties = {**walk.properties(entry), **options.get("properties", {})}
            return {"description": description, "type": "object", "properties": properties}
    elif walked == ["plugins"]:
        options = _options_of("plugins", name)
        if options is not None:
            return {"description": f"The options of the plugin {name}.", **options}
    elif walked[-1:] == ["launcher"] and entry is not None:
        return {**(_options_of("launchers", name) or {}), **entry}
    return entry


@functools.cache
def _options_of(kind: str, name: str) -> Mapping[str, Any] | None:
    """Return the schema of the options of a built-in part; None if none is built in with this name."""
    from nemorun_cli.spec.schema import named_parts  # noqa: PLC0415 - imports executors, as above

    parts: Mapping[str, Mapping[str, Any] | None] = getattr(named_parts.built_in(), kind)
    return parts.get(name)


def _plugins() -> list[str]:
    """Return the names of the built-in plugins."""
    from nemorun_cli.plugins import BUILT_IN  # noqa: PLC0415 - the same

    return sorted(BUILT_IN)


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
    places: list[str] = []
    level = [""]
    for _ in range(_DEEPEST):
        below = [f"{path}.{key}".lstrip(".") for path in level for key in keys(path)]
        ends = [path for path in below if path.rpartition(".")[2] == name]
        places += sorted(ends, key=lambda path: not path.startswith("tasks."))
        level = below
    return places


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
            *_wrapped(keyword(part, "description") or "", _INDENT * 4, width),
            _INDENT * 4 + "not supported in this version",
        ]
    words = kind(part)
    lines = _wrapped(keyword(part, "description") or "", _INDENT * 4, width)
    return [
        *lines,
        *(_wrapped(words, _INDENT * 4, width) if words else []),
        *(_INDENT * 4 + fact for fact in _facts(part)),
    ]


def _facts(part: Mapping[str, Any]) -> list[str]:
    facts = []
    default = keyword(part, "default")
    if default is not None:
        facts.append(f"default: {written(default)}")
    examples = keyword(part, "examples")
    if examples:
        facts.append("example: " + "   ".join(written(example) for example in examples))
    return facts


def kind(part: Mapping[str, Any]) -> str:
    """Describe the allowed values in words."""
    title = keyword(part, "title")
    if title:
        return str(title)
    allowed = keyword(part, "enum")
    if allowed:
        return "one of " + ", ".join(map(str, allowed))
    types = keyword(part, "type")
    names = [types] if isinstance(types, str) else types or []
    return " or ".join(TYPES[name] for name in names)


def keyword(part: Mapping[str, Any], name: str) -> Any:
    """Return the value of a keyword in the part, or else in the definition that it refers to."""
    if name in part:
        return part[name]
    if "$ref" not in part:
        return None
    return keyword(walk.experiment()["$defs"].get(part["$ref"].removeprefix("#/$defs/"), {}), name)


def written(value: Any) -> str:
    """Return a value as a spec has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
