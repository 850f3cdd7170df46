"""Walks the JSON Schema: finds the keys allowed at a place, through `$ref`, branches and conditions."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place


@functools.cache
def folder() -> Path:
    """Return the folder of the schemas: inside of an installed package, next to the package in a checkout."""
    package = Path(__file__).parents[2]  # nemorun_cli
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@functools.cache
def experiment() -> dict[str, Any]:
    """Return the schema of a spec whose expressions are filled in; the options of executors are apart.

    `published` makes the schema for editors of it.
    """
    document: dict[str, Any] = json.loads(Path(__file__).with_name("keys.json").read_bytes())
    return document


def keys_at(place: Place) -> tuple[list[str], bool]:
    """Return the keys that a mapping at the place can have, and whether it also allows user-defined names."""
    parts: list[Mapping[str, Any]] = [experiment()]
    for key in place:
        parts = [inner for part in parts for inner in below(part, str(key))]
    keys = dict.fromkeys(name for part in parts for name in properties(part))
    return list(keys), any(names(part) is not None for part in parts)


def is_free_at(place: Place) -> bool:
    """Whether a mapping at the place allows any key, such as options with a schema of their own."""
    parts: list[Mapping[str, Any]] = [experiment()]
    for key in place:
        parts = [inner for part in parts for inner in below(part, str(key))]
        if any(_is_free(piece) for part in parts for piece in pieces(part)):
            return True
    return False


def _is_free(piece: Mapping[str, Any]) -> bool:
    keywords = {"properties", "additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf"}
    kinds = piece.get("type", ())
    return "object" in ([kinds] if isinstance(kinds, str) else kinds) and not keywords & piece.keys()


def below(part: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the parts of the schema for a key, a user-defined name or an item of a list."""
    if key in (known := properties(part)):
        return [known[key]]
    entry = names(part)
    if entry is not None:
        return [entry]
    return [piece["items"] for piece in pieces(part) if "items" in piece and key.isdigit()]


def properties(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the keys of a part of the schema, including those of its references and alternatives."""
    keys: dict[str, Mapping[str, Any]] = {}
    for piece in pieces(part):
        keys |= piece.get("properties", {})
    return keys


def names(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of entries under user-defined names; None if these are not allowed."""
    for piece in pieces(part):
        if isinstance(piece.get("additionalProperties"), dict):
            entry: Mapping[str, Any] = piece["additionalProperties"]
            return entry
    return None


def known_keys(part: Mapping[str, Any]) -> list[str]:
    """Return the keys that a mapping can have, in the order of the schema."""
    return list(properties(part))


def pieces(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a part of the schema and the schemas it refers to by `$ref`, `allOf`, `anyOf` and `then`."""
    if "$ref" in part:
        yield from pieces(experiment()["$defs"].get(part["$ref"].removeprefix("#/$defs/"), {}))
    for keyword in ("allOf", "anyOf"):
        for inner in part.get(keyword, ()):
            yield from pieces(inner)
    if "then" in part:
        yield from pieces(part["then"])
    yield part
