"""Finds a part of the schema that editors use by the path of a key, such as `executors.time`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.spec.schema import reference
from nemorun_cli.spec.schema.subschemas import resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def part(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the part of a schema at a path, with the definitions of the whole.

    User-defined names in the path may be arbitrary or omitted. Raises NotFoundError with the known keys.
    """
    definitions: Mapping[str, Any] = document["$defs"]
    found = document
    for key in filter(None, path.split(".")):
        inner = _below(found, key, definitions)
        if inner is None:
            return reference.part(path)  # raises: it has the keys that each spec can have
        found = inner
    return {**found, "$defs": definitions}


def _below(part: Mapping[str, Any], key: str, definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part under a key, or under a key of an entry whose user-defined name was omitted."""
    if (known := _property(part, key, definitions)) is not None:
        return known
    entries = list(_entries(part, definitions))
    for entry in entries:
        if (known := _property(entry, key, definitions)) is not None:
            return known
    return entries[0] if entries else None


def _property(part: Mapping[str, Any], key: str, definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part under a key, if possible one with more than a description."""
    found = [
        piece["properties"][key]
        for piece in _pieces(part, definitions)
        if isinstance(piece.get("properties", {}).get(key), dict)
    ]
    full = [entry for entry in found if entry.keys() - {"description", "default", "examples"}]
    return next(iter([*full, *found]), None)


def _entries(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for piece in _pieces(part, definitions):
        for keyword in ("additionalProperties", "items"):
            if isinstance(piece.get(keyword), dict):
                yield piece[keyword]


def _pieces(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a part and the schemas that apply to the same value; those of overriding files last."""
    yield part
    if "$ref" in part:
        yield from _pieces(resolved(definitions, part["$ref"]), definitions)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for inner in part.get(keyword, ()):
            yield from _pieces(inner, definitions)
    for keyword in ("else", "then"):
        if keyword in part:
            yield from _pieces(part[keyword], definitions)
