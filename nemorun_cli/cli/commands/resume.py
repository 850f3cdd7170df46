"""`exp resume`: continue an experiment from its own copy of the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, status_text, tables, terminal
from nemorun_cli.cli.commands import diff
from nemorun_cli.cli.commands.run import document_of
from nemorun_cli.cli.options import ExperimentGiven, Json, Params, Quiet, Sets
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.system import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.change_spec import Revision
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.spec.document import Document
    from nemorun_cli.views.snapshot import Snapshot

RESUME_FORMAT: Final = "exp.resume/1"
COLUMNS: Final = (Column("TASK"), Column("ACTION"), Column("ATTEMPT", is_number=True), Column("REASON"))


def command(
    which: ExperimentGiven,
    *,
    below: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TASK",
            help="Run this task and all below it again. Repeatable.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Say what would be done with each task, and why.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("-d", "--detach/--no-detach", help="Return as soon as it has begun; print the id.")
    ] = False,
    host_is_gone: Annotated[
        bool,
        typer.Option(
            "--host-is-gone/--no-host-is-gone", help="Where it ran will not come back: that is lost."
        ),
    ] = False,
    spec: Annotated[
        str | None,
        typer.Option(
            "--spec", metavar="SPEC", help="Go on with this spec instead.", autocompletion=completion.specs
        ),
    ] = None,
    params: Params = None,
    sets: Sets = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes/--no-accept-changes",
            help="Tasks that ran may be something else now: they run again, with all below them.",
        ),
    ] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Continue an experiment that was interrupted, failed or was cancelled.

    What succeeded is kept, what still runs is adopted, the rest runs again as new attempts.

    With --spec, -p or --set the spec is changed first; what the experiment was started with holds besides.
    """
    run = find(which)
    document = _document(run, spec, params=params or (), sets=sets or ())
    if dry_run:
        snapshot = run.status()
        run.require_gone(snapshot, host_is_gone=host_is_gone)
        _preview(run, snapshot, document, below or (), is_json=is_json, quiet=quiet)
        return 0
    _warn_of_environment(run.status(observe=False))
    wish: Any = {
        "below": below or (),
        "host_is_gone": host_is_gone,
        "document": document,
        "accept_changes": accept_changes,
    }
    if document is not None and not (quiet or is_json):
        _tell_changes(run.plan_change(document, below=below or ()).revision)
    if detach:
        _tell_started(run, is_resumed=run.resume(**wish), is_json=is_json, quiet=quiet)
        return 0
    snapshot = _resume_and_watch(run, wish, is_json=is_json, quiet=quiet)
    if is_json:
        terminal.write_json(document_of(snapshot))
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code


def _document(run: Run, spec: str | None, *, params: Sequence[str], sets: Sequence[str]) -> Document | None:
    """The changed spec, if one was given."""
    if spec is None and not params and not sets:
        return None
    from nemorun_cli import executors  # noqa: PLC0415 - only for a changed spec
    from nemorun_cli.spec import load  # noqa: PLC0415 - the same

    options: Any = {
        "params": params,
        "sets": sets,
        "executors": executors.known(ask=True),
    }
    return load.again(run.files, **options) if spec is None else load.changed(run.files, spec, **options)


def _tell_changes(revision: Revision) -> None:
    """What is different, on standard error: standard output is for the tasks' own."""
    if revision.is_nothing:
        terminal.warn("the spec is the same")
        return
    terminal.warn(f"revision {revision.spec.revision} of the spec:")
    for field, before, after in diff.rows(revision.found):
        terminal.warn(f"  {field}: {before} → {after}")


def _resume_and_watch(run: Run, wish: dict[str, Any], *, is_json: bool, quiet: bool) -> Snapshot:
    from nemorun_cli.cli import watch  # noqa: PLC0415 - not with -d
    from nemorun_cli.cli.interrupts import Interrupts  # noqa: PLC0415 - the same
    from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - the same

    with Watch(run.files, run.home) as watching:
        watching.look()  # what is seen now is not told again
        if run.resume(**wish):
            watching.renew()
            with Interrupts() as interrupts:
                _tell(f"{run.id} resumed", run, quiet=quiet)
                return watch.watch(run, watching, interrupts=interrupts, is_json=is_json, quiet=quiet)
        snapshot = watching.look()
        if snapshot.status is not ExperimentStatus.RUNNING:
            _tell(f"{run.id} is {snapshot.status}: there is nothing to resume", run, quiet=quiet)
            return snapshot
        # Somebody else started it: Ctrl-C ends the watching only.
        _tell(f"{run.id} is running already; watching it", run, quiet=quiet)
        return watch.watch(run, watching, interrupts=None, is_json=is_json, quiet=quiet)


def _tell(text: str, run: Run, *, quiet: bool) -> None:
    if quiet:
        terminal.write_line(run.id)
        terminal.flush()
    else:
        terminal.warn(text)


def _tell_started(run: Run, *, is_resumed: bool, is_json: bool, quiet: bool) -> None:
    if is_json:
        terminal.write_json(document_of(run.status(observe=False)))
        return
    terminal.write_line(run.id)
    if not is_resumed and not quiet:
        terminal.warn(f"{run.id}: there was nothing to resume")
    terminal.suggest(f"exp status {run.id} · exp logs {run.id} -f", is_wanted=not quiet)


def _warn_of_environment(snapshot: Snapshot) -> None:
    """Tasks that run again get what this command has, which may not be what the others had."""
    before = snapshot.history.created.get("environment")
    if isinstance(before, dict) and (names := environment.differences(before)):
        terminal.warn(f"warning: {', '.join(names)} differ from when {snapshot.files.id} was created")


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
            {"id": one.task, "action": one.action, "attempt": one.attempt, "reason": one.reason}
            for one in decisions
        ]
        terminal.write_json({"schema": RESUME_FORMAT, "id": run.id, "tasks": tasks, **_changes(revision)})
        return
    if quiet:
        terminal.write("".join(f"{one.task}\n" for one in decisions if one.action == "run"))
        return
    if revision is not None:
        heads = (Column("FIELD"), Column("BEFORE"), Column(f"REVISION {revision.spec.revision}"))
        tables.show(heads, diff.rows(revision.found))
        terminal.write_line("")
    tables.show(COLUMNS, [[one.task, one.action, str(one.attempt), one.reason] for one in decisions])
    if revision is not None and revision.begun:
        terminal.warn(f"needs --accept-changes: {', '.join(revision.begun)}")


def _changes(revision: Revision | None) -> dict[str, Any]:
    """The fields of `exp.resume/1` about a changed spec."""
    if revision is None:
        return {"revision": None, "changes": [], "added": [], "removed": [], "unaccepted": []}
    return {
        "revision": revision.spec.revision,
        "changes": [one.to_json() for one in revision.found.fields],
        "added": list(revision.found.added),
        "removed": list(revision.found.removed),
        "unaccepted": list(revision.begun),
    }
