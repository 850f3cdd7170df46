"""JSON documents about experiments that need more than their snapshot, for the commands and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli.executors import planning
from nemorun_cli.model import python_environment
from nemorun_cli.model.clock import seconds_between
from nemorun_cli.views import study_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.json_documents import ShowDocument
    from nemorun_cli.plugins.faults import Fault
    from nemorun_cli.views.reports.task_graph import TaskGraph
    from nemorun_cli.views.snapshot import Snapshot
    from nemorun_cli.views.timeline import PastAttempt

SHOW_FORMAT: Final = "exp.show/1"
SEARCH_FORMAT: Final = "exp.search/1"


def show(
    snapshot: Snapshot,
    past: Mapping[str, Sequence[PastAttempt]],
    steps: Sequence[Mapping[str, Any]],
    *,
    computes: bool = True,
) -> ShowDocument:
    """The document `exp.show/1`: the fields of `exp.status/1` plus the spec, all attempts and all steps.

    Args:
        snapshot: the state of the experiment.
        past: the attempts, by task.
        steps: the actions on the experiment.
        computes: whether the importances of the params of searches are computed.
    """
    created, finished = snapshot.history.created, snapshot.history.finished
    document = snapshot.to_json()
    tasks = [
        {**task, "attempts": [attempt.to_json() for attempt in past[task["id"]]]}
        for task in document["tasks"]
    ]
    begin, end = snapshot.history.started, finished["time"] if finished else snapshot.seen
    return cast(
        "ShowDocument",
        {
            **document,
            "schema": SHOW_FORMAT,
            "searches": study_document.of_experiment(snapshot, computes=computes),
            "tasks": tasks,
            "duration": round(seconds_between(begin, end), 3) if begin else None,
            "version": created.get("version"),
            "lineage": {
                "rerun_of": created.get("rerun_of"),
                "revision": snapshot.spec.revision,
                "removed": list(snapshot.spec.removed),
            },
            "params": snapshot.spec.params,
            "packages": [package.to_json() for package in snapshot.spec.packages],
            "python_environments": environments(snapshot),
            "environment": created.get("environment") or {},
            "spec": snapshot.spec.to_json(),
            "steps": list(steps),
            "plugins": [use.to_json() for use in snapshot.spec.plugins],
            "plugin_faults": [fault.to_json() for fault in plugin_faults(snapshot)],
            "files": own_files(snapshot),
        },
    )


def search(snapshot: Snapshot, *, computes: bool) -> dict[str, Any]:
    """The document `exp.search/1`: its searches as `exp.show/1` has them.

    Args:
        snapshot: the state of the experiment.
        computes: whether importances are computed.
    """
    return {
        "schema": SEARCH_FORMAT,
        "id": snapshot.files.id,
        "name": snapshot.spec.name,
        "status": snapshot.status,
        "searches": study_document.of_experiment(snapshot, computes=computes),
    }


def environments(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The Python environments of the tasks, with what is known of those on the machine of the supervisor."""
    entries: dict[str, dict[str, Any]] = {}
    for task in snapshot.tasks:
        if task.python is None:
            continue
        key = python_environment.key(task.python)
        if key not in entries:
            made, state = snapshot.spec.environment(task), snapshot.history.environments.get(key)
            kind, folder = planning.environment_of(task.python, snapshot.files.home)
            entries[key] = {
                "id": key,
                "kind": kind,
                "text": made.text if made is not None else python_environment.text_of(task.python),
                "folder": None if made is not None and made.host is not None else folder,
                "status": None if state is None else state.status or "MAKING",
                "message": None if state is None else state.message,
                "version": made.version if made is not None else state and state.version,
                "packages": {} if state is None else state.installed,
                "fingerprint": None if state is None else state.fingerprint,
                "tasks": [],
            }
        entries[key]["tasks"].append(task.id)
    return list(entries.values())


def plugin_faults(snapshot: Snapshot) -> list[Fault]:
    """The errors of the plugins that receive events."""
    if not snapshot.spec.plugins:
        return []
    from nemorun_cli.plugins import faults  # noqa: PLC0415 - only for specs with plugins

    return faults.faults(snapshot.files, snapshot.spec)


def own_files(snapshot: Snapshot) -> dict[str, str | None]:
    """The paths of the experiment's own files; None for those that do not exist."""
    files = snapshot.files
    known = {
        "spec": files.spec,
        "source": files.source,
        "resolved": files.resolved,
        "ledger": files.ledger,
        "supervisor_log": files.supervisor_log,
        "scripts": files.scripts,
    }
    return {name: str(path) if path.exists() else None for name, path in known.items()}


def graph(tasks: TaskGraph, snapshot: Snapshot | None) -> dict[str, Any]:
    """The document `exp.graph/1`; of a spec without an experiment, `id` and `status` are None."""
    identity = {
        "id": snapshot.files.id if snapshot else None,
        "status": snapshot.status if snapshot else None,
    }
    return {**tasks.to_json(), **identity}
