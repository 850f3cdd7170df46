"""Starts an experiment from a spec: checks it, creates it and hands it to a supervisor."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from nemorun_cli.errors import RunningError, UsageError
from nemorun_cli.executors import ask_engines
from nemorun_cli.experiment.run import Run, trusted
from nemorun_cli.model.status import ExperimentStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.supervisor.client import SupervisorHandle


IfRunning = Literal["fail", "skip", "replace"]


def run(
    spec: Path | str | Mapping[str, Any],
    *,
    arguments: Sequence[str] = (),
    params: Mapping[str, Any] | Sequence[str] = (),
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    key: str | None = None,
    if_running: IfRunning | None = None,
    home: Home | None = None,
    plugins: Sequence[object] = (),
) -> Run:
    """Start an experiment in its own supervisor and return as soon as that has started.

    Args:
        spec: a spec file, a Python program that builds a spec, or the content of a spec as a mapping.
        arguments: the arguments of a program, its `sys.argv[1:]`.
        params: values of the spec's `params`, by name or as texts `name=value`.
        sets: changes to any field, as texts `path.to.key=value`.
        only: the tasks to run; all others are left out.
        options: replacements for fields of the spec's `run` section.
        key: the name of the logical run.
        if_running: what to do if an experiment with the same key (or name) is running: `fail` (the default
            with a key), `skip` (return that one) or `replace` it.
        home: instead of `$NEMORUN_HOME`.
        plugins: in addition to those of the spec, as instances or as `{"uses": …, "with": …}`.

    Raises:
        SpecError: with all problems of the spec, a missing secret included.
        UsageError: a plugin or the program raised, arguments are given for a spec that is not a program, or
            another user could have changed the home.
        EngineError: an engine that it needs is missing, down or refuses the request.
        RunningError: `if_running` is `fail`, and an experiment is running.
    """
    from nemorun_cli import executors  # noqa: PLC0415 - slow to import, and only for starting
    from nemorun_cli.spec import load  # noqa: PLC0415 - the same
    from nemorun_cli.supervisor import client  # noqa: PLC0415 - the same

    home = trusted(home)
    supervisor = client.SupervisorHandle()  # it starts up while the spec is checked
    try:
        texts = (
            [f"{name}={json.dumps(value)}" for name, value in params.items()]
            if isinstance(params, dict)
            else list(params)
        )
        document = load.read(
            spec,
            arguments=arguments,
            params=texts,
            sets=[*sets, *(f"run.{name}={json.dumps(value)}" for name, value in (options or {}).items())],
            only=only,
            executors=executors.known(ask=True),
            home=home,
        )
        if plugins:
            from nemorun_cli.experiment import plugin_changes  # noqa: PLC0415 - only with plugins given in Python

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
    """Create the experiment of a document and hand it to a supervisor; see `run`.

    The steps are in order: each takes what the one before it returned.
    """
    from nemorun_cli.experiment import create  # noqa: PLC0415 - only for starting
    from nemorun_cli.spec import secret_values, secret_warnings  # noqa: PLC0415 - the same
    from nemorun_cli.storage import requests, run_keys  # noqa: PLC0415 - the same
    from nemorun_cli.supervisor.assignment import Assignment  # noqa: PLC0415 - the same

    if key == "":
        raise UsageError("the key is empty", hint="is a variable of the script unset?")
    policy = if_running or ("fail" if key else None)
    identity = create.tentative(document, home)
    spec = create.resolve(document, identity)
    secrets = secret_values.resolve(spec, document)
    secret_warnings.refuse_in_params(document, secrets)
    secret_warnings.refuse_in_key(key, secrets)
    ask_engines(spec)
    with run_keys.hold(home, key=key, name=document.name) if policy else contextlib.nullcontext() as holding:
        running = [Run(files, home) for files in _running(holding.ids(), home)] if holding else []
        if running and policy == "fail":
            existing = running[-1].id
            raise RunningError(f"{existing} is running", hint=f"see it with: exp status {existing}")
        if running and policy == "skip":
            supervisor.abandon()
            return running[-1]
        if running:
            _replace(running, document, spec, home)
        files, spec = create.create(
            document, spec, identity, home=home, by=requests.who(), key=key, secrets=secrets.values()
        )
        if holding:
            holding.add(files.id)
        supervisor.go(
            Assignment(
                directory=files.directory,
                home=home.directory,
                secrets=secrets,
                sources=secret_values.sources(spec, secrets),
            )
        )
    return Run(files, home, set(secrets.values()))


def _running(ids: Iterable[str], home: Home) -> Iterator[ExperimentFiles]:
    for experiment_id in ids:
        files = home.experiment(experiment_id)
        if files is not None and Run(files, home).status().status is ExperimentStatus.RUNNING:
            yield files


def _replace(running: Iterable[Run], document: Document, spec: Spec, home: Home) -> None:
    """Cancel running experiments, once it is certain that the new one can be created."""
    if any(task.packager for task in spec.tasks):
        from nemorun_cli.experiment import ship  # noqa: PLC0415 - only for specs with packagers

        ship.look(spec, document, home)  # reports problems before anything is cancelled
    for run in running:
        run.cancel()
        run.wait()  # for its handlers, which may clean up what the new experiment needs
