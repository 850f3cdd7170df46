"""`exp why`: why a task is waiting, failed, was skipped or was cancelled, and what a resume would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, status_text, tables, terminal, times
from nemorun_cli.cli.options import ExperimentOrLatest, Json, Observe
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find
from nemorun_cli.model import wording
from nemorun_cli.storage import ledger
from nemorun_cli.views import group_bests, known_secrets, log_reader
from nemorun_cli.views.reports import failure_groups, why_report

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nemorun_cli.model.spec import Group
    from nemorun_cli.plugins.faults import Fault
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.reports.why_report import Explanation
    from nemorun_cli.views.snapshot import Snapshot

MOST_EXPLAINED: Final = 3  # tasks that are explained one by one when no task is named
MOST_MATCHES: Final = 20  # the same when a glob or a prefix names them
MOST_OF_A_KIND: Final = 10  # causes of one kind that are listed for a task
MOST_LINKS: Final = 5  # of a long chain of dependencies, at either end
COLUMNS = (
    Column("ATTEMPT", is_number=True),
    Column("STATUS"),
    Column("STARTED", spare=3),
    Column("DURATION", is_number=True, spare=2),
    Column("EXIT", is_number=True, spare=1),
    Column("REASON", is_flexible=True),
)


def command(
    which: ExperimentOrLatest = LATEST,
    task: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK",
            help="Task id, id prefix, group, glob, or number in `exp status` (default: the "
            "failed tasks; if none failed, those cancelled, skipped or waiting).",
            autocompletion=completion.tasks,
            show_default=False,
        ),
    ] = None,
    *,
    observe: Observe = False,
    is_json: Json = False,
) -> None:
    """Explain why a task is waiting, failed or was skipped.

    Shows the cause, the end of the task's log, its attempts, and what `exp resume` would do.

    Examples:
      exp why                   explain the failed (or waiting) tasks of the latest
      exp why training train    explain one task
    """
    run = find(which)
    events, _ = ledger.read_settled(run.files.ledger)
    snapshot = run.status(others=observe)
    secrets = known_secrets.of_experiment(snapshot.files, snapshot.spec, snapshot.history).values()
    names = why_report.notable(snapshot) if task is None else snapshot.match_tasks([task])
    if not names and not is_json:
        terminal.warn(f"{snapshot.files.id}: nothing to explain")
    if snapshot.stall_text and (
        len(names) > 1 or all(snapshot.history.tasks[name].is_over for name in names)
    ):
        terminal.warn(f"{snapshot.files.id}: {snapshot.stall_text}; {snapshot.stall_remedy}")
    if (left := status_text.server(snapshot)) and not is_json:
        terminal.warn(f"{snapshot.files.id}: {left}")
    if is_json:
        terminal.write_json(why_report.document(snapshot, names, events, secrets=secrets))
        return
    if task is None and len(names) > MOST_EXPLAINED:
        status = snapshot.history.tasks[names[0]].status
        _show_several(snapshot, names, f"{len(names)} tasks are {status}", secrets=secrets)
        return
    sweep = why_report.sweep_of(snapshot, names)
    if sweep is not None:
        _show_sweep(snapshot, sweep, names, events, secrets=secrets)
        return
    if len(names) > MOST_MATCHES:
        counts = Counter(snapshot.history.tasks[name].status for name in names)
        _show_several(snapshot, names, f"{len(names)} tasks: {wording.counts(counts)}", secrets=secrets)
        return
    explanations = why_report.explain(snapshot, names, events, secrets=secrets)
    for index, explained in enumerate(explanations):
        if index:
            terminal.write_line("")
        _show(snapshot, explained)


def _show_sweep(
    snapshot: Snapshot,
    sweep: Group,
    names: Sequence[str],
    events: Sequence[Event],
    *,
    secrets: Collection[str],
) -> None:
    """Write the progress of a sweep or a part of it, and its failures grouped by cause."""
    part = replace(sweep, members=tuple(names))
    which = sweep.id if len(names) == len(sweep.members) else f"{len(names)} members of {sweep.id}"
    title = f"{which}: {snapshot.sweep(part).line}"
    is_whole = len(names) == len(sweep.members)
    notes = why_report.of_search(snapshot, sweep, events) if is_whole else []
    notes += group_bests.lines(snapshot.history, [sweep], with_excluded=True) if is_whole else []
    _show_several(snapshot, names, title, notes, secrets=secrets)


def _show_several(
    snapshot: Snapshot,
    names: Sequence[str],
    title: str,
    notes: Sequence[str] = (),
    *,
    secrets: Collection[str],
) -> None:
    """Write why several tasks ended, once for each cause; `notes` follow."""
    lines = [title]
    for kind in failure_groups.kinds(snapshot, names, secrets=secrets):
        lines += [f"  {kind.line}"]
    others = Counter(_other_reason(snapshot.history.tasks[name]) for name in names)
    lines += [f"  {count} {text}" for text, count in others.most_common() if text]
    terminal.write_lines([*lines, *(f"  {note}" for note in notes)])
    failed = next((name for name in names if snapshot.history.tasks[name].status == "FAILED"), names[0])
    terminal.suggest(f"exp why {snapshot.files.id} '{failed}'", is_wanted=True)


def _other_reason(state: TaskState) -> str:
    """The status and reason of a member that is CANCELLED, SKIPPED or UNKNOWN; empty for all others."""
    if state.status not in ("CANCELLED", "SKIPPED", "UNKNOWN"):
        return ""
    why = state.why()
    return f"{state.status}: {why}" if why else str(state.status)


def _show(snapshot: Snapshot, explained: Explanation) -> None:
    task = explained.task.id
    lines = [f"{task} is {explained.state.status}"]
    lines += _causes(explained)
    lines += _chain(explained)
    lines += [f"  the plugin {fault.line}" for fault in _plugin_faults(snapshot) if fault.task == task]
    terminal.write_lines(lines)
    _show_log(snapshot, explained)
    _show_backend_output(explained)
    if len(explained.attempts) > 1:
        terminal.write("\n")
        tables.show(COLUMNS, _rows(explained))
    if explained.resume is not None:
        terminal.write_lines(["", _resumption(snapshot, explained)])


def _causes(explained: Explanation) -> list[str]:
    """The causes; of many of one kind, such as dependencies, only the first."""
    shown: Counter[str] = Counter()
    lines = []
    for cause in explained.causes:
        shown[cause.kind] += 1
        if shown[cause.kind] <= MOST_OF_A_KIND:
            lines.append(f"  {cause.message}")
    more = ((kind, count - MOST_OF_A_KIND) for kind, count in shown.items() if count > MOST_OF_A_KIND)
    return lines + [f"  and {count} more of this kind ({kind}); all of them: --json" for kind, count in more]


def _chain(explained: Explanation) -> list[str]:
    """The chain up to the first failure; of a long one, its beginning and its end."""
    links = [f"because {link.message}" for link in explained.chain]
    left_out = len(links) - 2 * MOST_LINKS
    if left_out > 1:
        links[MOST_LINKS:-MOST_LINKS] = [f"and {left_out} more, up to"]
    return [f"{'    ' * depth}  {link}" for depth, link in enumerate(links)]


def _plugin_faults(snapshot: Snapshot) -> list[Fault]:
    if not snapshot.spec.plugins:
        return []
    from nemorun_cli.plugins import faults  # noqa: PLC0415 - only for specs with plugins

    return faults.faults(snapshot.files, snapshot.spec)


def _show_log(snapshot: Snapshot, explained: Explanation) -> None:
    excerpt = explained.excerpt
    if excerpt is None:
        if explained.state.submitted and not log_reader.are_shipped(snapshot):
            terminal.write_lines(["", f"the log is {log_reader.NOT_SHIPPED}"])
        return
    if excerpt.error:
        terminal.write_lines(["", f"likely cause: {excerpt.error}"])
    if excerpt.lines:
        terminal.write_lines(["", f"last lines of {excerpt.path}:"])
        terminal.write("".join(f"  | {line}\n" for line in excerpt.lines))
    elif not excerpt.error:
        terminal.write_lines(["", f"the log is empty: {excerpt.path}"])


def _show_backend_output(explained: Explanation) -> None:
    if excerpt := explained.backend_output:
        terminal.write(f"\nprinted by the backend or by login files, {excerpt.path}:\n")
        terminal.write("".join(f"  | {line}\n" for line in excerpt.lines))


def _rows(explained: Explanation) -> Sequence[Sequence[str]]:
    return [
        [
            str(past.attempt),
            past.status,
            times.brief(past.started),
            wording.seconds(past.active),
            "" if past.exit_code is None else str(past.exit_code),
            wording.why(past.reason, past.message, past.exit_code),
        ]
        for past in explained.attempts
    ]


def _resumption(snapshot: Snapshot, explained: Explanation) -> str:
    decision = explained.resume
    assert decision is not None  # noqa: S101 - called only with a decision
    action = {
        "keep": "keeps it",
        "adopt": "adopts it",
        "wait": "leaves it waiting",
        "run": "runs it" if decision.attempt == 1 else f"runs it again, as attempt {decision.attempt}",
    }[decision.action]
    when = ", after the experiment finishes," if snapshot.supervisor == "alive" else ""
    return f"exp resume {snapshot.files.id}{when} {action}: {decision.reason}"
