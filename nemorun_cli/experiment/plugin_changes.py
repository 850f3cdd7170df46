"""The `change` hook: plugins change tasks and executor options before anything is created."""

from __future__ import annotations

import contextlib
import hashlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.executors import planning
from nemorun_cli.experiment import plugin_checks
from nemorun_cli.model.masking import MASK
from nemorun_cli.model.problems import Finding, dotted
from nemorun_cli.model.spec import PluginUse, with_forms
from nemorun_cli.plugins import GivenPlugin, Launch, discovery, has_hook, hook_problem
from nemorun_cli.spec.tasks import plugin_uses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nemorun_cli.model.spec import Identity, Spec, Task
    from nemorun_cli.spec.document import Document


def given(plugins: Iterable[object]) -> tuple[GivenPlugin, ...]:
    """Wrap plugins given in Python as `GivenPlugin`; by default, they apply to the whole experiment."""
    return tuple(plugin if isinstance(plugin, GivenPlugin) else GivenPlugin(plugin) for plugin in plugins)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Active:
    """A constructed plugin, with its name for messages."""

    name: str
    plugin: Any
    tasks: frozenset[str] | None
    use: PluginUse | None = None  # None for one that was given in Python

    def is_for(self, task: Task, values: Mapping[str, Any]) -> bool:
        if self.use is not None and not self.use.is_for(values):
            return False
        return self.tasks is None or task.id in self.tasks or task.group in self.tasks


def changed(document: Document, spec: Spec, identity: Identity) -> Spec:
    """The spec as changed by its plugins; plugins that listen to events are marked.

    Raises:
        SpecError: a plugin does not exist, or its `with` is wrong.
        UsageError: a plugin raised, or requested a change that is not allowed; the message names it.
    """
    needs_folder = any(use.is_module for use in spec.plugins) or bool(document.plugins)
    with discovery.importing_from(spec.folder) if needs_folder else contextlib.nullcontext():
        active, uses = _construct(document, spec)
        tasks, executors = [], dict(spec.executors)
        hooks = [hook for hook in active if has_hook(hook.plugin, "change")]
        for task in spec.tasks if hooks else ():
            change = partial(_changed, hooks=hooks, spec=spec, identity=identity, executors=executors)
            tasks.append(_each_form(task, change))
    return replace(spec, tasks=tuple(tasks) or spec.tasks, executors=executors, plugins=tuple(uses))


def _changed(
    task: Task,
    values: Mapping[str, Any],
    *,
    hooks: Sequence[_Active],
    spec: Spec,
    identity: Identity,
    executors: dict[str, dict[str, Any]],
) -> Task:
    """The task as changed by plugins; for a trial, with the values that decide its form."""
    launch = before = _launch(task, spec, identity)
    for hook in hooks:
        if hook.is_for(task, values):
            launch = _change(hook, launch, task)
    return _apply(task, before, launch, executors)


def _each_form(task: Task, change: Callable[[Task, Mapping[str, Any]], Task]) -> Task:
    """A task changed in each form that it can take."""
    if task.variants is None:
        return change(task, {})
    forms = [
        (entry.values, change(replace(task, **entry.fields), entry.values)) for entry in task.variants.entries
    ]
    return with_forms(forms)


def _construct(document: Document, spec: Spec) -> tuple[list[_Active], list[PluginUse]]:
    """Construct the plugins; returns them and the uses to store, with event listeners marked."""
    findings: list[Finding] = []
    active, uses = [], []
    written = [
        _use_from_mapping(entry, spec) for entry in document.plugins if isinstance(entry.plugin, Mapping)
    ]
    for use in (*spec.plugins, *written):
        name = f"{use.uses} ({dotted(use.place)})"
        try:
            plugin_class = discovery.find(use.uses)
        except Exception as error:  # noqa: BLE001 - importing runs arbitrary code
            message = f"the plugin {use.uses!r} cannot be loaded: {_describe(error)}"
            findings.append(Finding(place=(*use.place, "uses"), message=message))
            continue
        options = use.options_with(dict.fromkeys(use.secrets, MASK))
        if problems := plugin_uses.check(plugin_class, use):
            findings += problems
            continue
        try:
            plugin = plugin_class(**options)
        except Exception as error:
            raise UsageError(f"the plugin {name} cannot be constructed: {_describe(error)}") from error
        _require_hook(name, plugin)
        active.append(_Active(name=name, plugin=plugin, tasks=_task_names(use.tasks), use=use))
        uses.append(replace(use, hears=has_hook(plugin, "on_event")))
    if findings:
        raise SpecError(document.sources.in_order(findings))
    for entry in document.plugins:
        if isinstance(entry.plugin, Mapping):
            continue
        name = f"{type(entry.plugin).__name__} (given in Python)"
        _require_hook(name, entry.plugin)
        active.append(_Active(name=name, plugin=entry.plugin, tasks=_task_names(entry.tasks)))
        if has_hook(entry.plugin, "on_event"):
            uses.append(_use_from_instance(entry))
    return active, uses


def _require_hook(name: str, plugin: object) -> None:
    """Refuse a plugin that would do nothing.

    Raises:
        UsageError: it has no hook, or listens by the name that the hook had earlier.
    """
    if (wrong := hook_problem(plugin)) is not None:
        message, remedy = wrong
        raise UsageError(f"the plugin {name} {message}", hint=remedy)


def _task_names(tasks: Sequence[str] | None) -> frozenset[str] | None:
    return None if tasks is None else frozenset(tasks)


def _use_from_mapping(given: GivenPlugin, spec: Spec) -> PluginUse:
    """A plugin use given in Python as a mapping, as a spec would hold it."""
    mapping: Any = given.plugin
    if not isinstance(mapping.get("uses"), str) or not isinstance(mapping.get("with", {}), Mapping):
        raise UsageError(f"{mapping!r} is no plugin", hint="write it as {'uses': 'name', 'with': {…}}")
    options = dict(mapping.get("with", {}))
    use = PluginUse(uses=mapping["uses"], options=options, tasks=given.tasks, place=("plugins",))
    if unknown := [name for name in use.secrets if name not in list(spec.secrets)]:
        raise UsageError(
            f"the plugin {use.uses} names a secret that the spec does not have: {unknown[0]!r}",
            hint="use secrets only in plugins that the spec itself names",
        )
    return use


def _use_from_instance(given: GivenPlugin) -> PluginUse:
    """A plugin given in Python, as the class and fields from which another process can construct it."""
    kind: Any = type(given.plugin)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<" in name:
        raise UsageError(
            f"the plugin {kind.__name__} listens to events, but its process could not import it",
            hint="define its class at module level, or give it as {'uses': 'module:Class', 'with': {…}}",
        )
    if not hasattr(kind, "__dataclass_fields__"):
        raise UsageError(
            f"the plugin {kind.__name__} listens to events, but its process could not construct it",
            hint=f"make it a dataclass, or give it as {{'uses': '{name}', 'with': {{…}}}}",
        )
    options = {item.name: getattr(given.plugin, item.name) for item in fields(kind) if item.init}
    try:
        json.dumps(options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the plugin {kind.__name__} has a field that is not JSON: {error}") from error
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


def _change(active: _Active, launch: Launch, task: Task) -> Launch:
    """The launch as changed by a plugin."""
    try:
        result = active.plugin.change(launch)
    except Exception as error:
        raise UsageError(f"the plugin {active.name} failed at {task.id}: {_describe(error)}") from error
    if not isinstance(result, Launch):
        raise UsageError(
            f"the plugin {active.name} returned {type(result).__name__}, not a Launch, for {task.id}"
        )
    if problem := next(plugin_checks.faults(launch, result, task), None):
        raise UsageError(
            f"the plugin {active.name} requested a change that {task.id} does not allow: {problem}"
        )
    return result


def _apply(task: Task, before: Launch, after: Launch, executors: dict[str, dict[str, Any]]) -> Task:
    """The task as changed; if its options changed, a new executor with them is added to `executors`."""
    if after is before:
        return task
    executor = task.executor
    if after.options != before.options:
        entry = {"type": after.type, **after.options}
        digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:6]
        executor = f"{task.executor}~{digest}"
        executors[executor] = entry
    return replace(
        task,
        prefix=tuple(after.prefix),
        args=plugin_checks.plain(after.args),
        env=dict(after.env),
        secrets=tuple(name for name in task.secrets if name not in after.env),
        timeout=after.timeout,
        retry=after.retry,
        resources=after.resources,
        stop_signal=after.stop_signal.removeprefix("SIG"),
        stop_grace=float(after.stop_grace),
        executor=executor,
    )


def _describe(error: Exception) -> str:
    """An error on one line, with the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
