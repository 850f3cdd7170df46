"""The forms of the fields of `resolved.json`: readers use nothing of it that has not been checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import forms, remote_host
from nemorun_cli.model.forms import (
    AMOUNT,
    ATTEMPT,
    COUNT,
    FLAG,
    ID,
    IDS,
    LIST,
    NAME,
    NAMED_TEXTS,
    OBJECT,
    PATH,
    PATHS,
    TEXT,
    TEXTS,
    Form,
    flaws,
    list_of,
    matching,
    record,
)
from nemorun_cli.model.search import PRUNERS, SAMPLERS, ParamKind
from nemorun_cli.model.spec import UNTIL_ALL, UNTIL_ANY, is_secret
from nemorun_cli.storage.task_entries import TaskEntries
from nemorun_cli.storage.task_forms import ENVIRONMENT_ID, GOALS, KEYS, OPTIONAL_TEXT, TASK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_FLOAT: Final = Form(forms.is_float, "a number")  # the ends of a range can be large
PARAM: Final[Mapping[str, Form]] = {
    "name": TEXT,
    "kind": Form(lambda value: value in tuple(ParamKind), "float, int or choices"),
    "low": _FLOAT | None,
    "high": _FLOAT | None,
    "step": _FLOAT | None,
    "log": FLAG,
    "choices": LIST,
    "when": OPTIONAL_TEXT,
}

SEARCH: Final[Mapping[str, Form]] = {
    "params": list_of(record(PARAM, "a param of a search", required=("name", "kind")), "a list of params"),
    "metrics": TEXTS,
    "goals": list_of(Form(lambda value: value in GOALS, "minimize or maximize"), "a list of goals"),
    "trials": COUNT,
    "timeout": AMOUNT | None,
    "sampler": Form(lambda value: value in SAMPLERS, "a sampler"),
    "seed": COUNT,
    "pruner": Form(lambda value: value in PRUNERS, "a pruner") | None,
    "pruner_options": OBJECT,
    "start_with": list_of(OBJECT, "a list of objects"),
}

GROUP: Final[Mapping[str, Form]] = {
    "id": ID,
    "members": IDS,
    "fail_fast": FLAG,
    "together": FLAG,
    "until": ID,
    "description": OPTIONAL_TEXT,
    "axes": TEXTS,
    "max_parallel": COUNT | None,
    "max_failures": COUNT | None,
    "search": record(SEARCH, "an object about a search", required=("params", "metrics", "goals", "trials"))
    | None,
    "best": record(
        {"metric": TEXT, "goal": Form(lambda value: value in GOALS, "minimize or maximize")},
        "an object with a metric and a goal",
        required=("metric", "goal"),
    )
    | None,
}

RUN: Final[Mapping[str, Form]] = {
    "detach": FLAG,
    "sequential": FLAG,
    "tail_logs": FLAG,
    "direct": FLAG,
    "max_parallel": COUNT | None,
    "max_failures": COUNT | None,
    "timeout": AMOUNT | None,
    "cache": FLAG,
    "refresh": TEXTS,
}


def _are_options(value: Any) -> bool:
    """Whether it is an object whose secrets are all named by texts."""
    if not OBJECT.fits(value):
        return False
    pending = [value]
    for item in pending:
        if is_secret(item) and not isinstance(item["secret"], str):
            return False
        pending += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return True


PLUGIN: Final[Mapping[str, Form]] = {
    "uses": TEXT,
    "options": Form(_are_options, "an object of options"),
    "tasks": IDS | None,
    "place": KEYS,
    "hears": FLAG,
    "values": list_of(OBJECT, "a list of objects") | None,
}

PACKAGE: Final[Mapping[str, Form]] = {
    "packager": record({"type": TEXT}, "an object with a type", required=("type",)),
    "hash": TEXT,
    "store": PATH,
    "root": PATH | None,
    "place": PATH | None,
    "files": COUNT,
    "bytes": COUNT,
    "facts": OBJECT,
    "told": TEXT,
    "left_out": TEXTS,
    "scripts": PATHS,
}

ENVIRONMENT: Final[Mapping[str, Form]] = {
    "id": ENVIRONMENT_ID,
    "text": TEXT,
    "requirements": TEXTS,
    "constraints": TEXTS,
    "files": NAMED_TEXTS,
    "interpreter": PATH,
    "version": TEXT,
    "platform": TEXT,
    "folder": PATH,
    "host": matching(remote_host.HOST, "the name or address of a host") | None,
}

SECRET: Final[Mapping[str, Form]] = {
    "env": TEXT,
    "file": PATH,
    "env_file": PATH,
    "command": TEXT | TEXTS,
}

EXTERNAL: Final[Mapping[str, Form]] = {
    "key": TEXT,
    "alias": TEXT,
    "given": TEXT,
    "experiment": NAME | None,
    "task": ID | None,
    "slurm_job": matching(r"^[0-9]+(_[0-9]+)?(?![\s\S])", "the id of a job") | None,
    "executor": OPTIONAL_TEXT,
}

TUNNEL: Final[Mapping[str, Form]] = {
    "host": matching(remote_host.HOST, "the name or address of a host"),
    "user": matching(remote_host.USER, "the name of a user"),
    "port": Form(lambda value: type(value) is int and 0 < value <= remote_host.LARGEST_PORT, "a port"),
    "identity": matching(remote_host.IDENTITY, "the path of a key"),
    "artifacts": list_of(matching(remote_host.ARTIFACT, "a glob"), "a list of globs without .."),
    "job_dir": matching(remote_host.FOLDER, "the path of a remote folder"),
    "pre_command": TEXT,
}

SPEC: Final[Mapping[str, Form]] = {
    "name": NAME,
    "title": OPTIONAL_TEXT,
    "folder": PATH,
    "params": OBJECT,
    "env": NAMED_TEXTS,
    "description": OPTIONAL_TEXT,
    "tags": TEXTS,
    "bindrs": TEXTS,
    "prefix": Form(forms.is_inside, "the prefix of a record") | None,
    "tracking": record(
        {"dash_root": PATH, "dash_url": TEXT, "logs": FLAG, "spec": FLAG, "code": FLAG},
        "an object about tracking",
    ),
    "revision": ATTEMPT,
    "removed": IDS,
    "strict_inline": FLAG,
}


def problem(document: Mapping[str, Any], folder: Path) -> str | None:
    """Why a document cannot be the spec of the experiment in a folder; None if it can.

    Every reference is checked too: of two entries about a task, both have to exist.
    """
    return next(_problems(document, f"{folder}/code/"), None)


def _problems(document: Mapping[str, Any], code: str) -> Iterator[str]:
    yield from flaws(document, SPEC, required=("name", "folder", "tasks", "groups", "run"))
    yield from flaws(document["run"], RUN, place="run.")
    yield from _objects(document, "secrets", SECRET)
    yield from _entries(document, "plugins", PLUGIN, required=("uses",))
    yield from _entries(document, "external", EXTERNAL, required=("key",))
    package = {**PACKAGE, "folder": Form(lambda value: _is_in(value, code), f"a folder in {code}")}
    yield from _entries(document, "packages", package, required=(*PACKAGE.keys() - _DEFAULTS, "folder"))
    made = ENVIRONMENT.keys() - {"constraints", "files"}
    yield from _entries(document, "environments", ENVIRONMENT, required=tuple(made))
    yield from _executors(document)
    yield from _entries(document, "groups", GROUP, required=("id",))
    yield from _objects(document, "shared", TASK)
    entries = document["tasks"]
    if isinstance(entries, list):
        entries = TaskEntries.of(entries)
    elif not isinstance(entries, TaskEntries):
        yield f"tasks is {forms.shown(entries)}, not a list"
        return
    if entries.problem is not None:
        yield entries.problem
        return
    yield from _references(document, entries)


_DEFAULTS: Final = frozenset({"facts", "told", "left_out", "scripts"})  # a package may lack them


def _objects(document: Mapping[str, Any], key: str, fields: Mapping[str, Form]) -> Iterator[str]:
    """The problems of an object of objects."""
    values = document.get(key, {})
    if not isinstance(values, dict):
        yield f"{key} is {forms.shown(values)}, not an object"
        return
    for name, entry in values.items():
        yield from flaws(entry, fields, place=f"{key}.{name}.")


def _entries(
    document: Mapping[str, Any], key: str, fields: Mapping[str, Form], *, required: tuple[str, ...]
) -> Iterator[str]:
    """The problems of a list of objects."""
    values = document.get(key, [])
    if not isinstance(values, list):
        yield f"{key} is {forms.shown(values)}, not a list"
        return
    for index, entry in enumerate(values):
        yield from flaws(entry, fields, place=f"{key}[{index}].", required=required)


def _executors(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _objects(document, "executors", {"type": TEXT})
    for name, options in document.get("executors", {}).items():
        if not forms.is_shallow(options):
            yield f"executors.{name} is nested too deeply"
        if "tunnel" in options:
            place = f"executors.{name}.tunnel."
            yield from flaws(options["tunnel"], TUNNEL, place=place, required=("host", "job_dir"))


def _is_in(value: Any, folder: str) -> bool:
    return forms.is_path(value) and value.startswith(folder) and forms.is_inside(value[len(folder) :])


def _references(document: Mapping[str, Any], entries: TaskEntries) -> Iterator[str]:
    """The ids that are used twice, or that no entry defines."""
    groups, ids = document["groups"], set(entries.ids)
    names = {group["id"] for group in groups}
    keys = {each["key"] for each in document.get("external", ())}
    if len(ids) < len(entries) or len(names) < len(groups):
        yield "two of its tasks, or of its groups, have the same id"
    for index, group in enumerate(groups):
        yield from _unknown(group.get("members", ()), ids, f"groups[{index}].members")
        leader = {group["until"]} - {UNTIL_ALL, UNTIL_ANY} if "until" in group else ()
        yield from _unknown(leader, ids, f"groups[{index}].until")
    if max(entries.indices, default=0) >= len(entries) > 0:
        index, number = next(pair for pair in enumerate(entries.indices) if pair[1] >= len(entries))
        yield f"tasks[{index}].index is {number}, but there are {len(entries)} tasks"
    for index, task in entries.kept.items():
        if "dependencies" in task:
            yield from _unknown(task["dependencies"], ids, f"tasks[{index}].dependencies")
        if "external" in task:
            yield from _unknown(task["external"], keys, f"tasks[{index}].external")
        if task.get("group"):
            yield from _unknown((task["group"],), names, f"tasks[{index}].group")
    for name, common in document.get("shared", {}).items():
        yield from _unknown(common.get("dependencies", ()), ids, f"shared.{name}.dependencies")
        yield from _unknown(common.get("external", ()), keys, f"shared.{name}.external")
        yield from _unknown(filter(None, (common.get("group"),)), names, f"shared.{name}.group")

    yield from _circles(entries, document.get("shared", {}))


def _circles(entries: TaskEntries, shared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A task that waits for itself; all members of a sweep have one list, which is followed once."""
    ids_by_list: dict[int, list[str]] = {}
    lists: dict[int, Sequence[str]] = {}
    commons = {name: common.get("dependencies", ()) for name, common in shared.items()}
    for position, task_id in enumerate(entries.ids):
        needed = commons.get(task_id.partition("/")[0], ())
        if (task := entries.kept.get(position)) is not None:
            needed = task.get("dependencies", needed)
        lists[id(needed)] = needed
        ids_by_list.setdefault(id(needed), []).append(task_id)
    waiting = {key: len(set(needed)) for key, needed in lists.items()}
    keys_by_id: dict[str, list[int]] = {}
    for key, needed in lists.items():
        for name in set(needed):
            keys_by_id.setdefault(name, []).append(key)
    ready = [name for key, count in waiting.items() if not count for name in ids_by_list[key]]
    for name in ready:
        for key in keys_by_id.get(name, ()):
            waiting[key] -= 1
            if not waiting[key]:
                ready += ids_by_list[key]
    if len(ready) < len(entries):
        stuck = next(ids_by_list[key][0] for key, count in waiting.items() if count)
        yield f"dependencies of {forms.shown(stuck)} depend on each other"


def _unknown(used: Any, known: set[str], place: str) -> Iterator[str]:
    if missing := set(used) - known:
        yield f"{place} names {forms.shown(min(missing))}, which is not in it"
