"""Why a task is where it is: what it waits for, what ended it, what its log says, and what a resume does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.status import TaskStatus
from nemorun_cli.scheduler import resume_plan
from nemorun_cli.views import log_excerpt, timeline
from nemorun_cli.views.reports.causes import Cause, CauseReader, signal_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nemorun_cli.model.spec import Task
    from nemorun_cli.scheduler.resume_plan import Decision
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.log_excerpt import Excerpt
    from nemorun_cli.views.snapshot import Snapshot
    from nemorun_cli.views.timeline import PastAttempt

WHY_FORMAT: Final = "exp.why/1"

# Endings whose log says something about the cause.
_TELLING: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one task is where it is; `chain` leads from it up to what first went wrong."""

    task: Task
    state: TaskState
    causes: tuple[Cause, ...]
    chain: tuple[Cause, ...] = ()
    excerpt: Excerpt | None = None
    attempts: tuple[PastAttempt, ...] = ()
    resume: Decision | None = None
    entry: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """An entry of `tasks` in `exp.why/1`: that of `exp.status/1`, and why."""
        log = self.excerpt
        return {
            **self.entry,
            "signal": signal_of(self.state),
            "causes": [asdict(cause) for cause in self.causes],
            "chain": [asdict(cause) for cause in self.chain],
            "log": {"path": str(log.path), "lines": list(log.lines), "error": log.error} if log else None,
            "attempts": [one.to_json() for one in self.attempts],
            "resume": asdict(self.resume) if self.resume else None,
        }


def explain(
    snapshot: Snapshot, names: Sequence[str], events: Sequence[Event], *, secrets: Collection[str]
) -> list[Explanation]:
    """Why each of these tasks is where it is.

    Args:
        snapshot: how the experiment stands.
        names: the ids of the tasks.
        events: the ledger, for what happened before.
        secrets: values that are hidden in what logs say.
    """
    reader = CauseReader(snapshot, events)
    past = timeline.attempts(snapshot, events)
    decisions = {one.task: one for one in resume_plan.decide(reader.schedule)}
    found = []
    for name in names:
        task, state = reader.schedule.tasks[name], snapshot.history.tasks[name]
        excerpt = None
        if state.status in _TELLING and state.submitted:
            log = snapshot.files.attempt(name, state.attempt).log
            excerpt = log_excerpt.read(log, secrets=secrets)
        can_resume = snapshot.supervisor in ("gone", "ended") or state.is_over
        found.append(
            Explanation(
                task=task,
                state=state,
                causes=tuple(reader.causes(task, state)),
                chain=tuple(reader.chain(task)),
                excerpt=excerpt,
                attempts=tuple(past[name]),
                resume=decisions[name] if can_resume else None,
                entry=snapshot.task_json(name, task.index),
            )
        )
    return found
