"""Makes the plan of an attempt: what exactly runs. Has no effects."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.plan import Plan
from nemorun_cli.model.python_environment import kind_of
from nemorun_cli.model.spec import DEFAULT_STOP_SIGNAL, STRICT_BASH
from nemorun_cli.storage.paths import Home, script_copy
from nemorun_cli.system import user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.executors.member_hosts import MemberHosts
    from nemorun_cli.model.python_environment import Kind
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles

RUN_PARTIAL: Final = Path(__file__).with_name("run_partial.py")  # copied too, for partials
ACTIVATE: Final = Path(__file__).with_name("activate.sh")  # copied too, for tasks with a Python environment
SHELL: Final = "/bin/sh"

# The output of Python appears in the log when it is written, as in a terminal, and survives a kill.
DEFAULTS: Final[Mapping[str, str]] = MappingProxyType({"PYTHONUNBUFFERED": "1"})

TRACKING_URL: Final = "EXP_TRACKING_URL"  # the server to which a task's supervisor sends its records

_user = cache(user.name)  # asked for each task

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def make(
    task: Task,
    *,
    spec: Spec,
    files: ExperimentFiles,
    attempt: int,
    home: Path,
    hosts: MemberHosts,
    variables: Mapping[str, str] = _NOTHING,
    tries: int = 0,
) -> Plan:
    """The plan of an attempt at a task with all expressions resolved, with `variables` in its environment.

    `tries` is how many retries precede it.
    """
    group = next((group for group in spec.groups if group.together and group.id == task.group), None)
    own = files.attempt(task.id, attempt)
    peers = hosts.of(task)
    package = spec.package(task)
    argv, script, call = _command(task, spec, files, own)
    if task.launcher:
        from nemorun_cli.executors import launchers  # noqa: PLC0415 - only for tasks that have one

        options = spec.executors.get(task.executor, {})
        setting = launchers.LaunchSetting(executor=options, gpus=task.resources.gpus)
        argv = launchers.launched(argv, task.launcher, setting)
    argv = (*task.prefix, *argv)
    if task.python is not None:
        kind, place = environment_of(task.python, home)
        argv = (SHELL, str(files.activate), kind, place, *argv)
    return Plan(
        experiment=files.id,
        task=task.id,
        attempt=attempt,
        executor=task.executor,
        kind=task.kind,
        argv=argv,
        workdir=package.workdir(task.workdir, folder=spec.folder) if package else task.workdir,
        folder=spec.folder,
        env={
            **DEFAULTS,
            **task.env,
            **_shared_environment(files, spec.name, prefix(spec, files.id), dash_root(spec, home), home),
            **({} if spec.server is None else {TRACKING_URL: spec.server}),
            "EXP_TASK": task.id,
            "EXP_TASK_DIR": str(own.directory.parent),
            "EXP_ATTEMPT": str(attempt),
            "EXP_OUTPUT": str(own.outputs),
            **({} if task.stop_signal == DEFAULT_STOP_SIGNAL else {"EXP_STOP_SIGNAL": task.stop_signal}),
            **({"EXP_COMMIT": package.commit} if package and package.commit else {}),
            **peers.variables,
            **variables,
        },
        defaults=tuple(name for name in DEFAULTS if name not in task.env and name not in task.secrets),
        env_inherit=task.env_inherit,
        secrets=task.secrets,
        script=script,
        records_failed_line=script is not None and task.entrypoint == STRICT_BASH,
        call=json.dumps(call) if call else None,
        partial=(call["target"], call["args"]) if call and _is_plain(task) else None,
        python=task.python,
        package=package,
        stderr_to_stdout=task.stderr_to_stdout,
        artifacts=task.artifacts,
        resources=task.resources,
        timeout=task.timeout,
        stop_signal=task.stop_signal,
        stop_grace=task.stop_grace,
        company=group.id if group is not None else None,
        ends_company=_ends(task, group, tries) if group is not None and group.has_leader else None,
        peers=dict(peers.names),
        aliases=peers.aliases,
        sampling=spec.sampling,
    )


def environment_of(python: Mapping[str, Any], home: Path) -> tuple[Kind, str]:
    """The kind and the folder of the Python environment of a task; one that is made is in the home."""
    kind = kind_of(python)
    if kind == "uv":
        return kind, str(Home(home).environments / python["environment"])
    return kind, str(python[kind])


def _is_plain(task: Task) -> bool:
    """Whether a partial can be called in any process: nothing starts it, and it has no Python of its own."""
    return not (task.launcher or task.prefix or task.python)


def _ends(task: Task, group: Group, tries: int) -> tuple[str, ...]:
    """The kinds of end of an attempt with which a group ends, if it was retried so often before.

    For the engine, a task fails that is stopped because a metric has reached its target.
    """
    is_fatal = (
        not task.stop and tries >= task.retry.limit and (group.leader == task.id or not task.allow_failure)
    )
    return ("success",) * group.may_lead(task.id) + ("failure",) * is_fatal


def prefix(spec: Spec, experiment_id: str) -> str:
    """The tracking prefix of the experiment."""
    return spec.prefix or f"{_user()}/{spec.name}/{experiment_id}"


def dash_root(spec: Spec, home: Path) -> Path:
    """The folder of the experiment's records; of a server's copy, the server's root."""
    is_replica, root = _default_dash_root(home)
    path = spec.tracking.get("dash_root")
    return root if is_replica or not path else Path(spec.folder, path)


@cache
def _default_dash_root(home: Path) -> tuple[bool, Path]:
    """Whether a home is a server's copy, and where records are by default."""
    own = Home(home)
    return own.is_replica, own.root_of_replicas if own.is_replica else home / "dash"


def _command(
    task: Task, spec: Spec, files: ExperimentFiles, own: AttemptFiles
) -> tuple[tuple[str, ...], str | None, dict[str, Any] | None]:
    body, args = task.body, task.args
    if task.kind == "partial":
        call = {"target": body, "args": dict(args) if isinstance(args, dict) else {}}
        if folder := _folder_of_modules(task, spec):
            call["folder"] = folder
        return (*task.entrypoint, str(files.partial), str(own.call)), None, call
    arguments = tuple(str(value) for value in args)
    if task.kind == "command":
        return (*body, *arguments), None, None
    text = str(body)
    if task.kind == "inline":
        return (*task.entrypoint, str(own.script), *arguments), text, None
    return (*task.entrypoint, _script(task, spec, files), *arguments), None, None


def _folder_of_modules(task: Task, spec: Spec) -> str | None:
    """The folder of the spec as the task has it, if that is not its workdir: it is searched for modules."""
    package = spec.package(task)
    if package is None:
        return spec.folder if task.workdir != spec.folder else None
    folder = package.shipped(spec.folder, folder=spec.folder)
    return folder if folder != package.workdir(task.workdir, folder=spec.folder) else None


def _script(task: Task, spec: Spec, files: ExperimentFiles) -> str:
    """The path of the script to run: in its shipped package, or a copy of the script alone."""
    source, package = str(task.body), spec.package(task)
    if package is not None and source in package.scripts:
        return package.shipped(source, folder=spec.folder)
    return str(script_copy(source, files))


@lru_cache(maxsize=4)
def _shared_environment(
    files: ExperimentFiles, name: str, tracked: str, records: Path, home: Path
) -> dict[str, str]:
    """The environment variables that all tasks of an experiment share."""
    return {
        "EXP_ID": files.id,
        "EXP_NAME": name,
        "EXP_DIR": str(files.directory),
        "EXP_SHARED": str(files.shared),
        "NEMORUN_HOME": str(home),
        "EXP_PREFIX": tracked,
        "EXP_DASH_ROOT": str(records),
    }
