"""Relaxes a schema for a mapping that overrides another: null removes a key, and keys may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.spec.schema.subschemas import LISTS, PREFIX, free_name, property_of, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUFFIX: Final = "Override"
NULL: Final[Mapping[str, Any]] = {"type": "null", "title": "null, which removes the key"}
_REPEATED: Final = 80  # characters; a schema that is longer is referred to
_APPLIED: Final = ("then", "else")
_OF_WHOLE_MAPPINGS: Final = frozenset(("required", "minProperties", "dependentRequired"))


class Relaxer:
    """Relaxes schemas; adds relaxed definitions to `definitions`, which has the others."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._relaxed: dict[str, str] = {}  # names of relaxed definitions by those of the others

    def mapping(self, schema: Mapping[str, Any], reference: str | None = None) -> dict[str, Any]:
        """Return the schema of a mapping that overrides another one; its lists replace others as a whole.

        If there is a `reference` to the schema, the result refers to those of its keys that stay the same.
        """
        relaxed = {key: item for key, item in schema.items() if key not in _OF_WHOLE_MAPPINGS}
        if "properties" in relaxed:
            relaxed["properties"] = {
                key: self._entry(item, property_of(reference, key) if reference else None)
                for key, item in relaxed["properties"].items()
            }
        if "patternProperties" in relaxed:
            relaxed["patternProperties"] = {
                pattern: self._entry(item) for pattern, item in relaxed["patternProperties"].items()
            }
        if isinstance(relaxed.get("additionalProperties"), dict):
            relaxed["additionalProperties"] = self._entry(relaxed["additionalProperties"])
        for keyword in LISTS:
            if keyword in relaxed:
                parts = [self._part(part) for part in relaxed.pop(keyword)]
                if any(parts):
                    relaxed[keyword] = parts
        for keyword in _APPLIED:
            if keyword in relaxed:
                relaxed[keyword] = self._part(relaxed[keyword])
        return relaxed

    def _part(self, schema: Any) -> Any:
        """Return a schema for the same value as the one around it, relaxed."""
        if not isinstance(schema, dict):
            return schema
        return (
            {**schema, "$ref": self._reference(schema["$ref"])} if "$ref" in schema else self.mapping(schema)
        )

    def _entry(self, schema: Any, reference: str | None = None) -> Any:
        """Return the schema of a value under a key, which may be null."""
        if not isinstance(schema, dict) or "not" in schema:
            return schema
        if reference and len(str(schema)) > _REPEATED and not self._has_mapping(schema, frozenset()):
            return {"anyOf": [{"$ref": reference}, dict(NULL)]}
        described = {
            key: schema[key] for key in ("description", "title", "default", "examples") if key in schema
        }
        if "$ref" in schema:
            target = {"$ref": self._reference(schema["$ref"])}
            others = {key: item for key, item in schema.items() if key not in (*described, "$ref")}
            return {**described, "anyOf": [{**others, **target}, dict(NULL)]}
        relaxed = self.mapping(schema)
        if relaxed.keys() - described.keys() == {"anyOf"}:
            return {**relaxed, "anyOf": [*relaxed["anyOf"], dict(NULL)]}
        types = [relaxed["type"]] if isinstance(relaxed.get("type"), str) else relaxed.get("type")
        if types and not relaxed.keys() & {"enum", "const", "anyOf", "oneOf", "allOf", "if"}:
            return relaxed if "null" in types else {**relaxed, "type": [*types, "null"]}
        constraints = {key: item for key, item in relaxed.items() if key not in described}
        return {**described, "anyOf": [constraints, dict(NULL)]} if constraints else relaxed

    def _reference(self, target: str) -> str:
        name = target.removeprefix(PREFIX)
        if name.partition("/")[0] in self._relaxed.values():
            return target
        if not self._has_mapping(resolved(self._definitions, name), frozenset()):
            return target
        name, slash, key = name.partition("/")
        if name not in self._relaxed:
            relaxed_name = self._relaxed[name] = free_name(f"{name}{_SUFFIX}", self._definitions)
            self._definitions[relaxed_name] = {}  # a definition may refer to itself
            self._definitions[relaxed_name] = self.mapping(self._definitions[name], f"{PREFIX}{name}")
        return f"{PREFIX}{self._relaxed[name]}{slash}{key}"

    def _has_mapping(self, schema: Any, above: frozenset[str]) -> bool:
        """Whether a value can be a mapping with keys of its own."""
        if isinstance(schema, str):
            is_new = schema not in above
            return is_new and self._has_mapping(resolved(self._definitions, schema), above | {schema})
        if not isinstance(schema, dict):
            return False
        if "properties" in schema or isinstance(schema.get("additionalProperties"), dict):
            return True
        parts = [part for keyword in LISTS for part in schema.get(keyword, ())]
        parts += [schema[keyword] for keyword in _APPLIED if keyword in schema]
        inner = schema["$ref"].removeprefix(PREFIX) if "$ref" in schema else None
        return (inner is not None and self._has_mapping(inner, above)) or any(
            self._has_mapping(part, above) for part in parts
        )
