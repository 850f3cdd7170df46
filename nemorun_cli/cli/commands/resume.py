"""`exp resume`: continue an experiment from its own copy of the spec, or from a changed one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, server_lines, status_text, tables, terminal
from nemorun_cli.cli.commands import diff
from nemorun_cli.cli.commands.run import document_of
from nemorun_cli.cli.options import ExperimentGiven, Json, Params, ProgramArguments, Quiet, Sets
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.problems import Problem
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.storage import spec_origin
from nemorun_cli.system import environment
from nemorun_cli.views import valueless_trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.change_spec import NewRevision
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.spec.document import Document
    from nemorun_cli.views.snapshot import Snapshot

RESUME_FORMAT: Final = "exp.resume/1"
COLUMNS: Final = (
    Column("TASK"),
    Column("ACTION"),
    Column("ATTEMPT", is_number=True, spare=1),
    Column("REASON", is_flexible=True),
)


def command(
    which: ExperimentGiven,
    arguments: ProgramArguments = None,
    *,
    below: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TASK",
            help="Run this task and its dependents again. Repeatable.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the action for each task and its reason; change nothing.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Print the id and return once the experiment runs.")
    ] = False,
    host_is_gone: Annotated[
        bool,
        typer.Option("--host-is-gone", help="Treat the original host as lost."),
    ] = False,
    spec: Annotated[
        str | None,
        typer.Option(
            "--spec",
            metavar="SPEC",
            help="Continue with this spec instead.",
            autocompletion=completion.specs,
        ),
    ] = None,
    params: Params = None,
    sets: Sets = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="Allow changes to tasks that already ran; they and their dependents run again.",
        ),
    ] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Continue an interrupted, failed or cancelled experiment.

    Keeps the tasks that succeeded, adopts those that are still running, and runs the rest again as new
    attempts.

    With --spec, -p or --set the spec changes first; all other options of the original run stay in effect.

    Examples:
      exp resume latest
      exp resume training --dry-run     print what would run again, and why
      exp resume training --from eval   run eval and its dependents again
      exp resume training -p epochs=20 --accept-changes
    """
    run = find(which)
    document = _document(run, spec, arguments or (), params=params or (), sets=sets or (), asks=not dry_run)
    warnings = (*_edits(run, spec), *(() if document is None else document.warnings))
    terminal.warn_of(warnings)
    if dry_run:
        snapshot = run.status()
        run.require_gone(snapshot, host_is_gone=host_is_gone)
        _preview(run, snapshot, document, below or (), is_json=is_json, quiet=quiet)
        return 0
    before = run.status(observe=False)
    _warn_of_environment(before)
    if text := valueless_trials.lost(before):
        terminal.warn(text)
    options: Any = {
        "below": below or (),
        "host_is_gone": host_is_gone,
        "document": document,
        "accept_changes": accept_changes,
    }
    if document is not None and not (quiet or is_json):
        _report_changes(run.plan_change(document, below=below or ()).revision)
    if detach:
        is_resumed = run.resume(**options)
        _report_started(run, warnings, is_resumed=is_resumed, is_json=is_json, quiet=quiet)
        return 0
    snapshot = _resume_and_watch(run, options, is_json=is_json, quiet=quiet)
    if is_json:
        terminal.write_json(document_of(snapshot, warnings))
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code


def _document(
    run: Run,
    spec: str | None,
    arguments: Sequence[str],
    *,
    params: Sequence[str],
    sets: Sequence[str],
    asks: bool,
) -> Document | None:
    """The changed spec, if one was given; `asks`: whether engines are asked if they can run it."""
    if spec is None and arguments:
        raise UsageError("arguments after -- are for a program: none is given", hint="use --spec PROGRAM")
    if spec is None and not params and not sets:
        return None
    from nemorun_cli import executors  # noqa: PLC0415 - only for a changed spec
    from nemorun_cli.spec import load  # noqa: PLC0415 - the same

    options: Any = {
        "params": params,
        "sets": sets,
        "executors": executors.known(ask=asks),
    }
    if spec is None:
        return load.again(run.files, **options)
    return load.changed(run.files, spec, arguments=arguments, **options)


def _report_changes(revision: NewRevision) -> None:
    """Print the changes of the spec to standard error: standard output is for the tasks' logs."""
    if revision.is_nothing:
        terminal.warn("the spec is unchanged")
        return
    terminal.warn(f"revision {revision.spec.revision} of the spec:")
    for field, before, after in diff.rows(revision.found):
        terminal.warn(f"  {field}: {before} → {after}")


def _resume_and_watch(run: Run, options: dict[str, Any], *, is_json: bool, quiet: bool) -> Snapshot:
    from nemorun_cli.cli import watch  # noqa: PLC0415 - not with -d
    from nemorun_cli.cli.interrupts import Interrupts  # noqa: PLC0415 - the same
    from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - the same

    with Watch(run.files, run.home) as watching:
        watching.look()  # events up to here are not reported again
        if run.resume(**options):
            watching.renew()
            with Interrupts() as interrupts:
                if not (quiet or is_json):
                    server_lines.report(run.files, run.spec())
                _announce(f"{run.id} resumed", run, quiet=quiet)
                return watch.watch(run, watching, interrupts=interrupts, is_json=is_json, quiet=quiet)
        snapshot = watching.look()
        if snapshot.status is not ExperimentStatus.RUNNING:
            again = _failed_trials(snapshot)
            _announce(f"{run.id} is {snapshot.status}: nothing to resume{again}", run, quiet=quiet)
            return snapshot
        # Another command started it: Ctrl-C ends only the watching.
        _announce(f"{run.id} is already running; watching it", run, quiet=quiet)
        return watch.watch(run, watching, interrupts=None, is_json=is_json, quiet=quiet)


def _failed_trials(snapshot: Snapshot) -> str:
    """How failed trials of a search are run again, if there are any: a resume keeps their results."""
    searched = {group.id for group in snapshot.spec.groups if group.search is not None}
    tasks = (task for task in snapshot.spec.tasks if task.group in searched)
    failed = [task.id for task in tasks if snapshot.history.tasks[task.id].status is TaskStatus.FAILED]
    return f" (--from {failed[0]} runs this failed trial again)" if failed else ""


def _announce(text: str, run: Run, *, quiet: bool) -> None:
    if quiet:
        terminal.write_line(run.id)
        terminal.flush()
    else:
        terminal.warn(text)


def _report_started(
    run: Run, warnings: Sequence[Problem], *, is_resumed: bool, is_json: bool, quiet: bool
) -> None:
    if is_json:
        terminal.write_json(document_of(run.status(observe=False), warnings))
        return
    terminal.write_line(run.id)
    if not is_resumed and not quiet:
        terminal.warn(f"{run.id}: nothing to resume")
    if is_resumed and not quiet:
        from nemorun_cli.system import login_session  # noqa: PLC0415 - only for detached experiments

        terminal.flush()  # the id comes before all messages, in a pipe too
        if danger := login_session.danger():
            terminal.warn(f"warning: {danger.message}; {danger.remedy}")
    terminal.suggest(f"exp attach {run.id} · exp status {run.id}", is_wanted=not quiet)


def _warn_of_environment(snapshot: Snapshot) -> None:
    """Warn if tasks that run again get an environment other than the original one."""
    before = snapshot.history.created.get("environment")
    if isinstance(before, dict) and (names := environment.differences(before)):
        terminal.warn(f"warning: changed since {snapshot.files.id} was created: {', '.join(names)}")


def _edits(run: Run, spec: str | None) -> list[Problem]:
    """The warning that the spec's file was edited: without `--spec` the experiment keeps its own."""
    path = None if spec is not None else spec_origin.edited_file(run.files)
    if path is None:
        return []
    hint = f"to use it: exp resume {run.id} --spec {shlex.quote(path)}"
    return [Problem(file=path, message=f"differs from the spec that {run.id} keeps", hint=hint)]


def _preview(
    run: Run,
    snapshot: Snapshot,
    document: Document | None,
    below: Sequence[str],
    *,
    is_json: bool,
    quiet: bool,
) -> None:
    change = None if document is None else run.plan_change(document, below=below, snapshot=snapshot)
    decisions = run.plan_resume(below=below, snapshot=snapshot) if change is None else change.decisions
    revision = None if change is None or change.revision.is_nothing else change.revision
    if is_json:
        tasks = [
            {
                "id": decision.task,
                "action": decision.action,
                "attempt": decision.attempt,
                "reason": decision.reason,
            }
            for decision in decisions
        ]
        terminal.write_json({"schema": RESUME_FORMAT, "id": run.id, "tasks": tasks, **_changes(revision)})
        return
    if quiet:
        terminal.write("".join(f"{decision.task}\n" for decision in decisions if decision.action == "run"))
        return
    if revision is not None:
        heads = (
            Column("FIELD"),
            Column("BEFORE", is_flexible=True),
            Column(f"REVISION {revision.spec.revision}", is_flexible=True),
        )
        tables.show(heads, diff.rows(revision.found))
        terminal.write_line("")
    rows = [
        [decision.task, decision.action, str(decision.attempt), decision.reason] for decision in decisions
    ]
    tables.show(COLUMNS, rows)
    if revision is not None and revision.begun:
        terminal.flush()  # in a pipe, too, the message comes after the tables
        terminal.warn(f"needs --accept-changes: {', '.join(revision.begun)}")


def _changes(revision: NewRevision | None) -> dict[str, Any]:
    """The fields of `exp.resume/1` about a changed spec."""
    if revision is None:
        return {"revision": None, "changes": [], "added": [], "removed": [], "unaccepted": []}
    return {
        "revision": revision.spec.revision,
        "changes": [change.to_json() for change in revision.found.fields],
        "added": list(revision.found.added),
        "removed": list(revision.found.removed),
        "unaccepted": list(revision.begun),
    }
