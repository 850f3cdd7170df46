"""A fast JSON Schema validator, compiled to closures, that only decides whether a value is valid.

It gives the same result as jsonschema for the keywords it supports, and refuses to compile any other
keyword. Only jsonschema explains violations; importing it takes longer than reading a thousand tasks,
and a valid spec never needs it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[Any], bool]


class UnsupportedError(ValueError):
    """The schema contains a keyword that only jsonschema supports."""


def compiled(schema: Mapping[str, Any]) -> Check:
    """Compile a schema to a check; `$ref` can refer only to its own `$defs`. Raises UnsupportedError."""
    return _Compiler(schema).check(schema)


_ANNOTATIONS = frozenset(
    ("$schema", "$id", "$comment", "$defs", "title", "description", "default", "examples", "deprecated")
)
_HANDLED_TOGETHER = frozenset(
    ("properties", "additionalProperties", "unevaluatedProperties", "then", "else", "format")
)


class _Compiler:
    """Compiles a schema; each `$ref` is compiled once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._refs: dict[str, Check | None] = {}
        self._keywords: dict[str, Callable[[Any], Check]] = {
            "$ref": self._ref,
            "type": _type,
            "enum": _enum,
            "const": lambda value: _enum([value]),
            "pattern": _pattern,
            "required": _required,
            "minimum": lambda bound: lambda value: not _is_number(value) or not value < bound,
            "maximum": lambda bound: lambda value: not _is_number(value) or not value > bound,
            "minLength": lambda bound: lambda value: not isinstance(value, str) or len(value) >= bound,
            "maxLength": lambda bound: lambda value: not isinstance(value, str) or len(value) <= bound,
            "minItems": lambda bound: lambda value: not isinstance(value, list) or len(value) >= bound,
            "maxItems": lambda bound: lambda value: not isinstance(value, list) or len(value) <= bound,
            "minProperties": lambda bound: lambda value: not isinstance(value, dict) or len(value) >= bound,
            "maxProperties": lambda bound: lambda value: not isinstance(value, dict) or len(value) <= bound,
            "uniqueItems": _unique_items,
            "items": self._items,
            "propertyNames": self._property_names,
            "allOf": self._all_of,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
            "not": self._not,
        }

    def check(self, schema: Any) -> Check:
        if isinstance(schema, bool):
            return lambda _: schema
        checks = [self._object(schema)] if _OBJECT_KEYWORDS & schema.keys() else []
        for keyword, argument in schema.items():
            if keyword == "if":
                checks.append(self._if(schema))
            elif keyword in self._keywords:
                checks.append(self._keywords[keyword](argument))
            elif keyword not in _ANNOTATIONS and keyword not in _HANDLED_TOGETHER:
                raise UnsupportedError(keyword)
        return _all(checks)

    def _ref(self, reference: str) -> Check:
        if reference in self._refs:
            check = self._refs[reference]
            if check is None:
                raise UnsupportedError(f"$ref {reference} within itself")
            return check
        self._refs[reference] = None
        check = self._refs[reference] = self.check(self._target(reference))
        return check

    def _target(self, reference: str) -> Any:
        name = reference.removeprefix("#/$defs/")
        if name == reference or name not in self._root.get("$defs", {}):
            raise UnsupportedError(f"$ref {reference}")
        return self._root["$defs"][name]

    def _object(self, schema: Mapping[str, Any]) -> Check:
        """`properties` with `additionalProperties` or `unevaluatedProperties`, in one pass over the keys."""
        known = {name: self.check(part) for name, part in schema.get("properties", {}).items()}
        other = self.check(schema.get("additionalProperties", True))
        if "unevaluatedProperties" in schema:
            if schema["unevaluatedProperties"] is not False or "additionalProperties" in schema:
                raise UnsupportedError("unevaluatedProperties")
            names = self._evaluated(schema)

            def other(_: Any) -> bool:
                return False

            known = {name: known.get(name, _always) for name in names}

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            return all(known.get(key, other)(item) for key, item in value.items())

        return check

    def _evaluated(self, schema: Mapping[str, Any]) -> set[str]:
        """Return the keys in `properties` of the schema and of the schemas it includes by allOf and $ref."""
        if schema.keys() & {"anyOf", "if", "dependentSchemas", "patternProperties"}:
            raise UnsupportedError("unevaluatedProperties")
        if any(part.keys() - {"required"} for part in schema.get("oneOf", ())):
            raise UnsupportedError("unevaluatedProperties")
        names = set(schema.get("properties", {}))
        parts = [*schema.get("allOf", ()), *([{"$ref": schema["$ref"]}] if "$ref" in schema else [])]
        for part in parts:
            target = self._target(part["$ref"]) if part.keys() == {"$ref"} else part
            if "additionalProperties" in target:
                raise UnsupportedError("unevaluatedProperties")
            names |= self._evaluated(target)
        return names

    def _items(self, schema: Any) -> Check:
        check = self.check(schema)
        return lambda value: not isinstance(value, list) or all(check(item) for item in value)

    def _property_names(self, schema: Any) -> Check:
        check = self.check(schema)
        return lambda value: not isinstance(value, dict) or all(check(key) for key in value)

    def _all_of(self, schemas: list[Any]) -> Check:
        return _all([self.check(schema) for schema in schemas])

    def _any_of(self, schemas: list[Any]) -> Check:
        checks = [self.check(schema) for schema in schemas]
        return lambda value: any(check(value) for check in checks)

    def _one_of(self, schemas: list[Any]) -> Check:
        checks = [self.check(schema) for schema in schemas]
        return lambda value: sum(check(value) for check in checks) == 1

    def _not(self, schema: Any) -> Check:
        check = self.check(schema)
        return lambda value: not check(value)

    def _if(self, schema: Mapping[str, Any]) -> Check:
        condition = self.check(schema["if"])
        then, otherwise = self.check(schema.get("then", True)), self.check(schema.get("else", True))
        return lambda value: then(value) if condition(value) else otherwise(value)


_OBJECT_KEYWORDS = frozenset(("properties", "additionalProperties", "unevaluatedProperties"))


def _always(_: Any) -> bool:
    return True


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if not checks:
        return _always
    first, *rest = checks
    if len(rest) == 1:
        second = rest[0]
        return lambda value: first(value) and second(value)
    return lambda value: all(check(value) for check in checks)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: dict[str, Check] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _type(names: str | list[str]) -> Check:
    if isinstance(names, str):
        return _TYPES[names]
    checks = [_TYPES[name] for name in names]
    return lambda value: any(check(value) for check in checks)


def _enum(values: list[Any]) -> Check:
    """Check membership by Python's equality of strings and numbers, except that true does not equal 1."""
    if not all(isinstance(value, str) or _is_number(value) for value in values):
        raise UnsupportedError("enum of values other than strings and numbers")
    return lambda value: (isinstance(value, str) or _is_number(value)) and value in values


def _pattern(pattern: str) -> Check:
    @functools.cache
    def search() -> Callable[[str], re.Match[str] | None]:
        return re.compile(pattern).search  # most specs have no value for most patterns

    return lambda value: not isinstance(value, str) or search()(value) is not None


def _required(names: list[str]) -> Check:
    return lambda value: not isinstance(value, dict) or all(name in value for name in names)


def _unique_items(is_required: object) -> Check:
    def check(value: Any) -> bool:
        if not is_required or not isinstance(value, list):
            return True
        return len({_frozen(item) for item in value}) == len(value)

    return check


def _frozen(value: Any) -> object:
    """Return a hashable value; two are equal if JSON Schema regards the values as equal."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *(_frozen(item) for item in value))
    if isinstance(value, dict):
        return ("object", frozenset((key, _frozen(item)) for key, item in value.items()))
    return value
