"""The first hook: plugins change tasks and the options of their executors, before anything is created."""

from __future__ import annotations

import contextlib
import hashlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.executors import planning
from nemorun_cli.experiment import plugin_checks
from nemorun_cli.model.masking import MASK
from nemorun_cli.model.problems import Finding, dotted
from nemorun_cli.model.spec import PluginUse
from nemorun_cli.plugins import GivenPlugin, Launch, discovery, has_hook
from nemorun_cli.spec.tasks import plugin_uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.model.spec import Identity, Spec, Task
    from nemorun_cli.spec.document import Document


def given(plugins: Iterable[object]) -> tuple[GivenPlugin, ...]:
    """Plugins for the experiment as a whole, or for tasks where they say so themselves by being a Given."""
    return tuple(one if isinstance(one, GivenPlugin) else GivenPlugin(one) for one in plugins)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Active:
    """A plugin that was made, under the name by which people know it."""

    name: str
    plugin: Any
    tasks: frozenset[str] | None

    def is_for(self, task: Task) -> bool:
        return self.tasks is None or task.id in self.tasks or task.group in self.tasks


def changed(document: Document, spec: Spec, identity: Identity) -> Spec:
    """The spec as its plugins want it, with those that hear of events marked.

    Raises:
        SpecError: a plugin is not there, or its `with` is wrong.
        UsageError: a plugin raised, or asks for what it cannot have; it is named.
    """
    needs_folder = any(use.is_module for use in spec.plugins) or bool(document.plugins)
    with discovery.importing_from(spec.folder) if needs_folder else contextlib.nullcontext():
        active, uses = _made(document, spec)
        tasks, made = [], dict(spec.executors)
        hooks = [one for one in active if has_hook(one.plugin, "change")]
        for task in spec.tasks if hooks else ():
            launch = before = _launch(task, spec, identity)
            for one in hooks:
                if one.is_for(task):
                    launch = _called(one, launch, task)
            tasks.append(_merged(task, before, launch, made))
    return replace(spec, tasks=tuple(tasks) or spec.tasks, executors=made, plugins=tuple(uses))


def _made(document: Document, spec: Spec) -> tuple[list[_Active], list[PluginUse]]:
    """The plugins, and the uses of them that are written down: what hears is marked."""
    findings: list[Finding] = []
    active, uses = [], []
    written = [_written(given, spec) for given in document.plugins if isinstance(given.plugin, Mapping)]
    for use in (*spec.plugins, *written):
        name = f"{use.uses} ({dotted(use.place)})"
        try:
            found = discovery.find(use.uses)
        except Exception as error:  # noqa: BLE001 - importing runs anybody's code
            message = f"the plugin {use.uses!r} cannot be loaded: {_told(error)}"
            findings.append(Finding(place=(*use.place, "uses"), message=message))
            continue
        options = use.options_with(dict.fromkeys(use.secrets, MASK))
        if wrong := plugin_uses.check(found, use):
            findings += wrong
            continue
        try:
            plugin = found(**options)
        except Exception as error:
            raise UsageError(f"the plugin {name} cannot be made: {_told(error)}") from error
        active.append(_Active(name=name, plugin=plugin, tasks=_names(use.tasks)))
        uses.append(replace(use, hears=has_hook(plugin, "on_event")))
    if findings:
        raise SpecError(document.sources.in_order(findings))
    for given in document.plugins:
        if isinstance(given.plugin, Mapping):
            continue
        name = f"{type(given.plugin).__name__} (given in Python)"
        active.append(_Active(name=name, plugin=given.plugin, tasks=_names(given.tasks)))
        if has_hook(given.plugin, "on_event"):
            uses.append(_portable(given))
    return active, uses


def _names(tasks: Sequence[str] | None) -> frozenset[str] | None:
    return None if tasks is None else frozenset(tasks)


def _written(given: GivenPlugin, spec: Spec) -> PluginUse:
    """A use that was given in Python as a spec would have it."""
    entry: Any = given.plugin
    if not isinstance(entry.get("uses"), str) or not isinstance(entry.get("with", {}), Mapping):
        raise UsageError(f"{entry!r} is no plugin", hint="it is {'uses': 'name', 'with': {…}}")
    options = dict(entry.get("with", {}))
    use = PluginUse(uses=entry["uses"], options=options, tasks=given.tasks, place=("plugins",))
    if unknown := [name for name in use.secrets if name not in list(spec.secrets)]:
        raise UsageError(
            f"the plugin {use.uses} names a secret that the spec does not have: {unknown[0]!r}",
            hint="give the source of a secret in the spec's own plugins",
        )
    return use


def _portable(given: GivenPlugin) -> PluginUse:
    """What another process needs to make a plugin that was given in Python: its class and its fields."""
    kind: Any = type(given.plugin)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<" in name:
        raise UsageError(
            f"the plugin {kind.__name__} hears of events, in a process that cannot import it",
            hint="put its class at the top of a module, or give it as {'uses': 'module:Class', 'with': {…}}",
        )
    if not hasattr(kind, "__dataclass_fields__"):
        raise UsageError(
            f"the plugin {kind.__name__} hears of events, in a process that does not know how to make it",
            hint=f"make it a dataclass, or give it as {{'uses': '{name}', 'with': {{…}}}}",
        )
    options = {item.name: getattr(given.plugin, item.name) for item in fields(kind) if item.init}
    try:
        json.dumps(options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the plugin {kind.__name__} has a field that is no JSON: {error}") from error
    return PluginUse(uses=name, options=options, tasks=given.tasks, place=("plugins",), hears=True)


def _launch(task: Task, spec: Spec, identity: Identity) -> Launch:
    options = dict(spec.executors.get(task.executor, {"type": task.executor}))
    return Launch(
        experiment=identity,
        tracked=planning.prefix(spec, identity.id),
        task=task.id,
        group=task.group,
        matrix=task.matrix,
        kind=task.kind,
        workdir=task.workdir,
        executor=task.executor,
        type=options.pop("type", task.executor),
        secrets=task.secrets,
        prefix=task.prefix,
        args=MappingProxyType(task.args) if isinstance(task.args, dict) else task.args,
        env=MappingProxyType(task.env),
        timeout=task.timeout,
        retry=task.retry,
        resources=task.resources,
        stop_signal=task.stop_signal,
        stop_grace=task.stop_grace,
        options=MappingProxyType(options),
    )


def _called(one: _Active, launch: Launch, task: Task) -> Launch:
    """What a plugin makes of a launch."""
    try:
        found = one.plugin.change(launch)
    except Exception as error:
        raise UsageError(f"the plugin {one.name} stopped at {task.id}: {_told(error)}") from error
    if not isinstance(found, Launch):
        raise UsageError(
            f"the plugin {one.name} gave a {type(found).__name__} and not a Launch for {task.id}"
        )
    if wrong := next(plugin_checks.faults(launch, found, task), None):
        raise UsageError(f"the plugin {one.name} asks for what {task.id} cannot have: {wrong}")
    return found


def _merged(task: Task, before: Launch, found: Launch, made: dict[str, dict[str, Any]]) -> Task:
    """The task as launched; options of its own make an executor of its own, which `made` gets."""
    if found is before:
        return task
    executor = task.executor
    if found.options != before.options:
        entry = {"type": found.type, **found.options}
        told = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:6]
        executor = f"{task.executor}~{told}"
        made[executor] = entry
    return replace(
        task,
        prefix=tuple(found.prefix),
        args=plugin_checks.plain(found.args),
        env=dict(found.env),
        secrets=tuple(name for name in task.secrets if name not in found.env),
        timeout=found.timeout,
        retry=found.retry,
        resources=found.resources,
        stop_signal=found.stop_signal.removeprefix("SIG"),
        stop_grace=float(found.stop_grace),
        executor=executor,
    )


def _told(error: Exception) -> str:
    """An error in a line, with where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
