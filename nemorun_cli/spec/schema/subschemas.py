"""The schemas inside of a JSON Schema, the references among them, and the names of definitions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

PREFIX: Final = "#/$defs/"
LISTS: Final = ("anyOf", "oneOf", "allOf")  # schemas of the same value

_MAPS: Final = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_IN_LISTS: Final = (*LISTS, "prefixItems")
_ALONE: Final = (
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "items", "unevaluatedItems"),
    *("contains", "not", "if", "then", "else"),
)
_UNSAFE: Final = re.compile(r"[^!-~]|[\"#%<>\\^`{|}]")  # in the fragment of a URL
_SAME_VALUE: Final = ("not", "if", "then", "else")


def changed(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a schema in which each schema directly inside of it is changed."""
    result = dict(schema)
    for keyword, item in schema.items():
        if keyword in _MAPS and isinstance(item, dict):
            result[keyword] = {key: change(part) for key, part in item.items()}
        elif keyword in _IN_LISTS and isinstance(item, list):
            result[keyword] = [change(part) for part in item]
        elif keyword in _ALONE:
            result[keyword] = change(item)
    return result


def inner(schema: Any) -> Iterator[Any]:
    """Yield each schema directly inside of a schema; values, such as those of `default`, are none."""
    parts: list[Any] = []
    if isinstance(schema, dict):
        changed(schema, parts.append)
    yield from parts


def references(schema: Any) -> Iterator[str]:
    """Yield what the `$ref` of a schema, and of each schema inside of it, refer to."""
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        yield schema["$ref"]
    for part in inner(schema):
        yield from references(part)


def names(schema: Any) -> Iterator[str]:
    """Yield the names of the definitions that a schema refers to, but not those that only its `$defs` do."""
    body = {key: item for key, item in schema.items() if key != "$defs"} if isinstance(schema, dict) else {}
    for target in references(body):
        yield target.removeprefix(PREFIX).partition("/")[0]


def needed(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions that a schema needs, in the order of their first use."""
    result: dict[str, Any] = {}
    waiting = list(names(schema))
    while waiting:
        name = waiting.pop(0)
        if name not in result:
            result[name] = definitions[name]
            waiting += names(definitions[name])
    return result


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return a name for a definition, of characters that a reference needs no escapes for."""
    base = name = re.sub(r"[^A-Za-z0-9_.-]", "_", wanted)
    number = 1
    while name in taken:
        number += 1
        name = f"{base}.{number}"
    return name


def resolved(definitions: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return what a reference leads to: a definition, or a key of it."""
    schema: dict[str, Any] = at(definitions, target.removeprefix(PREFIX))
    return schema


def at(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer leads to, without the slash it begins with; raises LookupError."""
    for step in pointer.split("/"):
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            if not key.isdecimal():
                raise KeyError(key)
            document = document[int(key)]
        elif isinstance(document, dict):
            document = document[key]
        else:
            raise KeyError(key)
    return document


def property_of(reference: str, key: str) -> str:
    """Return a reference to a key of a definition."""
    escaped = key.replace("~", "~0").replace("/", "~1")
    return f"{reference}/properties/{_UNSAFE.sub(_percent, escaped)}"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode())


def loop(definitions: Mapping[str, Any], start: str) -> str | None:
    """Return a definition that applies to the same value again and again, or None.

    Args:
        definitions: the definitions by name.
        start: the name of the first one.
    """
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> str | None:
        if name in path:
            return name
        if name in done:
            return None
        if name.partition("/")[0] not in definitions:
            return None  # it is made later
        path.append(name)
        for target in _of_same_value(resolved(definitions, name)):
            if again := visit(target):
                return again
        path.pop()
        done.add(name)
        return None

    return visit(start)


def _of_same_value(schema: Any) -> Iterator[str]:
    """Yield what a schema refers to for the value that it applies to itself."""
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("$ref"), str):
        yield schema["$ref"].removeprefix(PREFIX)
    for keyword in LISTS:
        for part in schema.get(keyword, ()):
            yield from _of_same_value(part)
    for keyword in _SAME_VALUE:
        yield from _of_same_value(schema.get(keyword))
    for part in schema.get("dependentSchemas", {}).values():
        yield from _of_same_value(part)
