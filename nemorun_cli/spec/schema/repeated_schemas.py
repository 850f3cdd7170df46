"""Makes definitions of the schemas that a document has several times, so that it is smaller."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.spec.schema.subschemas import PREFIX, changed, free_name, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ALSO_WITH_REFERENCE: Final = ("description", "examples")
_SHORTEST: Final = 100  # characters of a schema that gets a definition because it is repeated


def defined_once(document: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a schema that means the same, and refers to what it contains several times.

    Args:
        document: the schema, with all its definitions.
        named: short schemas that also become definitions, by their names.
    """
    return _Definitions(document, named).document()


class _Definitions:
    """Counts the schemas of one document, and adds definitions to it."""

    def __init__(self, document: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> None:
        self._document = {key: item for key, item in document.items() if key != "$defs"}
        self._definitions: dict[str, Any] = dict(document["$defs"])
        self._counts: Counter[str] = Counter()
        self._names = {_text(schema): free_name(name, self._definitions) for name, schema in named.items()}
        self._bodies = {self._names[_text(schema)]: dict(schema) for schema in named.values()}

    def document(self) -> dict[str, Any]:
        """Return the document with further definitions."""
        for schema in (self._document, *self._definitions.values()):
            self._count_inner(schema)
        definitions = {name: self._inside(schema, name) for name, schema in self._definitions.items()}
        document = self._inside(self._document, "")
        return {**document, "$defs": needed(document, {**definitions, **self._bodies})}

    def _count_inner(self, schema: Any) -> Any:
        """Count what is inside of a schema; what is inside of a repeated one only once."""
        if isinstance(schema, dict):
            _without_condition(schema, self._count)
        return schema

    def _count(self, schema: Any) -> Any:
        if isinstance(schema, dict):
            self._counts[_text(schema)] += 1
            if self._counts[_text(schema)] == 1:
                if (bare := _bare(schema)) != schema:  # what differs only in its description
                    self._counts[_text(bare)] += 1
                self._count_inner(schema)
        return schema

    def _inside(self, schema: Any, owner: str) -> Any:
        """Return a schema in which others are replaced by references."""
        if not isinstance(schema, dict):
            return schema
        properties = schema.get("properties", {})
        others = {key: item for key, item in schema.items() if key != "properties"}
        result = _without_condition(others, lambda part: self._replaced(part, owner))
        result["properties"] = {key: self._replaced(part, key) for key, part in properties.items()}
        return {key: result[key] for key in schema}

    def _replaced(self, schema: Any, owner: str) -> Any:
        """Return a reference to a schema that is repeated; its name is that of the key that has it first."""
        if not isinstance(schema, dict):
            return schema
        text = _text(schema)
        if text not in self._names:
            if self._counts[text] == 1 or len(text) < _SHORTEST:
                bare = _bare(schema)
                if bare == schema or self._counts[_text(bare)] == 1 or len(_text(bare)) < _SHORTEST:
                    return self._inside(schema, owner)
                own = {key: item for key, item in schema.items() if key not in bare}
                return {**own, **self._replaced(bare, owner)}
            name = self._names[text] = free_name(f"repeated-{owner}", {*self._definitions, *self._bodies})
            self._bodies[name] = {}  # the name is taken
            self._bodies[name] = self._inside(schema, owner)
        return {"$ref": f"{PREFIX}{self._names[text]}"}


def _without_condition(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a schema in which all but the condition of its branches is changed."""
    body = {key: item for key, item in schema.items() if key != "if"}
    result = changed(body, change)
    return {key: schema[key] if key == "if" else result[key] for key in schema}


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without the keys that a reference to it may also have."""
    return {key: item for key, item in schema.items() if key not in _ALSO_WITH_REFERENCE}


def _text(schema: Any) -> str:
    return json.dumps(schema)
