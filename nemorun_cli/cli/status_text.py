"""The state of an experiment as text and table rows for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import times
from nemorun_cli.cli.table_layout import Column
from nemorun_cli.model import labels, wording
from nemorun_cli.model.spec import kin_of, task_named
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.views import group_bests, searches, sweeps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.spec import Group, Task
    from nemorun_cli.views.snapshot import Snapshot

COLUMNS: Final = (
    Column("#", is_number=True, spare=1),
    Column("TASK"),
    Column("STATUS"),
    Column("EXECUTOR", spare=6),
    Column("JOB ID", spare=5),
    Column("ATTEMPT", is_number=True, spare=4),
    Column("DURATION", is_number=True, spare=2),
    Column("EXIT", is_number=True, spare=3),
    Column("DIRECTORY", spare=7),
    Column("REASON", is_flexible=True),
)
INDENT: Final = "  "
LABELLED: Final = 12  # columns of a label before its text


def header(snapshot: Snapshot) -> list[str]:
    """The lines about the experiment as a whole."""
    history = snapshot.history
    created = str(history.created.get("time", ""))
    lines = [
        ("experiment", snapshot.files.id),
        ("title", snapshot.spec.title or ""),
        ("status", f"{snapshot.status}  ({wording.counts(history.counts)})"),
        ("handlers", handlers(snapshot)),
        ("supervisor", supervisor(snapshot)),
        ("created", f"{times.full(created)}{_duration_note(snapshot)}"),
        ("directory", f"{snapshot.files.directory}  (of a task: tasks/TASK/attempt-N)"),
        ("spec", f"revision {snapshot.spec.revision}" if snapshot.spec.revision > 1 else ""),
        ("rerun of", str(history.created.get("rerun_of") or "")),
        ("key", str(history.created.get("key") or "")),
        ("tags", ", ".join(snapshot.tags)),
        ("note", _note(snapshot)),
        ("about", " ".join((snapshot.spec.description or "").split())),
        ("server", server(snapshot)),
    ]
    if snapshot.waiting is not None:
        lines.append(("waiting", f"{snapshot.waiting.task} for {snapshot.waiting.wanted}"))
    lines += [("python", text) for text in snapshot.making]
    lines += [("cache", text) for text in snapshot.keeping]
    if history.cancel and not snapshot.is_over:
        lines.append(("cancelled", f"by {history.cancel.by} at {times.full(history.cancel.time)}"))
    return [f"{label + ':':<{LABELLED}}{text}" for label, text in lines if text]


def handlers(snapshot: Snapshot) -> str:
    """The note about handlers: that they are unfinished after the tasks, or failed; else empty."""
    history = snapshot.history
    if history.outcome and not snapshot.is_over:
        unfinished = [name for name in history.handlers if not history.tasks[name].is_over]
        return f"the tasks finished ({history.outcome}), {len(unfinished)} handler(s) have not"
    failed = sorted(name for name in history.handlers if history.tasks[name].status is TaskStatus.FAILED)
    return f"{', '.join(failed)} FAILED; handlers do not change the status" if failed else ""


def supervisor(snapshot: Snapshot) -> str:
    """The state of the supervisor, and the remedy if it has terminated."""
    process = f"pid {snapshot.holder.pid} on {snapshot.holder.host}" if snapshot.holder else "none yet"
    if snapshot.is_replica and not snapshot.is_over:
        ended = "terminated" if snapshot.supervisor == "gone" else "runs on its own machine"
        return f"{ended} ({process}); as of the last report to this server"
    if snapshot.supervisor == "gone":
        state = "not observed" if snapshot.not_observed else "still running"
        live = f"{snapshot.live} task(s) {state}; " if snapshot.live else ""
        return f"terminated ({process}); {live}continue with: exp resume {snapshot.files.id}"
    if snapshot.supervisor == "elsewhere":
        return f"on another host ({process}); cannot be checked from this one"
    if snapshot.stall_text:
        text = snapshot.stall_text.removeprefix("its supervisor ")
        return f"{snapshot.supervisor} ({process}), but {text}; {snapshot.stall_remedy}"
    if snapshot.problem is not None:
        return f"alive ({process}), but {snapshot.problem}; until it can, nothing starts or is recorded"
    return f"{snapshot.supervisor} ({process})"


def server(snapshot: Snapshot) -> str:
    """What has not arrived on the server that the spec names; empty if all has, or is on its way."""
    sync = snapshot.sync
    return "" if sync is None else sync.text(is_over=snapshot.supervisor != "alive")


def _note(snapshot: Snapshot) -> str:
    """The latest note, in one line, and how many there are."""
    notes = snapshot.history.notes
    if not notes:
        return ""
    more = f"  ({len(notes)} notes: exp note {snapshot.files.id})" if len(notes) > 1 else ""
    return f"{labels.excerpt(notes[-1].text)}{more}"


def _duration_note(snapshot: Snapshot) -> str:
    if snapshot.active is None:
        return ""
    return f"  ({'took' if snapshot.is_over else 'for'} {wording.seconds(snapshot.active)})"


def rows(snapshot: Snapshot, wanted: Sequence[str] | None = None) -> list[list[str]]:
    """The cells of COLUMNS for each task, or those in `wanted`; members of a group follow its own row.

    A sweep is one row, unless `wanted` contains members of it.
    """
    chosen = None if wanted is None else set(wanted)
    groups = {group.id: group for group in snapshot.spec.groups}
    cells, group = [], None
    tasks = snapshot.tasks
    for name, task in zip(snapshot.spec.ids, kin_of(tasks), strict=True):
        if chosen is not None and name not in chosen:
            continue
        if task.group != group:
            group = task.group
            if group is not None:
                cells.append(_group_row(snapshot, groups[group]))
        if chosen is None and task.group is not None and groups[task.group].is_template:
            continue
        cells.append(_task_row(snapshot, task if task.id == name else task_named(tasks, name)))
    return cells


def _group_row(snapshot: Snapshot, group: Group) -> list[str]:
    if group.is_template:
        return ["", group.id, snapshot.sweep(group).line, "", "", "", "", "", "", ""]
    statuses = {snapshot.history.tasks[member].status for member in group.members}
    summary = str(*statuses) if len(statuses) == 1 else sweeps.standing(snapshot.members(group), group)
    return ["", group.id, summary, "", "", "", "", "", "", ""]


def _task_row(snapshot: Snapshot, task: Task) -> list[str]:
    state = snapshot.history.tasks[task.id]
    code = "" if state.exit_code is None else str(state.exit_code)
    return [
        str(task.index),
        (INDENT if task.group else "") + task.id,
        state.status,
        task.executor,
        state.job_id or "",
        str(state.attempt) if state.submitted else "",
        wording.seconds(snapshot.active_duration(state)),
        code,
        f"tasks/{task.id}/attempt-{state.attempt}" if state.submitted else "",
        state.why() or snapshot.message(task.id) or "",
    ]


def notes(snapshot: Snapshot) -> list[str]:
    """Lines about the best members of groups, and about what searches have found so far."""
    return [*group_bests.lines(snapshot.history, group_bests.of(snapshot.spec)), *searched(snapshot)]


def best_lines(snapshot: Snapshot) -> list[str]:
    """The same without estimates: these lines change only with the results."""
    return [
        *group_bests.lines(snapshot.history, group_bests.of(snapshot.spec)),
        *searches.lines(searches.of(snapshot.spec, snapshot.history)),
    ]


def searched(snapshot: Snapshot) -> list[str]:
    """Lines about what each search has found so far, and about the time that it still needs."""
    found: list[str] = []
    for study in searches.of(snapshot.spec, snapshot.history):
        found += searches.lines([study])
        if (estimate := snapshot.sweep(study.group).estimate) is not None:
            found.append(f"{study.group.id}: {estimate}")
    return found


def task_details(snapshot: Snapshot, task: Task) -> list[str]:
    """The lines about one task."""
    from nemorun_cli.model import usage  # noqa: PLC0415 - not for the table of all tasks

    entry = snapshot.task_json(task.id, task.index)
    trial = searches.trial_of(snapshot.spec, snapshot.history, task)
    study = searches.study_of(snapshot.spec, snapshot.history, task)
    lines = [
        ("task", f"{task.id}  (number {task.index})"),
        ("status", entry["status"]),
        ("reason", snapshot.history.tasks[task.id].why() or entry["message"]),
        ("params", searches.params_text(trial.params) if trial is not None else ""),
        ("values", searches.result_text(study, trial) if study is not None and trial is not None else ""),
        ("resources", usage.summary(task.resources, entry["usage"], entry["duration"])),
        ("exit code", "" if entry["exit_code"] is None else str(entry["exit_code"])),
        ("attempt", str(entry["attempt"])),
        (
            "executor",
            f"{entry['executor']}" + (f" ({entry['type']})" if entry["type"] != entry["executor"] else ""),
        ),
        ("job id", entry["job_id"]),
        ("started", times.full(entry["started"])),
        ("ended", times.full(entry["ended"])),
        ("duration", wording.seconds(entry["active"])),
        ("directory", entry["directory"]),
        ("depends on", ", ".join(entry["dependencies"])),
        ("evidence", entry["evidence"]),
        ("about", " ".join((task.description or "").split())),
    ]
    shown = [f"{label + ':':<{LABELLED}}{text}" for label, text in lines if text]
    return shown + [f"{'output:':<{LABELLED}}{name} = {value!r}" for name, value in entry["outputs"].items()]


def next_commands(snapshot: Snapshot) -> str:
    """The commands that are useful next."""
    which = snapshot.files.id
    failed = next((name for name, state in snapshot.history.tasks.items() if state.status == "FAILED"), None)
    why = f"exp why {which} {failed} · " if failed else ""
    if snapshot.is_replica:  # nothing acts on it
        from nemorun_cli.views import log_reader  # noqa: PLC0415 - only for a copy

        logs = f"exp logs {which} · " if log_reader.are_shipped(snapshot) else ""
        return f"{why}{logs}exp events {which}"
    if snapshot.not_observed:
        return f"exp status {which} --observe · exp logs {which}"
    if snapshot.status is ExperimentStatus.RUNNING:
        return f"exp attach {which} · exp logs {which} -f · exp cancel {which}"
    if snapshot.status is ExperimentStatus.COMPLETED:
        return f"exp logs {which} · exp show {which}"
    return f"{why}exp logs {which} · exp resume {which}"
