"""Rewrites a schema of values to one of values as people write them, any of which may be an expression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.spec.schema.subschemas import LISTS, PREFIX, at, free_name, inner, loop, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OPENING: Final = r"\$\{\{"
EXPRESSION: Final[Mapping[str, Any]] = {"pattern": _OPENING}  # next to a type that is no text otherwise
PACKAGER: Final = "packager"  # the `format` of an option that is a packager itself

_ANNOTATIONS: Final = frozenset(("title", "description", "default", "examples", "deprecated", "format"))
_SHORTEST: Final = len("${{")  # characters of a text with an expression
_OF_TEXTS: Final = frozenset(("pattern", "maxLength", "enum", "const"))
_COMBINED: Final = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "enum", "const", "$ref"))
_OF_RESOURCES: Final = frozenset(
    [
        "$defs",
        "definitions",
        "$id",
        "$schema",
        "$anchor",
        "$comment",
        "$vocabulary",
        "$dynamicAnchor",
        "$dynamicRef",
        "$recursiveAnchor",
        "$recursiveRef",
        "dependencies",
    ]
)
_OF_ITEMS: Final = frozenset(("contains", "minContains", "maxContains", "unevaluatedItems"))
_OF_KEYS: Final = frozenset(("required", "minProperties", "maxProperties", "dependentRequired"))


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
        self._foreign: _Foreign | None = None
        self._begun: set[str] = set()
        self._maps = {
            "properties": self.value,
            "patternProperties": self.value,
            "dependentSchemas": self._same,
        }
        self._lists = {**dict.fromkeys(LISTS, self._same), "prefixItems": self.value}
        self._alone = {
            **dict.fromkeys(("additionalProperties", "items"), self.value),
            **dict.fromkeys(("then", "else"), self._same),
        }

    def value(self, schema: Any) -> Any:
        """Return the schema of a value or an expression."""
        if not isinstance(schema, dict):
            return schema
        if schema.get("format") == PACKAGER:
            return {**_annotations(schema, without="format"), "$ref": f"{PREFIX}packager"}
        if "$ref" in schema:
            return {**_annotations(schema), **self._reference(schema["$ref"])}
        rewritten = with_expression(self.children(schema))
        if self._secret is None or not schema.keys() - _ANNOTATIONS:
            return rewritten
        constraints = {key: item for key, item in rewritten.items() if key not in _ANNOTATIONS}
        return {**_annotations(rewritten), "anyOf": [constraints, dict(self._secret)]}

    def children(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema in which what a value contains may be expressions, but not the value itself."""
        rewritten = {key: item for key, item in schema.items() if key not in self._dropped(schema)}
        for keyword, change in self._maps.items():
            if keyword in rewritten:
                rewritten[keyword] = {key: change(part) for key, part in rewritten[keyword].items()}
        for keyword, change in self._lists.items():
            if keyword in rewritten:
                rewritten[keyword] = [change(part) for part in rewritten[keyword]]
        if "oneOf" in rewritten and rewritten["oneOf"] != schema["oneOf"]:
            _widen(rewritten)
        for keyword, change in self._alone.items():
            if keyword in rewritten:
                rewritten[keyword] = change(rewritten[keyword])
        return rewritten

    def _dropped(self, schema: Mapping[str, Any]) -> set[str]:
        """Return the keywords that the rewritten schema does not have.

        A condition on values is dropped from options of a class, since an expression is not yet its value.
        """
        if self._foreign is None:
            return set(_OF_RESOURCES)
        dropped = {*_OF_RESOURCES, *_OF_ITEMS, "unevaluatedProperties"}
        if not _is_about_keys(schema.get("not", {})):
            dropped.add("not")
        if not _is_about_keys(schema.get("if", {})):
            dropped |= {"if", "then", "else"}
        if next(names(schema.get("propertyNames")), None):
            dropped.add("propertyNames")
        return dropped

    def foreign(self, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the schema of options that a class declares; the name is the prefix of its definitions.

        Raises ValueError if the schema refers to itself for the same value.
        """
        before = self._foreign
        self._foreign = _Foreign(name, schema)
        try:
            rewritten = self.children(self._without_reference(schema))
            own = {"": rewritten, **self._definitions}
            if any(loop(own, key) for key in ("", *self._foreign.keys.values())):
                raise ValueError("it refers to itself")
        finally:
            self._foreign = before
        return rewritten

    def _without_reference(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema of options, with what its `$ref` leads to in place of it."""
        seen = []
        while "$ref" in schema:
            target = schema["$ref"]
            if target in seen:
                raise ValueError(f"its $ref {target} refers to itself")
            seen.append(target)
            others = {key: item for key, item in schema.items() if key != "$ref"}
            referenced = self._foreign.find(target) if self._foreign else None
            if not isinstance(referenced, dict):
                schema = {**others, **({"not": {}} if referenced is False else {})}
            elif others.keys() - _ANNOTATIONS - _OF_RESOURCES:
                schema = {**others, "allOf": [*others.get("allOf", ()), {"$ref": target}]}
            else:
                schema = {**referenced, **{key: others[key] for key in _ANNOTATIONS & others.keys()}}
        return schema

    def _same(self, schema: Any) -> Any:
        """Return a schema that applies to the same value as the one around it."""
        if not isinstance(schema, dict):
            return schema
        is_elsewhere = "$ref" in schema or schema.get("format") == PACKAGER
        return self.value(schema) if is_elsewhere else self.children(schema)

    def _reference(self, target: str) -> dict[str, Any]:
        if self._foreign is not None:
            return self._foreign_reference(self._foreign, target)
        name = target.removeprefix(PREFIX)
        key = f"{name}OrExpression" if name in self._plain else name
        if key not in self._begun:
            self._begun.add(key)
            make = self._replaced.get(name)
            self._definitions[key] = make() if make else self.value(self._source[name])
        return {"$ref": f"{PREFIX}{key}"}

    def _foreign_reference(self, foreign: _Foreign, target: str) -> dict[str, Any]:
        schema = foreign.find(target)
        if schema is None:
            return {}  # it points outside of this file: nothing is known of the value
        if target not in foreign.keys:
            name = target.rpartition("/")[2].removeprefix("#")
            key = free_name(f"{foreign.name}.{name or 'whole'}", self._definitions)
            foreign.keys[target] = key
            self._definitions[key] = {}  # a definition may refer to itself
            self._definitions[key] = self.value(schema)
        return {"$ref": f"{PREFIX}{foreign.keys[target]}"}


@dataclass(frozen=True, slots=True)
class _Foreign:
    """The schema of options that a class declares.

    Attributes:
        name: the prefix of its definitions.
        schema: the whole, which its references start from.
        keys: the names of its rewritten definitions, by reference.
    """

    name: str
    schema: Mapping[str, Any]
    keys: dict[str, str] = field(default_factory=dict)

    def find(self, target: str) -> Any:
        """Return what a reference leads to; None if that is not in the schema."""
        if target == "#":
            return self.schema
        if not target.startswith("#/"):
            return None
        try:
            schema = at(self.schema, target.removeprefix("#/"))
        except LookupError:
            return None
        return schema if isinstance(schema, (dict, bool)) else None


def _is_about_keys(schema: Any) -> bool:
    """Whether a schema is a condition on the keys of a mapping alone, not on their values."""
    if not isinstance(schema, dict):
        return True
    if schema.keys() - _OF_KEYS - _ANNOTATIONS - {*LISTS, "not", "type"}:
        return False
    return schema.get("type", "object") == "object" and all(_is_about_keys(part) for part in inner(schema))


def _widen(schema: dict[str, Any]) -> None:
    """Replace `oneOf`: an expression is valid by several of its schemas."""
    alternatives = schema.pop("oneOf")
    if "anyOf" in schema:
        schema["allOf"] = [*schema.get("allOf", ()), {"anyOf": alternatives}]
    else:
        schema["anyOf"] = alternatives


def _annotations(schema: Mapping[str, Any], *, without: str = "") -> dict[str, Any]:
    return {key: item for key, item in schema.items() if key in _ANNOTATIONS and key != without}


def with_expression(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a rewritten schema that also accepts a text with an expression."""
    if not schema.keys() - _ANNOTATIONS or _OPENING in str(schema.get("pattern")):
        return schema
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    is_limited = "maxLength" in schema or schema.get("minLength", 0) > _SHORTEST
    if "string" in types and not _COMBINED & schema.keys() and not is_limited and "pattern" not in schema:
        return schema
    if types and not _COMBINED & schema.keys() and not is_limited:
        pattern = f"(?:{schema['pattern']})|{_OPENING}" if "string" in types else _OPENING
        return {**schema, "type": list(dict.fromkeys([*types, "string"])), "pattern": pattern}
    if types == ["object"] and not _COMBINED & schema.keys() - set(LISTS):
        return _guarded(schema)
    constraints = {key: item for key, item in schema.items() if key not in _ANNOTATIONS}
    if constraints.keys() == {"anyOf"}:
        takes_texts = any(
            isinstance(part, dict) and part.get("type") == "string" and not _limits_texts(part)
            for part in schema["anyOf"]
        )
        return schema if takes_texts else {**schema, "anyOf": [*schema["anyOf"], or_expression()]}
    return {**_annotations(schema), "anyOf": [constraints, or_expression()]}


def _limits_texts(schema: Mapping[str, Any]) -> bool:
    """Whether a schema of texts may refuse one with an expression."""
    limits = (_OF_TEXTS | _COMBINED) & schema.keys()
    return bool(limits) or schema.get("minLength", 0) > _SHORTEST


def _guarded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping or an expression, whose alternatives apply to a mapping only."""
    combined = {key: schema[key] for key in LISTS if key in schema}
    plain = {key: item for key, item in schema.items() if key not in combined}
    return {**plain, "type": ["object", "string"], **EXPRESSION, "if": {"type": "object"}, "then": combined}


def plain_definitions(literal: Any, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions of what is never an expression: literal sections, and keys of mappings."""
    plain: dict[str, Any] = {}
    parts = [*literal, *(keys for schema in source.values() for keys in _names_of_keys(schema))]
    waiting = [name for part in parts for name in names(part)]
    while waiting:
        name = waiting.pop()
        if name not in plain:
            plain[name] = source[name]
            waiting += names(source[name])
    return plain


def _names_of_keys(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict) and "propertyNames" in schema:
        yield schema["propertyNames"]
    for part in inner(schema):
        yield from _names_of_keys(part)
