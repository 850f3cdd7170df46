"""`exp run`: start an experiment from a spec and watch it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, get_args

import typer

from nemorun_cli.cli import server_lines, status_text, terminal
from nemorun_cli.cli.options import (
    Detach,
    Direct,
    DryRun,
    IfRunning,
    Json,
    Key,
    NoCache,
    Params,
    PlanFormat,
    ProgramArguments,
    Quiet,
    Refresh,
    Sequential,
    Sets,
    SpecPath,
    Sweeps,
    TailLogs,
)
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment import launch
from nemorun_cli.experiment.start import IfRunning as Policy
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.model.problems import Problem
    from nemorun_cli.spec.document import Document
    from nemorun_cli.supervisor.client import SupervisorHandle
    from nemorun_cli.views.snapshot import Snapshot

RUN_FORMAT: Final = "exp.run/1"


def command(
    spec: SpecPath,
    arguments: ProgramArguments = None,
    *,
    params: Params = None,
    sets: Sets = None,
    sweeps: Sweeps = None,
    detach: Detach = None,
    sequential: Sequential = None,
    tail_logs: TailLogs = None,
    direct: Direct = None,
    no_cache: NoCache = None,
    refresh: Refresh = None,
    dry_run: DryRun = False,
    form: PlanFormat = "text",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="TASK", help="Run only this task. Repeatable.")
    ] = None,
    key: Key = None,
    if_running: IfRunning = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run an experiment from a spec.

    Watches the experiment until it finishes, unless --detach is given. Ctrl-C cancels it.

    Examples:
      exp run train.yaml
      exp run train.yaml -d -p lr=0.1      start in the background
      exp run train.yaml --dry-run         print what would run
      exp run train.yaml --sweep lr=0.1,0.01 --sweep seed=1..3
      exp run train.yaml --key "nightly-$(date +%F)" --if-running skip
      exp run pipeline.py -- --folds 5     a program that builds a spec, with its own arguments
    """
    flags = {"sequential": sequential, "tail_logs": tail_logs, "direct": direct, "detach": detach}
    changes = [*(sets or ()), *as_sets(flags), *reuse_sets(no_cache, refresh)]

    def read() -> Document:
        from nemorun_cli import executors  # noqa: PLC0415 - heavy, imported while the supervisor starts
        from nemorun_cli.spec import load  # noqa: PLC0415 - the same

        return load.read(
            spec,
            arguments=arguments or (),
            params=params or (),
            sets=changes,
            sweeps=sweeps or (),
            only=only or (),
            executors=executors.known(ask=not dry_run),
            for_later=form == "yaml",
        )

    how = StartOptions(is_dry=dry_run, is_direct=bool(direct), key=key, if_running=if_running, form=form)
    return start(read, how, is_json=is_json, quiet=quiet)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """Options for starting an experiment that are not part of its spec."""

    is_dry: bool
    is_direct: bool
    key: str | None
    if_running: str | None
    form: str = "text"


def start(read: Callable[[], Document], how: StartOptions, *, is_json: bool, quiet: bool) -> int:
    """Start the experiment that `read` returns and watch it, or preview it; returns the exit code."""
    from nemorun_cli.supervisor import client as starting  # noqa: PLC0415 - the supervisor starts while the rest is imported

    policy = _policy(how.if_running)
    _check_form(how, is_json=is_json)
    home = Home.from_environment()
    supervisor = None if how.is_dry or how.is_direct else starting.take()
    try:
        document = read()
        terminal.warn_of(document.warnings)
        if how.is_dry:
            if how.form == "yaml":
                return _write_spec(document, home)
            return _preview(document, home, is_json=is_json, quiet=quiet)
        if document.run.direct:
            return _run_direct(document, home, key=how.key, policy=policy, is_json=is_json, quiet=quiet)
        supervisor = supervisor or starting.take()
        return _run(document, home, supervisor, key=how.key, policy=policy, is_json=is_json, quiet=quiet)
    finally:
        if supervisor is not None:
            supervisor.abandon()  # does nothing once the supervisor has an experiment


def _policy(text: str | None) -> Policy | None:
    for word in get_args(Policy):
        if text == word:
            return word  # type: ignore[no-any-return]
    if text is None:
        return None
    raise UsageError(f"--if-running {text}: must be fail, skip or replace")


def _check_form(how: StartOptions, *, is_json: bool) -> None:
    if how.form not in ("text", "yaml"):
        raise UsageError(f"--format {how.form}: must be one of text, yaml")
    if how.form == "yaml" and (is_json or not how.is_dry):
        raise UsageError(
            "--format yaml cannot be combined with --json" if is_json else "--format yaml needs --dry-run"
        )


def as_sets(flags: dict[str, bool | None]) -> list[str]:
    """The flags given, as changes of the spec's `run` section, so that both are validated alike."""
    return [f"run.{name}={str(value).lower()}" for name, value in flags.items() if value is not None]


def reuse_sets(no_cache: bool | None, refresh: list[str] | None) -> list[str]:  # noqa: FBT001 - as given by typer
    """The options about earlier results as changes of the spec's `run` section."""
    changes = [f"run.refresh={json.dumps(refresh)}"] if refresh else []
    return changes + (["run.cache=false"] if no_cache else [])


def _run(
    document: Document,
    home: Home,
    supervisor: SupervisorHandle,
    *,
    key: str | None,
    policy: Policy | None,
    is_json: bool,
    quiet: bool,
) -> int:
    from nemorun_cli.cli.interrupts import Interrupts  # noqa: PLC0415 - imported while the supervisor starts

    with Interrupts(is_armed=lambda: supervisor.is_assigned) as interrupts:
        run = launch.launch(document, supervisor=supervisor, home=home, key=key, if_running=policy)
        if not supervisor.is_assigned and not (quiet or is_json):
            terminal.warn(f"{run.id} is already running")
        if supervisor.is_assigned and not (quiet or is_json):
            _report_shipped(run)
            if document.plugins or document.data.keys() & {"tracking", "plugins"}:
                server_lines.report(run.files, run.spec())
        if document.run.detach or not supervisor.is_assigned:
            return _report_started(run, document.warnings, is_json=is_json, quiet=quiet)
        if quiet:
            terminal.write_line(run.id)
            terminal.flush()
        else:
            terminal.warn(f"{run.id} started")
        from nemorun_cli.cli import watch  # noqa: PLC0415 - only once the experiment has started
        from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - the same

        with Watch(run.files, run.home) as watching:
            snapshot = watch.watch(run, watching, interrupts=interrupts, is_json=is_json, quiet=quiet)
    return _end(snapshot, document.warnings, is_json=is_json, quiet=quiet)


def _report_shipped(run: Run) -> None:
    """Print which code was shipped for the tasks, if any."""
    if run.files.code.is_dir():
        from nemorun_cli.model import code_package  # noqa: PLC0415 - only for specs that ship code

        for package in run.spec().packages:
            for line in code_package.lines(package):
                terminal.warn(line)


def _report_started(run: Run, warnings: Sequence[Problem], *, is_json: bool, quiet: bool) -> int:
    from nemorun_cli.system import login_session  # noqa: PLC0415 - only for detached experiments

    if is_json:
        terminal.write_json(document_of(run.status(observe=False), warnings))
    else:
        terminal.write_line(run.id)
    terminal.flush()  # the id comes before all messages, in a pipe too
    if not quiet and (danger := login_session.danger()):
        terminal.warn(f"warning: {danger.message}; {danger.remedy}")
    terminal.suggest(
        f"exp attach {run.id} · exp status {run.id} · exp cancel {run.id}", is_wanted=not (quiet or is_json)
    )
    return 0


def _run_direct(
    document: Document,
    home: Home,
    *,
    key: str | None,
    policy: Policy | None,
    is_json: bool,
    quiet: bool,
) -> int:
    from nemorun_cli.experiment import direct  # noqa: PLC0415 - only with --direct

    if policy is not None:
        raise UsageError("--if-running cannot be combined with --direct")
    snapshot = direct.run(document, home=home, key=key)
    from nemorun_cli.cli import watch  # noqa: PLC0415 - the same

    if not (quiet or is_json):
        server_lines.report(snapshot.files, snapshot.spec)
    if not quiet:
        watch.summarize(snapshot, secrets=(), tailed=snapshot.history.tasks)
    watch.settle_plugins(snapshot, quiet=quiet)
    return _end(snapshot, document.warnings, is_json=is_json, quiet=quiet)


def _end(snapshot: Snapshot, warnings: Sequence[Problem], *, is_json: bool, quiet: bool) -> int:
    if is_json:
        terminal.write_json(document_of(snapshot, warnings))
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code


def document_of(snapshot: Snapshot, warnings: Sequence[Problem]) -> dict[str, object]:
    """The document `exp.run/1`; `warnings` are those about the spec that was read."""
    return {
        "schema": RUN_FORMAT,
        "id": snapshot.files.id,
        "name": snapshot.spec.name,
        "status": snapshot.status,
        "directory": str(snapshot.files.directory),
        "tasks": [task.id for task in snapshot.spec.tasks],
        "warnings": [warning.to_json() for warning in warnings],
    }


def _write_spec(document: Document, home: Home) -> int:
    """Print the spec in one piece."""
    from nemorun_cli.experiment import create  # noqa: PLC0415 - only for a dry run
    from nemorun_cli.spec import load, merged_spec  # noqa: PLC0415 - the same

    spec = load.resolve(document, create.tentative(document, home))
    terminal.write(merged_spec.text(document, spec))
    return 0


def _preview(document: Document, home: Home, *, is_json: bool, quiet: bool) -> int:
    from nemorun_cli.experiment import preview  # noqa: PLC0415 - only for a dry run
    from nemorun_cli.views.reports import dry_run  # noqa: PLC0415 - the same

    plans, about_secrets = preview.plans(document, home)
    terminal.warn_of(about_secrets)
    if is_json:
        terminal.write_json(plans)
    elif quiet:
        terminal.write("".join(f"{task['id']}\n" for task in plans["tasks"]))
    else:
        terminal.write_lines(dry_run.lines(plans), hang=dry_run.INDENT + dry_run.LABEL)
    return 0
