"""The state of an experiment at one moment, with or without a live supervisor.

If no supervisor is alive, the process that acquires the lock without waiting makes one observing turn:
it looks at the attempts, records what it learned, starts nothing, and releases the lock.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from nemorun_cli.errors import (
    AmbiguousError,
    NotFoundError,
)
from nemorun_cli.model import labels, python_environment
from nemorun_cli.model.clock import stamp, unix
from nemorun_cli.model.status import EXIT_CODES, ExperimentStatus, TaskStatus
from nemorun_cli.scheduler import trial_fields
from nemorun_cli.views import group_bests, searches, sweeps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.json_documents import StatusDocument, TaskFields
    from nemorun_cli.model.capacity import PendingRequest
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.model.stored_tasks import StoredTasks
    from nemorun_cli.storage.ledger import LedgerReader
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import EnvironmentState, ExperimentState, TaskState
    from nemorun_cli.storage.supervision import Stall
    from nemorun_cli.system.locks import Holder
    from nemorun_cli.views.sync_state import ExperimentSync

STATUS_FORMAT: Final = "exp.status/1"


SupervisorState = Literal["alive", "gone", "ended", "elsewhere"]

STALLS: Final[dict[Stall, str]] = {
    "stopped": "is stopped (SIGSTOP or a debugger)",
    "frozen": "is in a frozen cgroup",
    "silent": "has not read a request for some seconds",
}


def tasks_of(spec: Spec, history: ExperimentState) -> tuple[Task, ...] | StoredTasks[Task]:
    """The tasks of a spec, in which trials have the fields that their values decided."""
    return trial_fields.spec_with_values(spec, history).tasks


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Snapshot:
    """The state of an experiment.

    Attributes:
        supervisor: the supervisor's state; `holder` identifies the current or last one.
        stall: why a living supervisor does not respond; None if it does, or this cannot be known.
        live: the number of live attempts.
        needless: how many of them nothing stops, although their groups have ended with their leaders.
        torn: bytes of an incomplete batch at the end of the ledger.
        seen: when the snapshot was taken, in Unix seconds.
        problem: why a live supervisor cannot write the ledger, if it cannot.
        waiting: the task that waits for local capacity, and its request.
        not_observed: why the backends of live tasks were not asked; None if they were, or need not be.
        is_replica: whether it is a server's copy, whose state is that of the last report.
        reader: what continues to read the ledger for `history`; None if that has more than the ledger.
    """

    files: ExperimentFiles
    spec: Spec
    history: ExperimentState
    supervisor: SupervisorState
    holder: Holder | None
    live: int
    torn: int
    seen: float
    needless: int = 0
    problem: str | None = None
    waiting: PendingRequest | None = None
    stall: Stall | None = None
    not_observed: str | None = None
    is_replica: bool = False
    reader: LedgerReader | None = None

    def __repr__(self) -> str:
        """The id and the status; the fields would fill many screens."""
        return f"Snapshot({self.files.id!r}, {self.status})"

    @property
    def sync(self) -> ExperimentSync | None:
        """What has not arrived on the server that the spec names; None without one."""
        if self.spec.server is None:
            return None
        from nemorun_cli.views import sync_state  # noqa: PLC0415 - only for specs with a server

        return sync_state.of_experiment(self.files, self.spec)

    @property
    def is_responding(self) -> bool | None:
        """Whether the living supervisor responds; None if none is alive, or it is on another host."""
        if self.supervisor != "alive" or self.holder is None or not self.holder.is_here:
            return None
        return self.stall is None

    @property
    def stall_text(self) -> str:
        """Which supervisor does not respond, and why; empty if it responds, or none is alive."""
        if self.is_responding is not False or self.holder is None or self.stall is None:
            return ""
        return f"its supervisor {STALLS[self.stall]} and does not respond: process {self.holder.pid}"

    @property
    def stall_remedy(self) -> str:
        """What to do with a supervisor that does not respond."""
        pid = self.holder.pid if self.holder else 0
        first = {"stopped": f"continue it: kill -CONT {pid}; or ", "frozen": "thaw its cgroup, or "}
        return f"{first.get(self.stall or '', '')}end it: kill -9 {pid}; its tasks continue"

    @property
    def observe_remedy(self) -> str:
        """How the backends are asked about an experiment that this home did not create."""
        return (
            f"if you trust it, ask where its tasks run: exp status {self.files.id} --observe; "
            f"exp resume {self.files.id} makes it an experiment of this home"
        )

    @property
    def status(self) -> ExperimentStatus:
        """The experiment's status; INTERRUPTED if nothing is alive that could finish it."""
        if written := self.history.status:
            return written
        if self.supervisor == "gone" and self.live <= self.needless:
            return ExperimentStatus.INTERRUPTED
        return ExperimentStatus.RUNNING

    @property
    def tasks(self) -> tuple[Task, ...] | StoredTasks[Task]:
        """The tasks of the spec, in which trials have the fields that their values decided."""
        return tasks_of(self.spec, self.history)

    @property
    def tags(self) -> list[str]:
        """The tags of the spec as `exp tag` changed them."""
        return labels.current(self.spec.tags, self.history.tag_changes)

    @property
    def exit_code(self) -> int:
        """The exit code of the status."""
        return EXIT_CODES[self.status]

    @property
    def is_over(self) -> bool:
        """Whether the experiment is finished."""
        return self.history.finished is not None

    def task_json(self, task_id: str, index: int) -> TaskFields:
        """One entry of `tasks` in `exp.status/1`."""
        task = trial_fields.filled_where_possible(self.spec.tasks[index], self.spec, self.history)
        state = self.history.tasks[task_id]
        trial = searches.trial_of(self.spec, self.history, task)
        attempt = self.files.attempt(task_id, state.attempt).directory if state.submitted else None
        return cast(
            "TaskFields",
            {
                "id": task_id,
                "index": index,
                "status": state.status,
                "executor": task.executor,
                "type": self.spec.executors.get(task.executor, {}).get("type", task.executor),
                "job_id": state.job_id,
                "directory": str(attempt) if attempt else None,
                "attempt": state.attempt,
                "exit_code": state.exit_code,
                "group": task.group,
                "reason": state.reason,
                "message": self.message(task_id),
                "created": self.history.created.get("time"),
                "started": state.started,
                "ended": state.ended,
                "duration": self.duration(state),
                "active": self.active_duration(state),
                "dependencies": list(task.dependencies),
                "external": [self._external(key) for key in task.external],
                "outputs": state.outputs,
                "evidence": self._evidence(state),
                "cached_from": state.cached_from,
                "matrix": task.matrix,
                "trial": None if trial is None else trial.to_json(),
                "handler": task.handler,
                "resources": task.resources.to_json(),
                "usage": state.usage,
                "unmatched_metrics": [
                    {name: entry[name] for name in ("series", "pattern", "reason")}
                    for entry in self.history.unmatched.get(task_id, ())
                ],
                "unjudged_metrics": [
                    {name: entry[name] for name in ("metric", "reason", "names")}
                    for entry in self.history.unjudged.get(task_id, ())
                ],
            },
        )

    def _external(self, key: str) -> dict[str, Any]:
        """Something outside of the experiment that a task waits for, and how it ended."""
        external = next(each for each in self.spec.external if each.key == key)
        end = self.history.external.get(key)
        return {
            "experiment": external.experiment,
            "task": external.task,
            "slurm_job": external.slurm_job,
            "status": end.status if end else None,
        }

    def message(self, task_id: str) -> str | None:
        """The message shown for a task next to its reason."""
        state = self.history.tasks[task_id]
        if self.waiting is not None and self.waiting.task == task_id and state.status is TaskStatus.PENDING:
            return f"waits for {self.waiting.wanted}"
        if self.spec.external and state.status is TaskStatus.PENDING and (awaited := self._awaited(task_id)):
            return f"waits for {awaited}"
        if state.stop is not None and state.is_live:
            return f"is being stopped: {state.stop.message}"
        if (environment := self.awaited_environment(task_id)) is not None:
            who = f" ({environment.message})" if environment.message else ""
            return f"waits: its environment is being made{who}"
        task = self.history.cached.get(task_id)
        if task is not None and (reuse := self.awaited_reuse(task)) is not None:
            return f"waits: {reuse}"
        return state.message

    @property
    def making(self) -> list[str]:
        """A line for each Python environment that is being made now."""
        if not self.history.environments or self.supervisor not in ("alive", "elsewhere"):
            return []
        return [state.progress for state in self.history.environments.values() if state.is_made_now]

    def awaited_environment(self, task_id: str) -> EnvironmentState | None:
        """The Python environment that is being made, and that a task waits for, if for nothing else."""
        if not self.history.environments or self.supervisor not in ("alive", "elsewhere"):
            return None
        task = trial_fields.filled_where_possible(self.spec.named(task_id), self.spec, self.history)
        if task.python is None or self.history.tasks[task_id].status is not TaskStatus.PENDING:
            return None
        environment = self.history.environments.get(python_environment.key(task.python))
        if environment is None or not environment.is_made_now:
            return None
        is_next = all(self.history.tasks[name].is_over for name in task.dependencies)
        return environment if is_next and self.history.external.keys() >= set(task.external) else None

    def awaited_reuse(self, task: Task) -> str | None:
        """What a task waits for because its result, or that of what it depends on, may be reused."""
        if not self.history.cached or self.supervisor not in ("alive", "elsewhere"):
            return None
        from nemorun_cli.views import reuse_progress  # noqa: PLC0415 - few specs have the key

        return reuse_progress.of_task(self.history, task)

    @property
    def keeping(self) -> list[str]:
        """A line for each result that is being kept, for which the experiment waits."""
        if not self.history.cached or self.supervisor not in ("alive", "elsewhere"):
            return []
        from nemorun_cli.views import reuse_progress  # noqa: PLC0415 - few specs have the key

        return reuse_progress.lines(self.history)

    def _awaited(self, task_id: str) -> str | None:
        """What a task waits for outside of the experiment, if for nothing else."""
        task = self.spec.named(task_id)
        if not task.external or not all(self.history.tasks[name].is_over for name in task.dependencies):
            return None
        texts = {each.key: each.text for each in self.spec.external}
        return next((texts[key] for key in task.external if key not in self.history.external), None)

    def match_tasks(self, wanted: Sequence[str]) -> list[str]:
        """The ids of the matching tasks, in the order of the spec.

        Each item of `wanted` is an exact id, a group, a glob, a unique prefix, or a number from `exp status`.

        Raises:
            NotFoundError: an item matches nothing.
            AmbiguousError: an item is a prefix of several ids.
        """
        chosen: set[str] = set()
        for text in wanted:
            chosen |= self._match(text)
        return [name for name in self.spec.ids if name in chosen]

    def _match(self, text: str) -> set[str]:
        ids = self.spec.ids
        if not text:
            raise NotFoundError("the name of a task is empty", hint="is a variable of the script unset?")
        if text in self.history.tasks:
            return {text}
        for group in self.spec.groups:
            if group.id == text:
                return set(group.members)
            if text.startswith(f"{group.id}/") and (matching := _combination(group, text)):
                return matching
        if matching := set(fnmatch.filter(ids, text)):
            return matching
        matching = {task_id for task_id in ids if task_id.startswith(text)}
        if len(matching) > 1:
            listed = ", ".join(sorted(matching)[:10])
            raise AmbiguousError(
                f"{text!r} matches {len(matching)} tasks of {self.files.id}: {listed}",
                hint=f"for all of them: '{text}*'",
            )
        if not matching and text.isdigit() and int(text) < len(ids):
            return {ids[int(text)]}
        if not matching:
            near = difflib.get_close_matches(text, ids, n=1)
            known = ", ".join(ids[:10]) + (", …" if len(ids) > 10 else "")  # noqa: PLR2004 - as many as fit a line
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {known}"
            raise NotFoundError(f"{self.files.id} has no task {text!r}", hint=hint)
        return matching

    @property
    def label(self) -> str:
        """The id, with the title if there is one."""
        return f"{self.files.id} ({self.spec.title})" if self.spec.title else self.files.id

    def to_json(self) -> StatusDocument:
        """The document `exp.status/1`."""
        created, finished = self.history.created, self.history.finished
        return cast(
            "StatusDocument",
            {
                "schema": STATUS_FORMAT,
                "id": self.files.id,
                "name": self.spec.name,
                "title": self.spec.title,
                "status": self.status,
                "outcome": self.history.outcome or self.history.status,
                "directory": str(self.files.directory),
                "created": created.get("time"),
                "started": self.history.started,
                "ended": finished["time"] if finished else None,
                "active": self.active,
                "key": created.get("key"),
                "prefix": created.get("prefix"),
                "description": self.spec.description,
                "tags": self.tags,
                "notes": [note.to_json() for note in self.history.notes],
                "bindrs": list(self.spec.bindrs),
                "not_observed": self.not_observed,
                "sync": None if self.sync is None else self.sync.to_json(),
                "supervisor": {
                    "state": self.supervisor,
                    "pid": self.holder.pid if self.holder else None,
                    "host": self.holder.host if self.holder else None,
                    "responding": self.is_responding,
                    "problem": self.problem,
                },
                "counts": {status: count for status, count in self.history.counts.items() if count},
                "sweeps": [self.sweep(group).to_json() for group in sweeps.of(self.spec)],
                "groups": [sweeps.members_json(self.members(group), group) for group in self.spec.groups],
                "searches": [
                    searches.to_json(study, self.sweep(study.group))
                    for study in searches.of(self.spec, self.history)
                ],
                "best": group_bests.to_json(self.spec, self.history),
                "tasks": [self.task_json(task.id, index) for index, task in enumerate(self.spec.tasks)],
            },
        )

    def members(self, group: Group) -> list[TaskState]:
        """The states of a group's members, in the order of the spec."""
        return [self.history.tasks[name] for name in group.members]

    def sweep(self, group: Group) -> sweeps.Progress:
        """The progress of a sweep."""
        return sweeps.progress(
            self.members(group),
            group,
            now=self.seen,
            is_supervised=self.supervisor == "alive" and self.stall is None,
            starts_until=self._starts_until(group),
        )

    def _starts_until(self, group: Group) -> float:
        """When the timeout of a search expires, in Unix seconds; infinite without one.

        It counts from the first suggestion, and again for each supervisor.
        """
        study = self.history.studies.get(group.id)
        if group.search is None or group.search.timeout is None or study is None or study.began is None:
            return math.inf
        since = self.history.supervisor.since if self.history.supervisor is not None else study.began
        return unix(max(study.began, since)) + group.search.timeout

    def duration(self, state: TaskState) -> float | None:
        """Seconds from the start of a task to its end, or until now."""
        seconds = state.seconds(self.seen)
        return None if seconds is None else round(seconds, 3)

    @property
    def active(self) -> float | None:
        """Seconds since the first start in which a supervisor or a task ran; None before it."""
        if self.history.finished and "active" in self.history.finished:
            recorded: float = self.history.finished["active"]
            return recorded
        seconds = self.history.active_seconds(self.seen, is_supervised=self.supervisor != "gone")
        return None if seconds is None else round(seconds, 3)

    def active_duration(self, state: TaskState) -> float | None:
        """The duration of a task without the pauses of the experiment in which it did not run."""
        if state.started is None or state.duration is not None:
            return state.duration
        ended = self.seen if state.ended is None else unix(state.ended)
        return round(self.history.active_time.of_attempt(state.started, ended), 3)

    def _evidence(self, state: TaskState) -> str | None:
        if state.evidence:
            return state.evidence
        if state.is_over:
            return "the ledger" if state.submitted else None
        if not state.is_live:
            return None
        if self.is_replica:
            return "the ledger, as of the last report"
        if self.stall is not None:
            return "the ledger; its supervisor does not respond"
        return "its supervisor is alive" if self.supervisor == "alive" else f"looked at {stamp(self.seen)}"


def _combination(group: Group, text: str) -> set[str]:
    """The members of a matrix group that share a partial combination of values, such as `train/lr=0.1`."""
    return {member for member in group.members if member.startswith(f"{text}/")}
