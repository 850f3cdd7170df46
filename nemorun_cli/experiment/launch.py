"""Starts experiments: from a spec to a supervisor that has begun."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from nemorun_cli.errors import RunningError, UsageError
from nemorun_cli.executors import ask_engines
from nemorun_cli.experiment.run import Run, find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.spec.document import Document
    from nemorun_cli.supervisor.client import SupervisorHandle


IfRunning = Literal["fail", "skip", "replace"]


def run(
    spec: Path | str | Mapping[str, Any],
    *,
    params: Mapping[str, Any] | Sequence[str] = (),
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    key: str | None = None,
    if_running: IfRunning | None = None,
    home: Home | None = None,
    plugins: Sequence[object] = (),
) -> Run:
    """Start an experiment in a supervisor of its own and return as soon as that has begun.

    Args:
        spec: a spec file, or the same as a mapping.
        params: values for the spec's `params`, by name or as texts `name=value`.
        sets: changes to any field, as texts `path.to.key=value`.
        only: the tasks to run, alone.
        options: what to use instead of fields of the spec's `run` section.
        key: names the logical run.
        if_running: what to do when one with the same key (or name) is not over: `fail` (the default
            with a key), `skip` (return that one) or `replace` it.
        home: instead of `$NEMORUN_HOME`.
        plugins: besides those of the spec, made already or as `{"uses": …, "with": …}`.

    Raises:
        SpecError: with all problems of the spec, a missing secret included.
        UsageError: a plugin raised.
        EngineError: an engine that it needs is absent, down or refuses.
        RunningError: `if_running` is `fail`, and one is running.
    """
    from nemorun_cli import executors  # noqa: PLC0415 - heavy, and only for starting
    from nemorun_cli.spec import load  # noqa: PLC0415 - the same
    from nemorun_cli.supervisor import client  # noqa: PLC0415 - the same

    home = home or Home.from_environment()
    supervisor = client.SupervisorHandle()  # it gets ready while the spec is being checked
    try:
        texts = (
            [f"{name}={json.dumps(value)}" for name, value in params.items()]
            if isinstance(params, dict)
            else list(params)
        )
        document = load.read(
            spec,
            params=texts,
            sets=[*sets, *(f"run.{name}={json.dumps(value)}" for name, value in (options or {}).items())],
            only=only,
            executors=executors.known(ask=True),
            home=home,
        )
        if plugins:
            from nemorun_cli.experiment import plugin_changes  # noqa: PLC0415 - only where there are some

            document = replace(document, plugins=plugin_changes.given(plugins))
        return launch(document, supervisor=supervisor, home=home, key=key, if_running=if_running)
    except BaseException:
        supervisor.abandon()
        raise


def launch(
    document: Document,
    *,
    supervisor: SupervisorHandle,
    home: Home,
    key: str | None = None,
    if_running: IfRunning | None = None,
) -> Run:
    """Create the experiment of a document and hand it to a supervisor; see `run`."""
    from nemorun_cli.experiment import create  # noqa: PLC0415 - only for starting
    from nemorun_cli.spec import secret_values  # noqa: PLC0415 - the same
    from nemorun_cli.storage import requests, run_keys  # noqa: PLC0415 - the same

    identity = create.tentative(document, home)
    spec = create.resolve(document, identity)
    values = secret_values.resolve(spec, document)
    ask_engines(spec)
    if key == "":
        raise UsageError("the key is empty", hint="is a variable of the script unset?")
    policy = if_running or ("fail" if key else None)
    with run_keys.hold(home, key=key, name=document.name) if policy else contextlib.nullcontext() as holding:
        if holding and (running := [one for one in holding.ids() if _is_running(one, home)]):
            present = find(running[-1], home=home)
            if policy == "fail":
                raise RunningError(f"{present.id} is running", hint=f"see it with: exp status {present.id}")
            if policy == "skip":
                supervisor.abandon()
                return present
            if running and any(task.packager for task in spec.tasks):
                from nemorun_cli.experiment import ship  # noqa: PLC0415 - only for who ships

                ship.look(spec, document, home)  # what forbids it is told before anything is ended
            for one in running:
                replaced = find(one, home=home)
                replaced.cancel()
                replaced.wait()  # for its handlers, which may clean up what the new one needs
        files, spec = create.create(document, spec, identity, home=home, by=requests.who(), key=key)
        if holding:
            holding.add(files.id)
        supervisor.go(files, home=home.directory, secrets=values)
    return Run(files, home, set(values.values()))


def _is_running(experiment_id: str, home: Home) -> bool:
    files = home.experiment(experiment_id)
    return files is not None and Run(files, home).status().status is ExperimentStatus.RUNNING
