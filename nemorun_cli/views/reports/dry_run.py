"""What a run would do, decided without doing any of it: the plan of every task, secrets by name only."""

from __future__ import annotations

import graphlib
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import executors
from nemorun_cli.executors import planning
from nemorun_cli.model import code_package
from nemorun_cli.model.code_package import Package
from nemorun_cli.model.masking import MASK
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.units import duration_text
from nemorun_cli.scheduler.early_queue import Rules
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.spec import Identity, Spec, Task
    from nemorun_cli.spec.compose.executor_files import ExecutorOrigin
    from nemorun_cli.storage.paths import Home

PLAN_FORMAT: Final = "exp.plan/1"
MOST_NAMED: Final = 5  # tasks that one line names


def document(
    spec: Spec, *, identity: Identity, home: Home, origins: Mapping[str, ExecutorOrigin]
) -> dict[str, Any]:
    """The document `exp.plan/1`: tasks in an order in which each comes after what it needs.

    The id is the one that the experiment would get at this moment; `origins` says where executors are
    described.
    """
    files = ExperimentFiles(Path(identity.directory))
    makers = {name: executors.make(name, options, {}) for name, options in _used(spec).items()}
    try:
        rules = Rules(spec, {name: executors.queue(one) for name, one in makers.items()})
        tasks = [
            _entry(task, spec, files, home, makers[task.executor]) | _early(task, rules)
            for task in in_order(spec)
        ]
    finally:
        for executor in makers.values():
            executor.close()
    return {
        "schema": PLAN_FORMAT,
        "id": identity.id,
        "name": spec.name,
        "directory": identity.directory,
        "run": asdict(spec.run),
        "params": spec.params,
        "plugins": [use.to_json() for use in spec.plugins],
        "executors": places(spec, origins),
        "packages": [package.to_json() for package in spec.packages],
        "tasks": tasks,
    }


def places(spec: Spec, origins: Mapping[str, ExecutorOrigin]) -> list[dict[str, Any]]:
    """The executors that tasks use, each with the file that describes it."""
    return [
        {
            "name": name,
            "type": options.get("type", name),
            "origin": origins[name].word,
            "file": origins[name].file,
        }
        for name, options in _used(spec).items()
    ]


def place_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same for people, less what needs no file."""
    return [
        f"executor {one['name']}: {one['type']}, of the {one['origin']}, described in {one['file']}"
        for one in found
        if one["file"] is not None
    ]


def in_order(spec: Spec) -> list[Task]:
    """The tasks, each behind those it depends on, and otherwise in the order of the spec."""
    by_id = {task.id: task for task in spec.tasks}
    everything = [task.id for task in spec.tasks if task.handler is None]
    sorter = graphlib.TopologicalSorter(
        {task.id: task.dependencies if task.handler is None else everything for task in spec.tasks}
    )
    sorter.prepare()
    ordered: list[Task] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        ordered += sorted((by_id[name] for name in ready), key=lambda task: task.index)
        sorter.done(*ready)
    return ordered


def _used(spec: Spec) -> dict[str, dict[str, Any]]:
    return {task.executor: spec.executors.get(task.executor, {}) for task in spec.tasks}


def _entry(
    task: Task, spec: Spec, files: ExperimentFiles, home: Home, executor: executors.Executor
) -> dict[str, Any]:
    made = executor.plan(planning.make(task, spec=spec, files=files, attempt=1, home=home.directory))
    return {
        "id": task.id,
        "index": task.index,
        "group": task.group,
        "kind": task.kind,
        "executor": task.executor,
        "type": spec.executors.get(task.executor, {}).get("type", task.executor),
        "dependencies": list(task.dependencies),
        "dependency_type": task.dependency_type,
        "when": task.when,
        "argv": list(made.argv),
        "workdir": made.workdir,
        "env": {**made.env, **dict.fromkeys(made.secrets, MASK)},
        "env_inherit": made.env_inherit if isinstance(made.env_inherit, str) else list(made.env_inherit),
        "secrets": list(made.secrets),
        "script": made.script if made.script is not None else _source(task),
        "call": json.loads(made.call) if made.call else None,
        "resources": task.resources.to_json(),
        "timeout": made.timeout,
        "retry": asdict(task.retry),
        "late": list(task.late),
        "handler": task.handler,
        "details": made.details,
    }


def _source(task: Task) -> str | None:
    """The text of a script that is a file of its own."""
    if task.kind != "script":
        return None
    try:
        return Path(str(task.body)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def lines(plans: dict[str, Any]) -> list[str]:
    """The same for people."""
    found = [f"{plans['name']}: {len(plans['tasks'])} task(s); nothing is created"]
    found += [*place_lines(plans["executors"]), ""]
    if plans["plugins"]:
        found += ["plugins", *(f"   {_plugin_text(use)}" for use in plans["plugins"]), ""]
    for package in plans["packages"]:
        found += [
            "would ship",
            *(f"   {line}" for line in code_package.lines(Package.from_json(package))),
            "",
        ]
    for number, task in enumerate(plans["tasks"], start=1):
        found += [*_task_lines(number, task), ""]
    return found[:-1]


def _task_lines(number: int, task: dict[str, Any]) -> list[str]:
    needs = ", ".join(task["dependencies"])
    retry = task["retry"]["limit"]
    fields = [
        (
            "executor",
            f"{task['executor']}" + (f" ({task['type']})" if task["type"] != task["executor"] else ""),
        ),
        ("needs", f"{needs} ({task['dependency_type']})" if needs else ""),
        ("runs", f"when all tasks are over ({task['handler']})" if task["handler"] else ""),
        ("early", _early_text(task["queued_early"]) if task["queued_early"] else ""),
        ("when", "" if task["when"] is None else str(task["when"])),
        ("command", shlex.join(task["argv"])),
        ("in", task["workdir"]),
        ("call", f"{task['call']['target']}({_arguments(task['call']['args'])})" if task["call"] else ""),
        ("asks for", str(Resources.from_json(task["resources"])) if task["resources"] else ""),
        ("timeout", duration_text(task["timeout"]) if task["timeout"] is not None else ""),
        ("retries", str(retry) if retry else ""),
        ("inherits", "" if task["env_inherit"] == "all" else str(task["env_inherit"])),
        ("later", f"filled in when what it needs is over: {', '.join(task['late'])}" if task["late"] else ""),
    ]
    found = [f"{number}. {task['id']}", *(f"   {label + ':':<10}{text}" for label, text in fields if text)]
    found += [f"   {'env:':<10}{name}={shlex.quote(value)}" for name, value in task["env"].items()]
    found += [f"   {key + ':':<10}{_detail_text(value)}" for key, value in task["details"].items()]
    if task["script"] is not None:
        found += ["   script:", *(f"     | {line}" for line in task["script"].splitlines())]
    return found


def _detail_text(value: Any) -> str:
    """What an executor adds to a plan: a text, an argument list as a shell would read it, or else JSON."""
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return shlex.join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _early(task: Task, rules: Rules) -> dict[str, Any]:
    behind, after = rules.upstream(task)
    return {"queued_early": {"behind": behind, "after": after} if behind else None}


def _early_text(queued: dict[str, list[str]]) -> str:
    """Whom a task waits for in its engine's own queue."""
    text = f"queued early behind {_named(queued['behind'])}"
    return f"{text}, once {_named(queued['after'])} is over" if queued["after"] else text


def _named(names: list[str]) -> str:
    """Some of the names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _plugin_text(use: dict[str, Any]) -> str:
    whose = "" if use["tasks"] is None else f" for {len(use['tasks'])} task(s)"
    return f"{use['uses']}{whose}{', hears of events' if use['hears'] else ''}"


def _arguments(args: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in args.items())
