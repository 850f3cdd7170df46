"""Collects the options of everything that a spec names: executors, launchers, packagers and plugins."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nemorun_cli import executors, packagers, plugins
from nemorun_cli.executors import launchers
from nemorun_cli.plugins import discovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nemorun_cli.system.registry import Registry


@dataclass(frozen=True, slots=True)
class Parts:
    """The options of everything that a spec can name, by kind and name; None for options that are unknown.

    Attributes:
        problems: why options are unknown, one text for each.
    """

    executors: Mapping[str, Mapping[str, Any] | None]
    launchers: Mapping[str, Mapping[str, Any] | None]
    packagers: Mapping[str, Mapping[str, Any] | None]
    plugins: Mapping[str, Mapping[str, Any] | None]
    problems: tuple[str, ...] = field(default=())


def built_in() -> Parts:
    """Return what is built in."""
    return Parts(
        executors={name: executors.find(name).options_schema for name in executors.built_in()},
        launchers=_built_in_options(launchers.REGISTRY),
        packagers=_built_in_options(packagers.REGISTRY),
        plugins={name: _of_plugin(discovery.find(name)) for name in sorted(plugins.BUILT_IN)},
    )


def _built_in_options(registry: Registry) -> dict[str, Mapping[str, Any]]:
    return {name: registry.find(name).options_schema for name in sorted(registry.built_in)}


def installed() -> Parts:
    """Return what this installation knows; imports all executors, launchers, packagers and plugins."""
    problems: list[str] = []

    def options(
        kind: str, names: Iterable[str], find: Callable[[str], Any], declared: Callable[[Any], Any]
    ) -> dict[str, Mapping[str, Any] | None]:
        schemas: dict[str, Mapping[str, Any] | None] = {}
        for name in names:
            try:
                schemas[name] = _checked(declared(find(name)))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - code of other packages: it may do anything
                schemas[name] = None
                problems.append(problem(kind, name, error))
        return schemas

    return Parts(
        executors=options("executor", executors.types(), executors.find, _declared),
        launchers=options("launcher", launchers.REGISTRY.names(), launchers.REGISTRY.find, _declared),
        packagers=options("packager", packagers.REGISTRY.names(), packagers.REGISTRY.find, _declared),
        plugins=options("plugin", discovery.names(), discovery.find, _of_plugin),
        problems=tuple(problems),
    )


def problem(kind: str, name: str, error: BaseException) -> str:
    """Return why a part may have any options in the schema."""
    what = "executor type" if kind == "executor" else kind
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    return f"the {what} {name!r} may have any options in this schema: {reason}"


def _declared(known_class: Any) -> Any:
    return known_class.options_schema


def _checked(schema: Any) -> Mapping[str, Any] | None:
    """Return a schema as JSON has it; None if it allows everything. Raises if it is no schema."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow, and not for the built-in parts

    plain = json.loads(json.dumps(schema))
    if plain is None or plain is True:
        return None
    Draft202012Validator.check_schema(plain)
    return plain if isinstance(plain, dict) else {"not": {}}


def _of_plugin(plugin: type[Any]) -> Mapping[str, Any] | None:
    """Return the schema of a plugin's `with`: the one that it declares, or one with its arguments."""
    if schema := getattr(plugin, "schema", None):
        declared: Mapping[str, Any] = schema
        return declared
    try:
        parameters = inspect.signature(plugin).parameters.values()
    except ValueError:  # the class has no known signature
        return None
    kinds = inspect.Parameter
    named = [given for given in parameters if given.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    return {
        "type": "object",
        "properties": {given.name: {} for given in named},
        "required": [given.name for given in named if given.default is kinds.empty],
        "additionalProperties": any(given.kind is kinds.VAR_KEYWORD for given in parameters),
    }
