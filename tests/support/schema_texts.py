"""Specs with one text at every place where a schema takes text: values, items, keys and parts of examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Values of required keys whose schema has no example.
FALLBACK: dict[str, Any] = {
    "type": "local",
    "host": "login",
    "job_dir": "/scratch/me",
    "image": "alpine",
    "uses": "env",
    "soft": 1,
    "hard": 1,
    "test": "true",
    "include": ["*"],
    "parts": {"code": "git"},
    "command": ["true"],
}


@dataclass(frozen=True)
class Places:
    """The places of text in values of a schema.

    Attributes:
        text: what is put there.
        definitions: the `$defs` of the schema.
    """

    text: str
    definitions: Mapping[str, Any] = field(default_factory=dict)

    def values(self, schema: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Any]:
        """Yield values that have the text at one place each; whether they are valid is not checked."""
        for example in schema.get("examples", ()):
            yield from self.marked(example)
        if reference := schema.get("$ref"):
            name = reference.rpartition("/")[2]
            if name not in above:
                yield from self.values(self.definitions[name], (*above, name))
        types = schema.get("type", ())
        if "string" in ([types] if isinstance(types, str) else types) or "enum" in schema:
            yield self.text
        for keyword in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(keyword, ()):
                yield from self.values(part, above)
        if isinstance(items := schema.get("items"), dict):
            yield from ([value] for value in self.values(items, above))
        yield from self._mappings(schema, above)

    def _mappings(self, schema: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Any]:
        required = {name: FALLBACK[name] for name in schema.get("required", ()) if name in FALLBACK}
        for name, part in schema.get("properties", {}).items():
            for value in self.values(part, above):
                yield {**required, name: value}
        if isinstance(rest := schema.get("additionalProperties"), dict):
            for value in self.values(rest, above):
                yield {**required, "k": value}
            yield {**required, self.text: next(self.values(rest, above), 1)}

    def marked(self, example: Any) -> Iterator[Any]:
        """Yield an example with the text in place of each of its texts and keys."""
        if isinstance(example, str):
            yield self.text
        elif isinstance(example, list):
            for index, item in enumerate(example):
                for value in self.marked(item):
                    yield [*example[:index], value, *example[index + 1 :]]
        elif isinstance(example, dict):
            for key, item in example.items():
                for value in self.marked(item):
                    yield {**example, key: value}
                yield {**{name: each for name, each in example.items() if name != key}, self.text: item}


def distinct(values: Iterator[Any]) -> list[Any]:
    """The values without repetitions."""
    return list({repr(value): value for value in values}.values())
