"""Finds a part of the schema that editors use by the path of a key, such as `executors.time`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import NotFoundError
from nemorun_cli.spec.schema import reference, subschemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def part(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the part of a schema at a path, with the definitions that it needs.

    User-defined names in the path may be arbitrary or omitted. Below `executors.TYPE` and `plugins.NAME` are
    the options of that type and plugin. Raises NotFoundError with the known keys.
    """
    definitions: Mapping[str, Any] = document["$defs"]
    current, walked = document, list[str]()
    for key in filter(None, path.split(".")):
        below = _options(current, walked, key, definitions) or _below(current, key, definitions)
        if below is None:
            reference.describe(path)  # raises, with a hint, except for what only the text explains
            raise NotFoundError(
                f"{'.'.join(walked) or 'a spec'} has no key {key!r} in the schema for editors"
            )
        current = below
        walked.append(key)
    own = {key: item for key, item in current.items() if key != "$defs"}
    for piece in _pieces(own, definitions) if "$ref" in own else ():
        own = {**{key: piece[key] for key in ("title", "description") if key in piece}, **own}
    needed = subschemas.needed(own, definitions)
    return {**own, "$defs": needed} if needed else own


def _options(
    part: Mapping[str, Any], walked: list[str], name: str, definitions: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the options of a type of executor or of a plugin, from the branch whose condition names it."""
    if walked not in (["executors"], ["plugins"]):
        return None
    (entry, *_) = _entries(part, definitions)
    for piece in _pieces(entry, definitions):
        condition = piece.get("if", {}).get("properties", {})
        if walked == ["plugins"] and condition.get("uses", {}).get("const") == name:
            return _described(f"The options of the plugin {name}.", piece["then"]["properties"]["with"])
        if walked == ["executors"] and condition.get("type", {}).get("enum") == [name]:
            return _described(f"An executor of the type {name}, and its options.", piece["then"])
    return None


def _described(description: str, target: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, **target}


def _below(part: Mapping[str, Any], key: str, definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part under a key, or under a key of an entry whose user-defined name was omitted."""
    if (known := _property(part, key, definitions)) is not None:
        return known
    entries = list(_entries(part, definitions))
    for entry in entries:
        if (known := _property(entry, key, definitions)) is not None:
            return known
    return next(_entries(part, definitions, items=key.isdigit()), None)


def _property(part: Mapping[str, Any], key: str, definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part under a key, if possible one with more than a description."""
    entries = [
        piece["properties"][key]
        for piece in _pieces(part, definitions)
        if isinstance(piece.get("properties", {}).get(key), dict)
    ]
    full = [entry for entry in entries if entry.keys() - {"description", "default", "examples"}]
    return next(iter([*full, *entries]), None)


def _entries(
    part: Mapping[str, Any], definitions: Mapping[str, Any], *, items: bool = True
) -> Iterator[Mapping[str, Any]]:
    """Yield the parts under user-defined names, and those of lists."""
    for piece in _pieces(part, definitions):
        for keyword in ("additionalProperties", *(("items",) if items else ())):
            if isinstance(piece.get(keyword), dict):
                yield piece[keyword]


def _pieces(part: Any, definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a part and the schemas that apply to the same value; those of overriding files last."""
    if not isinstance(part, dict):
        return
    yield part
    if "$ref" in part:
        yield from _pieces(subschemas.resolved(definitions, part["$ref"]), definitions)
    for keyword in subschemas.LISTS:
        for inner in part.get(keyword, ()):
            yield from _pieces(inner, definitions)
    for keyword in ("else", "then"):
        if keyword in part:
            yield from _pieces(part[keyword], definitions)
