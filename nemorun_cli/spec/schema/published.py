"""Makes the schema of specs as people write them: closed, and with expressions in place of values.

It is made of the schema that a spec is checked against after its expressions are filled in, and of the
options that the classes of executors, launchers, packagers and plugins declare.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import launchers
from nemorun_cli.spec.schema import named_parts, reference, walk
from nemorun_cli.spec.schema.expression_texts import (
    EXPRESSION,
    Rewriter,
    or_expression,
    plain_definitions,
    with_expression,
)
from nemorun_cli.spec.schema.overriding_files import NULL, Relaxer
from nemorun_cli.spec.schema.repeated_schemas import defined_once
from nemorun_cli.spec.schema.subschemas import PREFIX, changed, free_name, needed, property_of
from nemorun_cli.spec.schema.validator import UnsupportedError, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nemorun_cli.spec.schema.named_parts import Parts

ID: Final = "urn:nemorun-cli:experiment.schema.json"
# These sections are read before expressions are filled in, or hold texts of their own.
_LITERAL: Final = frozenset(("version", "folder", "extends", "include", "name", "params"))
_WITH_WORDS: Final = ("script", "inline", "command")  # what tasks run whose arguments are words
_PATHS: Final = frozenset(("folder", "extends", "include"))
# What a mapping of options can have that becomes part of one with the keys that each type has.
_CLOSABLE: Final = frozenset(("type", "properties", "patternProperties", "required", "additionalProperties"))
# What such a mapping loses: it is about all keys together, and there are more.
_LOST: Final = frozenset(("minProperties", "maxProperties", "dependentRequired", "propertyNames"))
_WITHOUT_EFFECT: Final = frozenset(("title", "description", "examples", "default", "deprecated"))


def built_in() -> dict[str, Any]:
    """Return the schema that knows what is built in."""
    return whole(named_parts.built_in())[0]


def installed() -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the schema that knows what is installed, and why it does not know the options of some parts."""
    parts = named_parts.installed()
    schema, problems = whole(parts)
    return schema, (*parts.problems, *problems)


def whole(parts: Parts) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the schema of a spec that can name these parts, and why it does not know the options of some."""
    maker = _Maker(parts)
    schema = maker.schema()
    return schema, tuple(maker.problems)


class _Maker:
    """Makes one schema; `definitions` grows while parts are added."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.problems: list[str] = []
        self._source = walk.experiment()
        self._literal = {
            key: _without_expressions(part) if key in _PATHS else part
            for key, part in self._source["properties"].items()
            if key in _LITERAL
        }
        self._definitions = plain_definitions(self._literal.values(), self._source["$defs"])
        self._definitions["files"] = _without_expressions(self._definitions["files"])
        self._values = Rewriter(self._source["$defs"], self._definitions, replaced=self._replaced())
        self._secrets = Rewriter({}, self._definitions, secret={"$ref": "#/$defs/pluginSecret"})
        self._relaxer = Relaxer(self._definitions)

    def _replaced(self) -> dict[str, Callable[[], Any]]:
        return {
            "executor": self._executor,
            "launcher": self._launcher,
            "packager": self._packager,
            "plugin": self._plugin,
            "task": lambda: self._task("task"),
            "handler": lambda: self._task("handler"),
            "member": lambda: self._task("member"),
            "defaults": lambda: self._task("defaults"),
            "timeLimit": self._time_limit,
        }

    def schema(self) -> dict[str, Any]:
        properties = {
            key: self._literal[key] if key in _LITERAL else self._values.value(part)
            for key, part in self._source["properties"].items()
        }
        properties["env"]["type"] = "object"  # other expressions use its variables, so it is no expression
        mapping = {"properties": properties, "additionalProperties": False}
        document = {
            **{
                key: self._source[key]
                for key in ("$schema", "$id", "title", "description", "$comment", "type")
            },
            "$id": ID,
            # Here for editors, which complete these keys; what their values can be depends on `extends`.
            "properties": {key: _described(part) for key, part in properties.items()},
            "additionalProperties": False,
            "if": {"required": ["extends"]},
            "then": self._relaxer.mapping(mapping),
            "else": {"properties": properties},
        }
        document["then"].pop("additionalProperties")
        document["$defs"] = needed(document, self._definitions)
        whole: dict[str, Any] = _with_messages(document)
        return defined_once(whole, {"expression": _with_messages(or_expression()), "null": NULL})

    # -- tasks --------------------------------------------------------------------------------------

    def _task(self, name: str) -> dict[str, Any]:
        """Return a task, a handler, a member or `defaults` as one mapping with all its keys."""
        part = self._source["$defs"][name]
        mapping: dict[str, Any] = {
            **{key: part[key] for key in ("description", "oneOf") if key in part},
            "type": "object",
            "properties": {key: self._values.value(entry) for key, entry in walk.properties(part).items()},
            "additionalProperties": False,
        }
        if "oneOf" in part:
            mapping["allOf"] = [
                {"if": {"required": ["partial"]}, "then": _narrowed("args", "object")},
                {"if": _has_one_of(_WITH_WORDS), "then": _narrowed("args", "array")},
            ]
        if "group" in mapping["properties"]:
            alone = {"not": {"required": ["group"]}}
            mapping["allOf"].append({"if": alone, "then": _narrowed("executor", "string")})
        return with_expression(mapping)

    def _time_limit(self) -> dict[str, Any]:
        """Return a duration that is not 0, which could mean no limit as well as no time."""
        duration = {key: item for key, item in self._source["$defs"]["duration"].items() if key != "minimum"}
        title = duration["title"].replace("a duration", "a duration longer than 0", 1)
        pattern = f"^(?=[^1-9]*[1-9]){duration['pattern'].removeprefix('^')}"
        limit: dict[str, Any] = self._values.value(
            {**duration, "title": title, "exclusiveMinimum": 0, "pattern": pattern}
        )
        return limit

    # -- what other packages can add to ---------------------------------------------------------------

    def _executor(self) -> dict[str, Any]:
        part = self._source["$defs"]["executor"]
        shared = {key: self._values.value(entry) for key, entry in part["properties"].items()}
        kind = _names(part["properties"]["type"], self._parts.executors)
        shared["type"] = _described(kind)  # checked once, and not again in each branch
        mappings = {
            name: self._closed("executor", name, options, shared)
            for name, options in self._parts.executors.items()
        }
        by_type = self._by_type(shared, mappings, "executor")
        branches = {"allOf": by_type["allOf"]}
        return {
            "description": part["description"],
            "type": ["object", "string"],
            **EXPRESSION,
            "properties": {key: _described(entry) for key, entry in shared.items()} | {"type": kind},
            "if": {"required": ["extends"]},
            "then": self._relaxer.mapping(branches),
            "else": branches,
        }

    def _packager(self) -> dict[str, Any]:
        part = self._source["$defs"]["packager"]
        entry = walk.properties(part)
        kind = _names(entry["type"], self._parts.packagers)
        shared = {
            "type": _described(kind),
            "max_size": self._values.value(entry["max_size"]),
        }
        mappings = {
            name: self._closed("packager", name, options, shared, requires=True)
            for name, options in self._parts.packagers.items()
        }
        by_type = self._by_type(shared, mappings, "packager")
        by_type["properties"]["type"] = kind
        mapping = {"type": "object", "required": ["type"], **by_type}
        return {
            **{key: part[key] for key in ("title", "examples")},
            "anyOf": [{"enum": sorted(self._parts.packagers)}, or_expression(), mapping],
        }

    def _by_type(
        self, shared: Mapping[str, Any], mappings: Mapping[str, dict[str, Any]], kind: str
    ) -> dict[str, Any]:
        """Return the schema of a mapping whose `type` decides about its other keys."""
        any_type: dict[str, Any] = {"properties": {}, "additionalProperties": False}
        branches = []
        for name, mapping in mappings.items():
            definition = self._define(f"{kind}-{name}", mapping)
            branches.append({"if": _has_type([name]), "then": {"$ref": definition}})
            for key, entry in mapping.get("properties", {}).items():
                if key not in shared:
                    any_type["properties"].setdefault(key, []).append((entry, property_of(definition, key)))
            if mapping.get("additionalProperties", True) is not False:
                any_type["additionalProperties"] = True
        any_type["properties"] = {
            **shared,
            **{key: _either(entries) for key, entries in sorted(any_type["properties"].items())},
        }
        definition = self._define(f"{kind}-of-any-type", any_type)
        branches.append({"if": {"not": _has_type(list(mappings))}, "then": {"$ref": definition}})
        return {"properties": dict(shared), "allOf": branches}

    def _launcher(self) -> dict[str, Any]:
        part = self._source["$defs"]["launcher"]
        descriptions = walk.properties(part)
        entries: dict[str, Any] = {launchers.NONE: {"description": "No launcher."}}
        alone = [launchers.NONE]
        for name, options in self._parts.launchers.items():
            own = self._alone("launcher", name, lambda own: self._values.foreign(*own), options)
            entry = with_expression({} if own is None else own)
            if own is None or options is None or _is_valid({}, options):
                alone.append(name)
                entry = _or_null(entry)
            if description := descriptions.get(name, {}).get("description"):
                entry["description"] = description
            if examples := descriptions.get(name, {}).get("examples"):
                entry["examples"] = examples
            entries[name] = entry
        return {
            **{key: part[key] for key in ("title", "examples")},
            "anyOf": [
                {"enum": alone},
                or_expression(),
                {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": entries},
            ],
        }

    def _plugin(self) -> dict[str, Any]:
        part = self._source["$defs"]["plugin"]
        uses, options_part = part["properties"]["uses"], part["properties"]["with"]
        self._definitions["pluginSecret"] = {
            "title": "{secret: …}: the name of a secret, or its source",
            "type": "object",
            "required": ["secret"],
            "additionalProperties": False,
            "properties": {
                "secret": {
                    "description": "A name from `secrets`, or {env: NAME}, {file: path} or {command: …}.",
                    "anyOf": [
                        {"type": "string", "minLength": 1},
                        self._values.value({"$ref": "#/$defs/secret"}),
                    ],
                }
            },
        }
        branches = []
        for name, options in self._parts.plugins.items():
            then = self._alone("plugin", name, lambda own: self._with(*own), options)
            if then is None:
                continue
            condition = {"properties": {"uses": {"const": name}}, "required": ["uses"]}
            branches.append({"if": condition, "then": then})
        described = {key: text for key, text in uses.items() if key not in ("type", "pattern")}
        module_class = {"type": "string", "pattern": f"^(?=[^:]*:){uses['pattern'].removeprefix('^')}"}
        return {
            **part,
            **EXPRESSION,
            "type": ["object", "string"],
            "properties": {
                "uses": {
                    **described,
                    "anyOf": [{"enum": list(self._parts.plugins)}, module_class, or_expression()],
                },
                "with": {**options_part, "type": ["object", "string"], **EXPRESSION},
            },
            **({"allOf": branches} if branches else {}),
        }

    def _with(self, options: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return the schema of the entry of a plugin with these options."""
        own = with_expression(self._secrets.foreign(options, name))
        then: dict[str, Any] = {"properties": {"with": {"$ref": self._define(name, own)}}}
        return then if _is_valid({}, options) else {**then, "required": ["with"]}

    def _closed(
        self,
        kind: str,
        name: str,
        options: Mapping[str, Any] | None,
        shared: Mapping[str, Any],
        *,
        requires: bool = False,
    ) -> dict[str, Any]:
        """Return the mapping of options with the keys that each type has; open if it is not a plain one.

        An executor requires none of its options, which may be in another file.
        """
        own = self._alone(kind, name, lambda given: _plain(self._values.foreign(*given)), options)
        if own is None:
            return {"properties": dict(shared)}
        required = own.get("required", []) if requires else []
        patterns = own.get("patternProperties", {})
        return {
            "properties": {**shared, **own.get("properties", {})},
            **({"patternProperties": _except(shared, patterns)} if patterns else {}),
            "additionalProperties": own.get("additionalProperties", True),
            **({"required": required} if required else {}),
        }

    def _alone(
        self,
        kind: str,
        name: str,
        make: Callable[[tuple[Mapping[str, Any], str]], dict[str, Any]],
        options: Mapping[str, Any] | None,
    ) -> dict[str, Any] | None:
        """Return what is made of the options of one part; None, with a problem if it fails, if it is open."""
        if options is None:
            return None
        before = dict(self._definitions)
        try:
            _is_valid({}, options)
            return make((options, f"{kind}-{name}"))
        except Exception as error:  # noqa: BLE001 - a schema of another package, in which anything may be
            self._definitions.clear()
            self._definitions.update(before)
            self.problems.append(named_parts.problem(kind, name, error))
            return None

    def _define(self, name: str, schema: dict[str, Any]) -> str:
        """Add a definition; return the reference to it."""
        key = free_name(name, self._definitions)
        self._definitions[key] = schema
        return f"{PREFIX}{key}"


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping of options; raises ValueError if it is more than its keys."""
    others = options.keys() - _CLOSABLE - _LOST - _WITHOUT_EFFECT
    if others:
        raise ValueError(f"it has {', '.join(sorted(others))} at its top")
    return options


def _except(shared: Iterable[str], patterns: Mapping[str, Any]) -> dict[str, Any]:
    """Return schemas by the pattern of their keys, for all keys but those that each type has."""
    keys = "|".join(re.escape(key) for key in shared)
    return {f"^(?!(?:{keys})$)(?=[\\s\\S]*(?:{pattern}))": entry for pattern, entry in patterns.items()}


def _described(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: part[key] for key in ("description", "default", "examples") if key in part}


def _with_messages(schema: Any) -> Any:
    """Return a schema with a message for each pattern; language servers of YAML and JSON show it."""
    if not isinstance(schema, dict):
        return schema
    whole = changed(schema, _with_messages)
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type")
    if isinstance(schema.get("pattern"), str) and isinstance(types, list):
        words = [reference.TYPES[name] for name in types if name not in ("string", "null")]
        if meant := schema.get("title") or " or ".join(words):
            whole["patternErrorMessage"] = f"must be {meant}"
    return whole


def _without_expressions(schema: Any) -> Any:
    """Return a schema of literal paths: files are read before expressions are evaluated."""
    if schema.get("type") == "string" or schema.get("$ref") == f"{PREFIX}text":
        title = schema.get("title", "a path")
        pattern = {"pattern": r"^(?![\s\S]*\$\{\{)", "title": f"{title}, without expressions"}
        return {**schema, "type": "string", **pattern}
    return changed(schema, _without_expressions)


def _narrowed(key: str, kind: str) -> dict[str, Any]:
    """Return the schema of a mapping with a value of this type, or an expression, under a key."""
    return {"properties": {key: {"type": list(dict.fromkeys([kind, "string"]))}}}


def _has_one_of(keys: Iterable[str]) -> dict[str, Any]:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _names(part: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return a part whose value is one of the names, or an expression."""
    described = {key: text for key, text in part.items() if key in ("description", "title")}
    return {**described, "anyOf": [{"enum": sorted(known)}, or_expression()]}


def _has_type(names: list[str]) -> dict[str, Any]:
    return {"properties": {"type": {"enum": names}}, "required": ["type"]}


def _either(entries: list[tuple[Any, str]]) -> Any:
    """Return the schema of a key that several types may have, each with a reference to its schema."""
    first = {json.dumps(entry): reference for entry, reference in reversed(entries)}
    different = [{"$ref": reference} for reference in reversed(first.values())]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _or_null(entry: dict[str, Any]) -> dict[str, Any]:
    if "type" not in entry or "anyOf" in entry:
        return {"anyOf": [entry, {"type": "null"}]}
    types = [entry["type"]] if isinstance(entry["type"], str) else entry["type"]
    return {**entry, "type": [*types, "null"]}


def _is_valid(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is valid, as far as this is known without reading other files."""
    try:
        return compiled(schema)(value)
    except UnsupportedError:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow, and seldom needed
        from referencing import Registry  # noqa: PLC0415 - the same
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - the same
    try:
        return bool(Draft202012Validator(schema, registry=Registry()).is_valid(value))
    except Unresolvable:
        return True
