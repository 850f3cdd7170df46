"""Explains a task's status: its causes, the end of its log, its attempts, and what a resume would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli import executors
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.scheduler import resume_plan
from nemorun_cli.views import (
    failed_line_text,
    group_bests,
    log_excerpt,
    needless,
    searches,
    stop_progress,
    sweeps,
    timeline,
    unmatched_metrics,
)
from nemorun_cli.views.reports import failure_groups, search_causes
from nemorun_cli.views.reports.cause import Cause
from nemorun_cli.views.reports.causes import CauseReader, signal_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nemorun_cli.json_documents import TaskFields, WhyDocument, WhyTaskFields
    from nemorun_cli.model.spec import Group, Task
    from nemorun_cli.scheduler.resume_plan import Decision
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.failed_line import FailedLine
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.log_excerpt import Excerpt
    from nemorun_cli.views.reports.reuse_report import Reuse, ReuseReader
    from nemorun_cli.views.snapshot import Snapshot
    from nemorun_cli.views.timeline import PastAttempt

WHY_FORMAT: Final = "exp.why/1"

# Statuses for which the log helps to explain the cause.
_WITH_LOG: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.UNKNOWN})
_WORST_FIRST: Final = (
    *(TaskStatus.FAILED, TaskStatus.UNKNOWN, TaskStatus.CANCELLED, TaskStatus.SKIPPED),
    *(TaskStatus.SUBMITTED, TaskStatus.PENDING),
)
_EROFS: Final = "read-only file system"
_READ_ONLY: Final = (
    "in its container $EXP_DIR is read-only, except $EXP_TASK_DIR, $EXP_SHARED, shipped code and records:"
    " what other tasks use belongs in $EXP_SHARED"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one task has its status; `chain` goes up its dependencies to the first failure.

    `failed_line` is the line of its inline text that ended it, if that is known.
    """

    task: Task
    state: TaskState
    causes: tuple[Cause, ...]
    chain: tuple[Cause, ...] = ()
    failed_line: FailedLine | None = None
    excerpt: Excerpt | None = None
    backend_output: Excerpt | None = None
    attempts: tuple[PastAttempt, ...] = ()
    resume: Decision | None = None
    reuse: Reuse | None = None
    entry: TaskFields

    def to_json(self) -> WhyTaskFields:
        """An entry of `tasks` in `exp.why/1`: that of `exp.status/1` plus the explanation."""
        return cast(
            "WhyTaskFields",
            {
                **self.entry,
                "signal": signal_of(self.state),
                "causes": [asdict(cause) for cause in self.causes],
                "chain": [asdict(cause) for cause in self.chain],
                "failed_line": asdict(self.failed_line) if self.failed_line else None,
                "log": _excerpt_json(self.excerpt),
                "backend_output": _excerpt_json(self.backend_output),
                "attempts": [attempt.to_json() for attempt in self.attempts],
                "resume": asdict(self.resume) if self.resume else None,
                "reuse": self.reuse.to_json() if self.reuse is not None else None,
            },
        )


def _excerpt_json(excerpt: Excerpt | None) -> dict[str, Any] | None:
    if excerpt is None:
        return None
    return {"path": str(excerpt.path), "lines": list(excerpt.lines), "error": excerpt.error}


def notable(snapshot: Snapshot) -> list[str]:
    """The tasks to explain when none is named: all tasks with the worst status that occurs."""
    states = snapshot.history.tasks
    by_status = (
        [name for name, state in states.items() if state.status is status] for status in _WORST_FIRST
    )
    return next(filter(None, by_status), None) or needless.members(snapshot.spec, snapshot.history)


def sweep_of(snapshot: Snapshot, names: Sequence[str]) -> Group | None:
    """The sweep that contains all the named tasks, if there are several; none for those of one trial."""
    if len({searches.trial_name(snapshot.spec, name) for name in names}) < 2:  # noqa: PLR2004 - a single member, or trial, is explained in full
        return None
    ids = {name.partition("/")[0] for name in names}
    return next((group for group in sweeps.of(snapshot.spec) if ids == {group.id}), None)


def of_search(snapshot: Snapshot, group: Group, events: Sequence[Event]) -> list[str]:
    """Sentences about a group that searches; none about others. The events are all of the ledger."""
    study = searches.StudyView.of(group, snapshot.history)
    return (
        [] if study is None else search_causes.of_study(snapshot, study, CauseReader(snapshot, events).causes)
    )


def document(
    snapshot: Snapshot, names: Sequence[str], events: Sequence[Event], *, secrets: Collection[str]
) -> WhyDocument:
    """The document `exp.why/1` about these tasks; for the arguments see `explain`."""
    is_sweep = sweep_of(snapshot, names) is not None
    kinds = failure_groups.kinds(snapshot, names, secrets=secrets) if is_sweep else []
    reader, asked = CauseReader(snapshot, events), set(names)
    return cast(
        "WhyDocument",
        {
            "schema": WHY_FORMAT,
            "id": snapshot.files.id,
            "name": snapshot.spec.name,
            "status": snapshot.status,
            "sync": None if (sync := snapshot.sync) is None else sync.to_json(),
            "failures": [kind.to_json() for kind in kinds],
            "best": group_bests.to_json(snapshot.spec, snapshot.history),
            "searches": [
                {
                    **searches.to_json(study, snapshot.sweep(study.group)),
                    "explanation": search_causes.of_study(snapshot, study, reader.causes),
                }
                for study in searches.of(snapshot.spec, snapshot.history)
                if not asked.isdisjoint(study.group.members)
            ],
            "tasks": [explained.to_json() for explained in explain(snapshot, names, events, secrets=secrets)],
        },
    )


def explain(
    snapshot: Snapshot, names: Sequence[str], events: Sequence[Event], *, secrets: Collection[str]
) -> list[Explanation]:
    """Explain the status of each of these tasks.

    Args:
        snapshot: the current state of the experiment.
        names: the ids of the tasks.
        events: all events of the ledger.
        secrets: values to mask in log lines.
    """
    reader = CauseReader(snapshot, events)
    past = timeline.attempts(snapshot, events)
    decisions = {decision.task: decision for decision in resume_plan.decide(reader.schedule)}
    reuses = _reuses(snapshot) if snapshot.history.cached else None
    explanations = []
    for name in names:
        task, state = reader.schedule.tasks[name], snapshot.history.tasks[name]
        reuse = reuses.of_task(task) if reuses is not None else None
        line = failed_line_text.of_task(snapshot, name, secrets=secrets)
        excerpt = backend_output = None
        if state.status in _WITH_LOG and state.submitted:
            files = snapshot.files.attempt(name, state.attempt)
            excerpt = log_excerpt.of_attempt(files, secrets=secrets)
            backend_output = log_excerpt.read(files.backend_output, secrets=secrets, inside=files.root)
        can_resume = not snapshot.is_replica and (snapshot.supervisor in ("gone", "ended") or state.is_over)
        explanations.append(
            Explanation(
                task=task,
                state=state,
                causes=(
                    *_with_line(reader.causes(task, state), line),
                    *_read_only(snapshot, task, state, excerpt),
                    *(
                        Cause(kind="metrics", message=text)
                        for text in unmatched_metrics.details(snapshot, name, secrets=secrets)
                        if state.is_over
                    ),
                    *(Cause(kind="stop", message=text) for text in stop_progress.details(snapshot, task)),
                    *(reuse.causes() if reuse is not None else ()),
                ),
                chain=tuple(reader.chain(task)),
                failed_line=line,
                excerpt=excerpt,
                backend_output=backend_output if backend_output and backend_output.lines else None,
                attempts=tuple(past[name]),
                resume=decisions[name] if can_resume else None,
                reuse=reuse,
                entry=snapshot.task_json(name, task.index),
            )
        )
    return explanations


def _reuses(snapshot: Snapshot) -> ReuseReader:
    from nemorun_cli.views.reports.reuse_report import ReuseReader  # noqa: PLC0415 - few specs have the key

    return ReuseReader(snapshot)


def _read_only(snapshot: Snapshot, task: Task, state: TaskState, excerpt: Excerpt | None) -> Iterator[Cause]:
    """What a task in a container may have missed, if its log ends with the kernel's words for EROFS."""
    if state.status is not TaskStatus.FAILED or excerpt is None:
        return
    if not any(_EROFS in line.lower() for line in excerpt.lines):
        return
    options = snapshot.spec.executors.get(task.executor, {})
    if executors.capabilities(task.executor, options).is_container:
        yield Cause(kind="read_only", message=_READ_ONLY)


def _with_line(causes: Sequence[Cause], line: FailedLine | None) -> tuple[Cause, ...]:
    """The causes, with the line that ended the task's inline text after the first one."""
    if line is None:
        return tuple(causes)
    return (*causes[:1], Cause(kind="line", message=f"its inline text ended at {line}"), *causes[1:])
