"""The plan of a run without running it: every task's plan, with secrets by name only."""

from __future__ import annotations

import graphlib
import json
import os
import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli import executors
from nemorun_cli.executors import planning
from nemorun_cli.executors.member_hosts import MemberHosts
from nemorun_cli.model import code_package, python_environment
from nemorun_cli.model.code_package import Package
from nemorun_cli.model.masking import MASK
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.search import id_of_trial
from nemorun_cli.model.units import duration_text
from nemorun_cli.packagers.environments import store
from nemorun_cli.scheduler.early_queue import Rules
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system.files import read_bytes
from nemorun_cli.views.reports import search_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.json_documents import (
        PlanDocument,
        PlanTaskCacheFields,
        PlanTaskFields,
        PlanTaskQueuedEarlyFields,
        UsedPluginFields,
    )
    from nemorun_cli.model.problems import Problem
    from nemorun_cli.model.spec import Identity, Spec, Task
    from nemorun_cli.spec.compose.executor_files import ExecutorOrigin
    from nemorun_cli.storage.paths import Home

PLAN_FORMAT: Final = "exp.plan/1"
LARGEST_SCRIPT: Final = 1 << 24  # bytes of a script that is shown
MOST_NAMED: Final = 5  # tasks that one line names
LABEL: Final = 10  # columns of a label
INDENT: Final = 3  # columns before it


def document(
    spec: Spec,
    *,
    identity: Identity,
    home: Home,
    origins: Mapping[str, ExecutorOrigin],
    warnings: Sequence[Problem] = (),
) -> PlanDocument:
    """The document `exp.plan/1`, with each task after its dependencies.

    The id is the one that the experiment would get now; `origins` names the file that describes each
    executor, and `warnings` are those about the spec.
    """
    files = ExperimentFiles(Path(identity.directory))
    by_name = {name: executors.make(name, options, {}) for name, options in _used(spec).items()}
    try:
        queues = {
            name: executors.queue(name, options, by_name[name]) for name, options in _used(spec).items()
        }
        rules, hosts = Rules(spec, queues), MemberHosts(spec, files)
        reused = _reused(spec, identity, home)
        tasks = [
            _entry(task, spec, files, home, by_name[task.executor], hosts=hosts)
            | _early(task, rules)
            | {"reuse": reused.get(task.id)}
            for task in in_order(spec)
        ]
    finally:
        for executor in by_name.values():
            executor.close()
    return cast(
        "PlanDocument",
        {
            "schema": PLAN_FORMAT,
            "id": identity.id,
            "name": spec.name,
            "directory": identity.directory,
            "run": asdict(spec.run),
            "params": spec.params,
            "searches": search_summary.entries(spec.groups),
            "best": [
                {"group": group.id, **asdict(group.best)} for group in spec.groups if group.best is not None
            ],
            "plugins": [use.to_json() for use in spec.plugins],
            "executors": places(spec, origins),
            "packages": [package.to_json() for package in spec.packages],
            "python_environments": [
                {
                    "id": each.id,
                    "text": each.text,
                    "folder": None if each.host else str(home.environments / each.id),
                    "is_made": store.manifest(home, each.id) is not None,
                }
                for each in spec.environments
            ],
            "warnings": [warning.to_json() for warning in warnings],
            "tasks": tasks,
        },
    )


def _reused(spec: Spec, identity: Identity, home: Home) -> dict[str, dict[str, Any]]:
    """By task with `cache`, whether it would get an earlier result."""
    if not any(task.cache is not None for task in spec.tasks):
        return {}
    from nemorun_cli.views.reports.reuse_preview import ReusePreviews  # noqa: PLC0415 - few specs have `cache`

    capabilities = {name: executors.capabilities(name, options) for name, options in _used(spec).items()}
    with ReusePreviews(spec, identity, home, capabilities.__getitem__) as previews:
        found = {task.id: previews.of_task(task) for task in in_order(spec)}
    return {name: preview.to_json() for name, preview in found.items() if preview is not None}


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


def place_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The entries of `places` as lines for people, without executors that need no file."""
    return [
        f"executor {entry['name']}: {entry['type']}, of the {entry['origin']}, described in {entry['file']}"
        for entry in entries
        if entry["file"] is not None
    ]


def in_order(spec: Spec) -> list[Task]:
    """The tasks, each after its dependencies, and otherwise in the order of the spec."""
    by_id = {task.id: task for task in spec.tasks}
    before_handlers = [task.id for task in spec.tasks if task.handler is None]
    sorter = graphlib.TopologicalSorter(
        {task.id: task.dependencies if task.handler is None else before_handlers for task in spec.tasks}
    )
    sorter.prepare()
    ordered: list[Task] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        ordered += sorted((by_id[name] for name in ready), key=lambda task: task.index)
        sorter.done(*ready)
    return ordered


def _used(spec: Spec) -> dict[str, dict[str, Any]]:
    return {task.executor: spec.executors.get(task.executor, {}) for task in spec.possible_tasks}


def _entry(
    task: Task,
    spec: Spec,
    files: ExperimentFiles,
    home: Home,
    executor: executors.Executor,
    *,
    hosts: MemberHosts,
) -> dict[str, Any]:
    task_plan = executor.plan(
        planning.make(task, spec=spec, files=files, attempt=1, home=home.directory, hosts=hosts)
    )
    return {
        "id": task.id,
        "index": task.index,
        "group": task.group,
        "kind": task.kind,
        "executor": task.executor,
        "type": spec.executors.get(task.executor, {}).get("type", task.executor),
        "dependencies": list(task.dependencies),
        "external": [each.text for each in spec.external if each.key in task.external],
        "dependency_type": task.dependency_type,
        "when": task.when,
        "python": task.python,
        "argv": list(task_plan.argv),
        "workdir": task_plan.workdir,
        "env": {**task_plan.env, **dict.fromkeys(task_plan.secrets, MASK)},
        "env_inherit": task_plan.env_inherit
        if isinstance(task_plan.env_inherit, str)
        else list(task_plan.env_inherit),
        "secrets": list(task_plan.secrets),
        "script": task_plan.script if task_plan.script is not None else _source(task, Path(spec.folder)),
        "call": json.loads(task_plan.call) if task_plan.call else None,
        "resources": task.resources.to_json(),
        "timeout": task_plan.timeout,
        "retry": asdict(task.retry),
        "stop": [{**asdict(rule), "text": rule.text} for rule in task.stop],
        "cache": None if task.cache is None else {k: list(v) for k, v in asdict(task.cache).items()},
        "late": list(task.late),
        "searched": task.searched,
        "handler": task.handler,
        "details": task_plan.details,
    }


def _source(task: Task, folder: Path) -> str | None:
    """The text of a `script` task's file; None for one that may be no script: a spec can name any file."""
    if task.kind != "script":
        return None
    path = Path(str(task.body))
    try:
        data = read_bytes(path, limit=LARGEST_SCRIPT)
        is_script = (
            data.startswith(b"#!")
            or os.access(path, os.X_OK)
            or path.resolve().is_relative_to(folder.resolve())
        )
    except OSError:
        return None
    return data.decode(errors="replace") if is_script else None


def lines(plans: PlanDocument) -> list[str]:
    """The document as lines for people."""
    text = [f"{plans['name']}: {len(plans['tasks'])} task(s); nothing is created"]
    text += [*place_lines(plans["executors"]), ""]
    searches = plans.get("searches", [])
    if searches:
        text += [*search_summary.lines(searches), ""]
    text += _best_lines(plans)
    if plans["plugins"]:
        text += ["plugins", *(f"   {_plugin_text(use)}" for use in plans["plugins"]), ""]
    for package in plans["packages"]:
        text += [
            "would ship",
            *(f"   {line}" for line in code_package.lines(Package.from_json(package))),
            "",
        ]
    for environment in plans["python_environments"]:
        state = "exists" if environment["is_made"] else "would be made"
        folder = environment["folder"]
        place = f"{state} in {folder}" if folder else "would be made there unless it exists"
        text += [f"{environment['text']}: {place}", ""]
    trials = {entry["id"]: entry["trials"] for entry in searches}
    first: dict[str, str] = {}  # by search, its first trial, which stands for all
    for number, task in enumerate(plans["tasks"], start=1):
        group = task["group"] or ""
        if group in trials and first.setdefault(group, id_of_trial(task["id"])) != id_of_trial(task["id"]):
            continue  # trials differ in their values alone
        text += [*_task_lines(number, task, trials), ""]
    return text[:-1]


def _best_lines(plans: PlanDocument) -> list[str]:
    """By what the best members are chosen, without searches that choose by their own goal."""
    own = [(entry["id"], entry["goals"]) for entry in plans.get("searches", [])]
    chosen = [
        f"best of {entry['group']}: {entry['goal']} {entry['metric']}"
        for entry in plans.get("best", [])
        if (entry["group"], [{"metric": entry["metric"], "goal": entry["goal"]}]) not in own
    ]
    return [*chosen, ""] if chosen else []


def _task_lines(number: int, task: PlanTaskFields, trials: Mapping[str, int]) -> list[str]:
    needs = ", ".join(_with_trials_as_one(task["dependencies"], trials))
    count = trials.get(task["group"] or "", 1)
    known = "its trial has values" if task["group"] in trials else "its dependencies finish"
    by_values = {pointer.split("/")[1] for pointer in task.get("searched", {})}
    dependency_type = "by values" if "dependency_type" in by_values else task["dependency_type"]
    fields = [
        (
            "executor",
            f"{task['executor']}" + (f" ({task['type']})" if task["type"] != task["executor"] else ""),
        ),
        ("needs", f"{needs} ({dependency_type})" if needs else ""),
        ("runs", f"when all tasks are finished ({task['handler']})" if task["handler"] else ""),
        ("early", _early_text(task["queued_early"]) if task["queued_early"] else ""),
        ("when", "" if task["when"] is None else str(task["when"])),
        ("python", python_environment.text_of(task["python"]) if task["python"] else ""),
        ("command", shlex.join(task["argv"])),
        ("in", task["workdir"]),
        ("call", f"{task['call']['target']}({_arguments(task['call']['args'])})" if task["call"] else ""),
        *_limits(task),
        *(("values", f"{pointer[1:]}: {text}") for pointer, text in task.get("searched", {}).items()),
        ("reused", _cache_text(task["cache"]) if task["cache"] is not None else ""),
        ("now", reuse["message"] if (reuse := task.get("reuse")) else ""),
        ("inherits", "" if task["env_inherit"] == "all" else str(task["env_inherit"])),
        (
            "later",
            f"filled in after {known}: {', '.join(task['late'])}" if task["late"] else "",
        ),
    ]
    text = [
        f"{number}. {task['id']}" + (f" and {count - 1} more like it" if count > 1 else ""),
        *(
            f"   {label + ':':<{LABEL}}{value}"
            for label, value in fields
            if value and _BY_VALUES.get(label) not in by_values
        ),
    ]
    text += [f"   {'env:':<{LABEL}}{name}={shlex.quote(value)}" for name, value in task["env"].items()]
    text += [f"   {key + ':':<{LABEL}}{_detail_text(value)}" for key, value in task["details"].items()]
    if task["script"] is not None:
        text += ["   script:", *(f"     | {line}" for line in task["script"].splitlines())]
    return text


_BY_VALUES: Final = {"executor": "executor", "python": "python", "inherits": "env_inherit"}  # shown as texts


def _limits(task: PlanTaskFields) -> Iterator[tuple[str, str]]:
    """What a task requests, and what ends it; without what the values of a trial decide."""
    by_values = {pointer.split("/")[1] for pointer in task.get("searched", {})}
    timeout, retry = task["timeout"], task["retry"]["limit"]
    limits = {
        "resources": ("asks for", str(Resources.from_json(task["resources"])) if task["resources"] else ""),
        "timeout": ("timeout", duration_text(timeout) if timeout is not None else ""),
        "retry": ("retries", str(retry) if retry else ""),
        "stop": ("stops by", "; ".join(rule["text"] for rule in task["stop"])),
    }
    return (field for key, field in limits.items() if key not in by_values)


def _cache_text(rule: PlanTaskCacheFields) -> str:
    """What decides whether an earlier result is used, and which files are then restored."""
    counted = [
        ", ".join(rule["inputs"]),
        ", ".join(f"${name}" for name in rule["env"]),
        "also " + json.dumps(rule["also"], ensure_ascii=False) if rule["also"] else "",
    ]
    text = "if nothing changed"
    if named := ", ".join(filter(None, counted)):
        text += f", {named} included"
    return f"{text}; with {', '.join(rule['outputs'])}" if rule["outputs"] else text


def _with_trials_as_one(ids: Sequence[str], trials: Mapping[str, int]) -> Sequence[str]:
    """The ids of tasks, with the search in place of all its trials."""
    if not trials:
        return ids
    counts = Counter(task.partition("/")[0] for task in ids)
    names = {
        name: f"{name} ({count} trials)"
        for name, count in trials.items()
        if counts[name] and counts[name] % count == 0
    }
    return list(dict.fromkeys(names.get(task.partition("/")[0], task) for task in ids))


def _detail_text(value: Any) -> str:
    """A detail that an executor adds to a plan: text, an argument list quoted for a shell, or JSON."""
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return shlex.join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _early(task: Task, rules: Rules) -> dict[str, Any]:
    behind, after = rules.upstream(task)
    return {"queued_early": {"behind": behind, "after": after} if behind else None}


def _early_text(queued: PlanTaskQueuedEarlyFields) -> str:
    """The tasks that a task waits for in the backend's queue."""
    text = f"queued early, with a dependency on {_named(queued['behind'])}"
    return f"{text}, once {_named(queued['after'])} has finished" if queued["after"] else text


def _named(names: list[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _plugin_text(use: UsedPluginFields) -> str:
    scope = "" if use["tasks"] is None else f" for {len(use['tasks'])} task(s)"
    return f"{use['uses']}{scope}{', listens to events' if use['hears'] else ''}"


def _arguments(args: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in args.items())
