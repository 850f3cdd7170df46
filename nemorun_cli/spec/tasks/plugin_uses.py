"""The plugins that a spec uses: checks their names, their secrets and the `with` of built-in plugins.

Only built-in plugins are imported; the `with` of other plugins is checked when a run starts.
"""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.masking import MASK
from nemorun_cli.model.problems import Finding, choices, dotted
from nemorun_cli.model.spec import PluginUse, is_secret
from nemorun_cli.plugins import BUILT_IN, discovery
from nemorun_cli.spec.schema import checks
from nemorun_cli.spec.tasks import callables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.tasks.env_layers import EnvLayering
    from nemorun_cli.spec.tasks.plugin_entries import PluginEntries


@dataclass(slots=True)
class _Found:
    """Equal entries of several tasks."""

    entry: Any
    place: Place
    tasks: dict[str, None] = field(default_factory=dict)
    values: list[Mapping[str, Any]] = field(default_factory=list)


class PluginUses:
    """Reads the uses of plugins in one spec; collects errors in `findings`.

    Adds the sources of secrets in plugin options to `secrets`.
    """

    def __init__(self, folder: Path, env_layering: EnvLayering, secrets: dict[str, dict[str, Any]]) -> None:
        self.findings: list[Finding] = []
        self._folder, self._env_layering, self._secrets = folder, env_layering, secrets

    def of_all(self, entries: Sequence[Any], place: Place) -> list[PluginUse]:
        """Return the uses for the whole experiment."""
        return [self._use(entry, (*place, index), None) for index, entry in enumerate(entries)]

    def of_tasks(self, uses: Iterable[PluginEntries]) -> list[PluginUse]:
        """Return the uses of tasks; equal entries of several tasks become one use."""
        found: dict[tuple[Place, str], _Found] = {}
        for use in uses:
            for index, entry in enumerate(use.entries):
                place = (*use.place, index)
                merged = found.setdefault((place, json.dumps(entry)), _Found(entry, place))
                merged.tasks.update(dict.fromkeys(use.tasks))
                if use.values is not None:
                    merged.values.append(use.values)
        return [
            replace(self._use(each.entry, each.place, list(each.tasks)), values=tuple(each.values) or None)
            for each in found.values()
        ]

    def _use(self, entry: Mapping[str, Any], place: Place, tasks: list[str] | None) -> PluginUse:
        options = self._options(entry.get("with", {}), (*place, "with"))
        use = PluginUse(
            uses=entry["uses"],
            options=options,
            tasks=None if tasks is None else tuple(tasks),
            place=place,
        )
        self._check(use)
        return use

    def _options(self, value: Any, place: Place) -> Any:
        """Return the options with the name of each secret in place of its source, which goes to `secrets`."""
        if is_secret(value):
            source = value["secret"]
            if isinstance(source, str):
                if source not in self._secrets:
                    hint = choices(source, sorted(self._secrets))
                    self._report((*place, "secret"), f"no secret is called {source!r}", hint)
                return {"secret": source}
            name = dotted(place)
            if findings := checks.check_secret(source, (*place, "secret")):
                self.findings += findings
                return {"secret": name}
            self._secrets[name] = self._env_layering.source(source, (*place, "secret"))
            return {"secret": name}
        if isinstance(value, dict):
            return {key: self._options(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._options(item, (*place, index)) for index, item in enumerate(value)]
        return value

    def _check(self, use: PluginUse) -> None:
        place = (*use.place, "uses")
        if use.uses in BUILT_IN:
            self.findings += check(discovery.find(use.uses), use)
        elif ":" in use.uses:
            try:
                callables.look_up(use.uses, (str(self._folder), *filter(None, sys.path)))
            except callables.TargetNotFoundError as fault:
                self._report(place, fault.message, fault.hint)
        elif use.uses not in (known := discovery.names()):
            hint = choices(use.uses, known)
            self._report(place, f"no plugin is called {use.uses!r}", f"{hint}; or write module:Class")

    def _report(self, place: Place, message: str, hint: str | None) -> None:
        self.findings.append(Finding(place=place, message=message, hint=hint))


def check(plugin: type[Any], use: PluginUse) -> list[Finding]:
    """Check the `with` of a plugin against its schema, or against its arguments if it has none.

    Placeholders for secrets are assumed to be valid.
    """
    options, place = use.options_with(dict.fromkeys(use.secrets, MASK)), (*use.place, "with")
    findings = _check_options(plugin, options, place)
    return [
        finding
        for finding in findings
        if finding.on_key or not is_secret(_at(use.options, finding.place[len(place) :]))
    ]


def _at(value: Any, place: Place) -> Any:
    for key in place:
        try:
            value = value[key]
        except (LookupError, TypeError):
            return None
    return value


def _check_options(plugin: type[Any], options: Mapping[str, Any], place: Place) -> list[Finding]:
    if schema := getattr(plugin, "schema", None):
        return checks.check(dict(options), schema, place)
    try:
        inspect.signature(plugin).bind(**options)
    except TypeError as error:
        return [Finding(place=place, message=f"does not fit {plugin.__name__}: {error}")]
    except ValueError:  # the class has no known signature
        return []
    return []
