"""The plugins that a spec uses: their names, their secrets and, of built-in ones, what `with` gives them.

Nothing that is not part of `exp` is imported: whether another plugin's `with` is right is told by a run.
"""

from __future__ import annotations

import inspect
import json
import sys
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


class PluginUses:
    """The uses of plugins in one spec; what is wrong with them is in `findings`.

    `secrets` gets where the secrets come from that plugins name in their options.
    """

    def __init__(self, folder: Path, laying: EnvLayering, secrets: dict[str, dict[str, Any]]) -> None:
        self.findings: list[Finding] = []
        self._folder, self._laying, self._secrets = folder, laying, secrets

    def of_all(self, entries: Sequence[Any], place: Place) -> list[PluginUse]:
        """Those of the experiment as a whole."""
        return [self._use(entry, (*place, index), None) for index, entry in enumerate(entries)]

    def of_tasks(self, found: Iterable[tuple[str, Sequence[Any], Place]]) -> list[PluginUse]:
        """Those of tasks; what several tasks use alike is one use."""
        alike: dict[tuple[Place, str], tuple[Any, list[str]]] = {}
        for task, entries, place in found:
            for index, entry in enumerate(entries):
                key = ((*place, index), json.dumps(entry))
                alike.setdefault(key, (entry, []))[1].append(task)
        return [self._use(entry, place, tasks) for (place, _), (entry, tasks) in alike.items()]

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
        """The options with each secret by a name, under which its source is known."""
        if is_secret(value):
            source = value["secret"]
            if isinstance(source, str):
                if source not in self._secrets:
                    hint = choices(source, sorted(self._secrets))
                    self._find((*place, "secret"), f"no secret is called {source!r}", hint)
                return {"secret": source}
            name = dotted(place)
            self._secrets[name] = self._laying.source(source)
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
            except callables.NotThereError as fault:
                self._find(place, fault.message, fault.hint)
        elif use.uses not in (known := discovery.names()):
            hint = choices(use.uses, known)
            self._find(place, f"no plugin is called {use.uses!r}", f"{hint}; or write module:Class")

    def _find(self, place: Place, message: str, hint: str | None) -> None:
        self.findings.append(Finding(place=place, message=message, hint=hint))


def check(found: type[Any], use: PluginUse) -> list[Finding]:
    """What is wrong with the `with` of a plugin: by its own schema, or by the arguments that it takes.

    What stands for a secret is believed to be what the plugin wants.
    """
    options, place = use.options_with(dict.fromkeys(use.secrets, MASK)), (*use.place, "with")
    wrong = _wrong(found, options, place)
    return [one for one in wrong if not is_secret(_at(use.options, one.place[len(place) :]))]


def _at(value: Any, place: Place) -> Any:
    for key in place:
        try:
            value = value[key]
        except (LookupError, TypeError):
            return None
    return value


def _wrong(found: type[Any], options: Mapping[str, Any], place: Place) -> list[Finding]:
    if own := getattr(found, "schema", None):
        return checks.check(dict(options), own, place)
    try:
        inspect.signature(found).bind(**options)
    except TypeError as error:
        return [Finding(place=place, message=f"does not fit {found.__name__}: {error}")]
    except ValueError:  # of a class whose signature nobody knows
        return []
    return []
