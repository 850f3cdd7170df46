"""Starts an experiment from Python, from a spec or from its document, and returns its handle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.experiment import start
from nemorun_cli.experiment.lookup import listed, trusted
from nemorun_cli.experiment.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from nemorun_cli.experiment.start import IfRunning
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.supervisor.client import SupervisorHandle


def run(
    spec: Path | str | Mapping[str, Any],
    *,
    arguments: Sequence[str] = (),
    params: Mapping[str, Any] | Sequence[str] = (),
    sets: Sequence[str] = (),
    sweep: Mapping[str, Any] | Sequence[str] = (),
    only: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    key: str | None = None,
    if_running: IfRunning | None = None,
    home: Home | str | PathLike[str] | None = None,
    plugins: Sequence[object] = (),
) -> Run:
    """Start an experiment in its own supervisor and return as soon as that has started.

    Args:
        spec: a spec file, a Python program that builds a spec, or the content of a spec as a mapping.
        arguments: the arguments of a program, its `sys.argv[1:]`.
        params: values of the spec's `params`, by name or as texts: `name=value`, or `@path` for a file.
        sets: changes to any field, as texts `path.to.key=value`.
        sweep: params that become axes of the tasks that use them: the values by name, or as texts as for
            `exp run --sweep`: `lr=0.1,0.01` or `seed=1..3`.
        only: the tasks to run; all others are left out.
        options: replacements for fields of the spec's `run` section.
        key: the name of the logical run.
        if_running: what to do if an experiment with the same key (or name) is running: `fail` (the default
            with a key), `skip` (return that one) or `replace` it.
        home: a folder, instead of `$NEMORUN_HOME`.
        plugins: in addition to those of the spec, as instances or as `{"uses": …, "with": …}`.

    Raises:
        SpecError: with all problems of the spec, a missing secret included.
        UsageError: a plugin or the program raised, arguments are given for a spec that is not a program, or
            another user could have changed the home.
        EngineError: an engine that it needs is missing, down or refuses the request.
        RunningError: `if_running` is `fail`, and an experiment is running.
    """
    home = trusted(home)
    changes = start.ChangedOptions(params=params, sets=sets, sweep=sweep, only=only, options=options)

    def read() -> Document:
        from nemorun_cli import executors  # noqa: PLC0415 - imported while the supervisor starts
        from nemorun_cli.spec import load  # noqa: PLC0415 - the same

        document = load.read(
            spec,
            arguments=listed(arguments),
            executors=executors.known(ask=True),
            home=home,
            **changes.for_load(),
        )
        if not plugins:
            return document
        from nemorun_cli.experiment import plugin_changes  # noqa: PLC0415 - only with plugins given in Python

        return replace(document, plugins=plugin_changes.given(plugins))

    files, secrets = start.meanwhile(read, home=home, key=key, if_running=if_running)
    return Run(files, home, set(secrets))


def launch(
    document: Document,
    *,
    supervisor: SupervisorHandle,
    home: Home,
    key: str | None = None,
    if_running: IfRunning | None = None,
) -> Run:
    """Create the experiment of a document and hand it to a supervisor; see `run`."""
    files, secrets = start.create_and_start(
        document, supervisor=supervisor, home=home, key=key, if_running=if_running
    )
    return Run(files, home, set(secrets))
