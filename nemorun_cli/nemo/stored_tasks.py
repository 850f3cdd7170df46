"""The tasks of an earlier experiment, read back from its spec as Partials and Scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import parts
from nemorun_cli.executors import run_partial
from nemorun_cli.nemo import calls
from nemorun_cli.nemo.jobs import AddedGroup, AddedJob
from nemorun_cli.nemo.scripts import Script
from nemorun_cli.plugins import discovery
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_BY_SCRIPT: Final = ("args", "env", "entrypoint")  # keys that a Script has, too
_OF_CALL: Final = (run_partial.TARGET, run_partial.PARTIAL, run_partial.IDENTITY)
# The modules of values that have no other form in a spec than a call.
_VALUES: Final = frozenset(
    ("builtins", "collections", "datetime", "decimal", "fractions", "numpy", "pathlib", "uuid")
)


def job(
    name: str, entry: Mapping[str, Any], *, folder: Path, executors: Mapping[str, Any]
) -> AddedJob | AddedGroup:
    """The job or group that a task of a spec is; `folder` is where its modules are."""
    executor = entry.get("executor")
    common: dict[str, Any] = {
        "id": name,
        "stored": entry,
        "tail_logs": entry.get("tail_logs"),
        "dependencies": list(entry.get("dependencies") or ()),
    }
    if "group" not in entry:
        return AddedJob(task=task(entry, folder), executor=_executor(executor, executors), **common)
    members: Sequence[Mapping[str, Any]] = entry["group"]
    each = executor if isinstance(executor, list) else [executor] * len(members)
    return AddedGroup(
        tasks=[task(member, folder) for member in members],
        executors=[_executor(one, executors) for one in each],
        **common,
    )


def task(entry: Mapping[str, Any], folder: Path) -> Any:
    """A Partial or a Script that can be changed; what only this package has, as a value of a `Builder`."""
    if "partial" in entry:
        return _partial(str(entry["partial"]), entry.get("args") or {}, folder)
    if "command" in entry:
        return parts.Command(entry["command"], env=entry.get("env") or {})
    options = {key: entry[key] for key in _BY_SCRIPT if key in entry}
    if not isinstance(options.get("entrypoint"), str):  # bash of `exp`, which a Script does not have
        return parts.Script(entry.get("script"), inline=entry.get("inline"), **options)
    return Script(entry.get("script", ""), entry.get("inline", ""), **options)


def _executor(name: Any, executors: Mapping[str, Any]) -> parts.Executor:
    """An executor of the spec, to look at."""
    options = dict(executors.get(name) or {})
    kind = str(options.pop("type", name or "local"))
    return parts.Executor(kind, name=name, **options)


def _partial(target: str, args: Mapping[str, Any], folder: Path) -> Any:
    """The Partial of a stored call, if its function can be imported."""
    try:
        with python_specs.building(), discovery.importing_from(str(folder)):
            made = _call(calls.Partial, target, args)
    except (Exception, python_specs.Built):  # noqa: BLE001 - the user's module may raise anything
        return parts.Partial(target, **args)
    return made


def _call(
    kind: Callable[..., Any], target: str, args: Mapping[str, Any], shared: dict[Any, Any] | None = None
) -> Any:
    """A Partial or a Config of a stored call; `shared` has what is an argument in several places."""
    shared = {} if shared is None else shared
    named = {name: _value(value, shared) for name, value in args.items()}
    return kind(run_partial.find(target), *named.pop(run_partial.ARGUMENTS, ()), **named)


def _value(value: Any, shared: dict[Any, Any]) -> Any:
    """A stored argument as a program gives it: calls of the user as Configs, other values themselves."""
    if isinstance(value, list):
        return [_value(item, shared) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {run_partial.SAME}:
        return shared[value[run_partial.SAME]]
    target = value.get(run_partial.TARGET)
    if target is None and run_partial.REFERENCE not in value:
        return {key: _value(item, shared) for key, item in value.items()}
    made = _made(value, str(target), shared) if target else run_partial.build(value, shared)
    if run_partial.IDENTITY in value:
        shared[value[run_partial.IDENTITY]] = made
    return made


def _made(value: Mapping[str, Any], target: str, shared: dict[Any, Any]) -> Any:
    if target.partition(":")[0] in _VALUES:
        return run_partial.build(dict(value), shared)
    args = {key: item for key, item in value.items() if key not in _OF_CALL}
    kind = calls.Partial if value.get(run_partial.PARTIAL) else calls.Config
    return _call(kind, target, args, shared)
