"""Rewrites a schema of values to one of values as people write them, any of which may be an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OPENING: Final = r"\$\{\{"
EXPRESSION: Final[Mapping[str, Any]] = {"pattern": _OPENING}  # next to a type that is no text otherwise
PACKAGER: Final = "packager"  # the `format` of an option that is a packager itself

_ANNOTATIONS: Final = frozenset(("title", "description", "default", "examples", "deprecated", "format"))
_OF_TEXTS: Final = frozenset(("pattern", "maxLength", "enum", "const"))
_COMBINED: Final = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "enum", "const", "$ref"))
_OF_RESOURCES: Final = frozenset(
    ("$defs", "definitions", "$id", "$schema", "$anchor", "$dynamicAnchor", "$dynamicRef", "$vocabulary")
)
_CONDITIONS: Final = frozenset(
    ("not", "if", "contains", "propertyNames", "dependentSchemas", "unevaluatedItems")
)
_PREFIX: Final = "#/$defs/"
_MAPS: Final = ("properties", "patternProperties")
_LISTS: Final = ("anyOf", "oneOf", "allOf")


def or_expression() -> dict[str, Any]:
    """Return the schema of a text with an expression."""
    return {"title": "a text with an expression, ${{ … }}", "type": "string", **EXPRESSION}


class Rewriter:
    """Rewrites schemas, and adds the definitions that they refer to.

    Args:
        source: the definitions that schemas of the spec refer to.
        definitions: the rewritten definitions, which the rewriter adds to.
        replaced: how to make those that are not only rewritten.
        secret: the schema of what each value may be instead; None for nothing but expressions.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        definitions: dict[str, Any],
        *,
        replaced: Mapping[str, Callable[[], Any]] | None = None,
        secret: Mapping[str, Any] | None = None,
    ) -> None:
        self._source, self._definitions = source, definitions
        self._replaced, self._secret = replaced or {}, secret
        self._plain = frozenset(definitions)
        self._foreign: tuple[str, Mapping[str, Any]] | None = None
        self._begun: set[str] = set()

    def value(self, schema: Any) -> Any:
        """Return the schema of a value or an expression."""
        if not isinstance(schema, dict):
            return schema
        if schema.get("format") == PACKAGER:
            return {**_annotations(schema, without="format"), "$ref": f"{_PREFIX}packager"}
        if "$ref" in schema:
            return {**_annotations(schema), **self._reference(schema["$ref"])}
        rewritten = with_expression(self.children(schema))
        if self._secret is None or not schema.keys() - _ANNOTATIONS:
            return rewritten
        constraints = {key: item for key, item in rewritten.items() if key not in _ANNOTATIONS}
        return {**_annotations(rewritten), "anyOf": [constraints, dict(self._secret)]}

    def children(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema in which what a value contains may be expressions, but not the value itself."""
        inner = {key: item for key, item in schema.items() if key not in self._dropped(schema)}
        for keyword in _MAPS:
            if keyword in inner:
                inner[keyword] = {key: self.value(part) for key, part in inner[keyword].items()}
        for keyword in ("additionalProperties", "items"):
            if keyword in inner:
                inner[keyword] = self.value(inner[keyword])
        for keyword in _LISTS:
            if keyword in inner:
                inner[keyword] = [self._same(part) for part in inner[keyword]]
        for keyword in ("then", "else"):
            if keyword in inner:
                inner[keyword] = self._same(inner[keyword])
        if "prefixItems" in inner:
            inner["prefixItems"] = [self.value(part) for part in inner["prefixItems"]]
        return inner

    def _dropped(self, schema: Mapping[str, Any]) -> set[str]:
        """Return the keywords that the rewritten schema does not have.

        Conditions of other packages that refer to definitions are among them, since these are rewritten.
        """
        if self._foreign is None:
            return set(_OF_RESOURCES)
        conditions = {key for key in _CONDITIONS & schema.keys() if next(_references(schema[key]), None)}
        return {*_OF_RESOURCES, *conditions, *(("then", "else") if "if" in conditions else ())}

    def foreign(self, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the schema of options that a class declares; the name is the prefix of its definitions."""
        before = self._foreign
        self._foreign = (name, schema.get("$defs", {}))
        rewritten = self.children(schema)
        self._foreign = before
        return rewritten

    def _same(self, schema: Any) -> Any:
        """Return a schema that applies to the same value as the one around it."""
        if not isinstance(schema, dict):
            return schema
        is_elsewhere = "$ref" in schema or schema.get("format") == PACKAGER
        return self.value(schema) if is_elsewhere else self.children(schema)

    def _reference(self, target: str) -> dict[str, Any]:
        name = target.removeprefix(_PREFIX)
        if self._foreign is not None:
            owner, own = self._foreign
            if name == target or name not in own:
                return {}  # it points outside of this file: nothing is known of the value
            key, source = f"{owner}.{name}", own
        else:
            key, source = f"{name}OrExpression" if name in self._plain else name, self._source
        if key not in self._begun:
            self._begun.add(key)
            make = None if self._foreign else self._replaced.get(name)
            self._definitions[key] = make() if make else self.value(source[name])
        return {"$ref": f"{_PREFIX}{key}"}


def _annotations(schema: Mapping[str, Any], *, without: str = "") -> dict[str, Any]:
    return {key: item for key, item in schema.items() if key in _ANNOTATIONS and key != without}


def with_expression(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a rewritten schema that also accepts a text with an expression."""
    if not schema.keys() - _ANNOTATIONS or _OPENING in str(schema.get("pattern")):
        return schema
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    if "string" in types and not _OF_TEXTS & schema.keys() and not _COMBINED & schema.keys():
        return schema
    if types and not _COMBINED & schema.keys() and "maxLength" not in schema:
        pattern = f"(?:{schema['pattern']})|{_OPENING}" if "string" in types else _OPENING
        return {**schema, "type": list(dict.fromkeys([*types, "string"])), "pattern": pattern}
    if types == ["object"] and not _COMBINED & schema.keys() - set(_LISTS):
        return _guarded(schema)
    constraints = {key: item for key, item in schema.items() if key not in _ANNOTATIONS}
    if constraints.keys() == {"anyOf"}:
        takes_texts = any(
            part.get("type") == "string" and not _OF_TEXTS & part.keys() for part in schema["anyOf"]
        )
        return schema if takes_texts else {**schema, "anyOf": [*schema["anyOf"], or_expression()]}
    return {**_annotations(schema), "anyOf": [constraints, or_expression()]}


def _guarded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping or an expression, whose alternatives apply to a mapping only."""
    combined = {key: schema[key] for key in _LISTS if key in schema}
    plain = {key: item for key, item in schema.items() if key not in combined}
    return {**plain, "type": ["object", "string"], **EXPRESSION, "if": {"type": "object"}, "then": combined}


def plain_definitions(literal: Any, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions of what is never an expression: literal sections, and keys of mappings."""
    plain: dict[str, Any] = {}
    waiting = [*_references(literal), *_references(list(_names_of_keys(source)))]
    while waiting:
        name = waiting.pop()
        if name not in plain:
            plain[name] = source[name]
            waiting += _references(source[name])
    return plain


def _names_of_keys(schema: Any) -> Iterator[Any]:
    for key, item in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key == "propertyNames":
            yield item
        elif isinstance(item, (dict, list)):
            yield from _names_of_keys(item)


def _references(schema: Any) -> Iterator[str]:
    """Yield the names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_PREFIX)
        for key, item in schema.items():
            if key not in ("examples", "default", "const", "enum", "$defs"):
                yield from _references(item)


def resolved(definitions: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Return what a reference leads to: a definition, or a key of it."""
    found: Any = definitions
    for step in target.removeprefix(_PREFIX).split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    schema: dict[str, Any] = found
    return schema


def property_of(reference: str, key: str) -> str:
    """Return a reference to a key of a definition."""
    return f"{reference}/properties/{key.replace('~', '~0').replace('/', '~1')}"


def in_definitions(document: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions that a document needs, in the order of their first use."""
    needed: dict[str, Any] = {}
    waiting = list(_references(document))
    while waiting:
        name = waiting.pop(0).partition("/")[0]
        if name not in needed:
            needed[name] = definitions[name]
            waiting += _references(definitions[name])
    return needed
