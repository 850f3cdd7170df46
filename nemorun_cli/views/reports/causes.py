"""The causes of a task's status, as sentences for people and as kinds for scripts."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import usage
from nemorun_cli.model.attempt_end import SIGNAL_BASE, signal_name
from nemorun_cli.model.clock import stamp, unix
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.units import duration_text
from nemorun_cli.scheduler.parallel_limit import ParallelLimit
from nemorun_cli.scheduler.schedule import Schedule, delay_of, rule_of
from nemorun_cli.storage import events as kinds
from nemorun_cli.views import needless, resource_wait
from nemorun_cli.views.reports import best_causes, search_causes
from nemorun_cli.views.reports.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.spec import Task
    from nemorun_cli.scheduler.leaders import GroupEnd
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot

MOST_NAMED: Final = 5  # tasks that one sentence names
BROKEN_PIPE: Final = SIGNAL_BASE + signal.SIGPIPE

_PIPE_HINT: Final = (
    f"{BROKEN_PIPE} is SIGPIPE: a program wrote to a pipe whose reader had ended, as `seq 99999 | head -1`,"
    " which is a failure with pipefail; use a reader that reads everything, as in `seq 99999 | sed -n 1p`,"
    " or let the writer fail: `{ seq 99999 || true; } | head -1`"
)

_VERBS: Final = {
    TaskStatus.FAILED: "failed",
    TaskStatus.CANCELLED: "was cancelled",
    TaskStatus.SKIPPED: "was skipped",
}
_STOPPED: Final[dict[str, str]] = {
    Reason.UNTIL: "it was stopped",
    Reason.TARGET: "it was stopped by its `stop`",
    Reason.PRUNED: "it was pruned",
}
_IMPLIED: Final = frozenset(
    {Reason.EXIT, Reason.SIGNAL, Reason.CANCELLED}
)  # implied by the rest of the sentence


class CauseReader:
    """Derives causes from a snapshot and the events that led to it; no method has effects."""

    def __init__(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self.snapshot = snapshot
        self.history = snapshot.history
        self.schedule = Schedule(snapshot.spec, snapshot.history)
        self._events = events
        self._group_ends: dict[str, GroupEnd | None] = {}

    def causes(self, task: Task, state: TaskState) -> list[Cause]:
        """The causes of the task's status, the nearest one first."""
        by_status = {
            TaskStatus.PENDING: self._pending,
            TaskStatus.SUBMITTED: self._submitted,
            TaskStatus.RUNNING: self._running,
            TaskStatus.UNKNOWN: self._unknown,
            TaskStatus.SUCCEEDED: self._succeeded,
            TaskStatus.FAILED: self._failed,
            TaskStatus.CANCELLED: self._cancelled,
            TaskStatus.SKIPPED: self._skipped,
        }
        bests = best_causes.of_task(self.snapshot.spec, self.history, self._events, task, state)
        searched = search_causes.of_trial(self.snapshot, task) if task.group else ()
        own = [*by_status[state.status](task, state), *self._retried(task, state), *searched, *bests]
        return own if state.is_over else [*self._stalled(), *self._unrecorded(), *own]

    def _unrecorded(self) -> list[Cause]:
        """The supervisor, if it cannot write the ledger, so that this may no longer be the task's status."""
        if self.snapshot.problem is None:
            return []
        text = f"its supervisor starts and records nothing: {self.snapshot.problem}; what is known is older"
        return [Cause(kind="ledger", message=text)]

    def _stalled(self) -> list[Cause]:
        """The supervisor, if it does not respond."""
        if not self.snapshot.stall_text:
            return []
        text = f"{self.snapshot.stall_text}; {self.snapshot.stall_remedy}"
        return [Cause(kind="stalled", message=text)]

    def _retried(self, task: Task, state: TaskState) -> list[Cause]:
        """The rule by which the current attempt is a retry."""
        event = kinds.last(self._events, task.id, kinds.RETRIED)
        if event is None or event["attempt"] != state.attempt or not event.get("rule"):
            return []
        text = f"attempt {state.attempt} is a retry by retry.on ({event['rule']}), after {event.get('after')}"
        return [Cause(kind="retried", message=text, time=event["time"])]

    def chain(self, task: Task) -> list[Cause]:
        """The chain of dependencies from a skipped task up to the task that caused it."""
        links: list[Cause] = []
        while self.history.tasks[task.id].reason == Reason.DEPENDENCY:
            parent = next((name for name in task.dependencies if self._blocks(name)), self._ender(task))
            if parent is None:
                break
            task, state = self.schedule.tasks[parent], self.history.tasks[parent]
            links.append(_of_task("dependency", parent, state, f"{parent} {_described(state)}"))
        return links

    def _blocks(self, name: str) -> bool:
        return self.history.tasks[name].is_over and not self.schedule.is_ok(name)

    def _ender(self, task: Task) -> str | None:
        """The member whose end was the end of the task's group, if the group ended with its leader."""
        end = self._group_end(task)
        return end.cause if end is not None and end.cause != task.id else None

    def _group_end(self, task: Task) -> GroupEnd | None:
        group = self.schedule.group_with_leader(task.id)
        if group is None:
            return None
        if group.id not in self._group_ends:
            self._group_ends[group.id] = self.schedule.group_end(group)
        return self._group_ends[group.id]

    def _needless(self, task: Task, state: TaskState) -> list[Cause]:
        """That a live member is stopped because its group has ended, or why nothing stops it."""
        end = self._group_end(task)
        if end is None or (state.cancel is not None and state.cancel.reason != end.reason):
            return [_requested(state)] if state.cancel else []
        text = f"it is being stopped: {end.message}"
        group = self.schedule.groups[task.group or ""]
        is_stopped_by_job = needless.is_stopped_by_job(self.schedule, group, task.id, end)
        if self.snapshot.supervisor != "alive" and not is_stopped_by_job:
            remedy = f"use exp resume {self.snapshot.files.id}, or exp cancel"
            if end.reason is Reason.DEPENDENCY:
                remedy = f"exp cancel stops it, and exp resume runs {end.cause} again"
            text = f"{end.message}, but without a supervisor nothing stops it: {remedy}"
        other = self.history.tasks[end.cause]
        time = state.cancel.time if state.cancel else None
        return [Cause(kind=end.reason, message=text, task=end.cause, status=other.status, time=time)]

    def _pending(self, task: Task, state: TaskState) -> list[Cause]:
        causes = []
        if state.cancel:
            causes.append(_requested(state))
        if self.snapshot.supervisor in ("gone", "elsewhere"):
            causes.append(self._without_supervisor())
        unfinished = [name for name in task.dependencies if not self.history.tasks[name].is_over]
        if task.handler is not None and self.history.outcome is None:
            text = f"it is a handler ({task.handler}): it waits until all tasks are finished"
            return [*causes, Cause(kind="handler", message=text)]
        for name in unfinished:
            other = self.history.tasks[name]
            causes.append(
                _of_task("dependency", name, other, f"it waits for {name}, which is {other.status}")
            )
        outside = self._outside(task)
        if unfinished or outside:
            return causes + outside
        if (delay := self._delay(task, state)) > 0:
            text = f"it is retried in {duration_text(max(1, round(delay)))}, after a delay"
            causes.append(Cause(kind="delay", message=text, time=state.not_before))
        causes += [*self._together(task), *self._sweep(task)]
        causes += [*self._returned(state), *self._environment(task)]
        if (reuse := self.snapshot.awaited_reuse(task)) is not None:
            causes.append(Cause(kind="cache", message=f"it waits: {reuse}"))
        if not causes:
            causes += self._slots(task) or self._resources(task)
        if self.snapshot.stall is not None:
            return causes
        return causes or [Cause(kind="starting", message="ready, starting next")]

    def _environment(self, task: Task) -> list[Cause]:
        """The Python environment that is being made, and that a task waits for."""
        environment = self.snapshot.awaited_environment(task.id)
        if environment is None:
            return []
        since = duration_text(max(1, round(self.snapshot.seen - unix(environment.since))))
        who = environment.message or "a process of this experiment makes it"
        text = f"it waits for its Python environment ({environment.text}): {who}, since {since}"
        return [Cause(kind="environment", message=text, time=environment.since)]

    def _outside(self, task: Task) -> list[Cause]:
        """What a task waits for outside of the experiment."""
        waiting = [key for key in task.external if key not in self.history.external]
        if not waiting:
            return []
        from nemorun_cli.views.reports import external_text  # noqa: PLC0415 - few tasks wait for such

        home = self.snapshot.files.home
        return [
            Cause(kind="external", message=f"it waits for {external_text.described(external, home)}")
            for external in self.snapshot.spec.external
            if external.key in waiting
        ]

    def _returned(self, state: TaskState) -> list[Cause]:
        """Why the current attempt could not start so far, if it was submitted before."""
        if not state.message or self.snapshot.supervisor != "alive":
            return []
        text = f"attempt {state.attempt} could not start, and is submitted again: {state.message}"
        return [Cause(kind="launch", message=text)]

    def _delay(self, task: Task, state: TaskState) -> float:
        """Seconds until the retry of a task is due; at most its delay, as a clock can be set back."""
        if not state.not_before:
            return 0.0
        return min(unix(state.not_before) - self.snapshot.seen, delay_of(task.retry, state.tries - 1))

    def _without_supervisor(self) -> Cause:
        holder = self.snapshot.holder
        where = f" (pid {holder.pid} on {holder.host})" if holder else ""
        if self.snapshot.is_replica:
            text = f"as of the last report to this server, its supervisor{where}"
            if self.snapshot.supervisor == "gone":
                return Cause(kind="supervisor", message=f"{text} has terminated, and nothing starts it")
            return Cause(kind="elsewhere", message=f"{text} runs on its own machine")
        if self.snapshot.supervisor == "elsewhere":
            return Cause(kind="elsewhere", message=f"its supervisor is on another host{where}")
        resume = f"continue it with: exp resume {self.snapshot.files.id}"
        text = f"nothing starts it: its supervisor{where} has terminated; {resume}"
        return Cause(kind="supervisor", message=text)

    def _together(self, task: Task) -> list[Cause]:
        """The members of its co-scheduled group that delay the group."""
        group = self.schedule.groups.get(task.group or "")
        if group is None or not group.together:
            return []
        delayed = [name for name in group.members if name != task.id and self.history.tasks[name].not_before]
        return [
            _of_task("group", name, self.history.tasks[name], f"{group.id} starts together, and {name} waits")
            for name in delayed
            if self.history.tasks[name].status is TaskStatus.PENDING
        ]

    def _sweep(self, task: Task) -> list[Cause]:
        """The `max_parallel` limit of its sweep, if it is reached."""
        group = self.schedule.groups.get(task.group or "")
        if group is None or group.max_parallel is None:
            return []
        live = sum(self.history.tasks[name].is_live for name in group.members)
        if live < group.max_parallel:
            return []
        limit = f"{group.max_parallel} members of {group.id} may run at once"
        key = "matrix" if group.search is None else "search"
        text = f"it waits for its turn: {limit} (max_parallel of its {key})"
        return [Cause(kind="slots", message=text)]

    def _slots(self, task: Task) -> list[Cause]:
        """The limit of parallel tasks, and the tasks that use it, if it is reached."""
        limit = ParallelLimit.of(self.snapshot.spec)
        if not limit.counts[task.executor]:
            return []
        using = [
            other.id
            for other in self.snapshot.tasks
            if self.history.tasks[other.id].is_live and limit.counts[other.executor]
        ]
        group = self.schedule.groups.get(task.group or "")
        need = len(group.members) if group is not None and group.together else 1
        if len(using) + need <= limit.most:
            return []
        origin = "run.max_parallel" if limit.is_set else "the number of CPUs, as run.max_parallel is not set"
        named = ", ".join(using[:MOST_NAMED]) + (", …" if len(using) > MOST_NAMED else "")
        slots = "a slot" if need == 1 else f"{need} slots"
        text = f"it waits for {slots}: {limit.most} may run at once ({origin})"
        return [Cause(kind="slots", message=f"{text}, and {len(using)} do: {named}" if using else text)]

    def _resources(self, task: Task) -> list[Cause]:
        """The local capacity that other tasks hold, if the task waits for it."""
        if not task.resources or self.snapshot.supervisor != "alive":
            return []
        text = resource_wait.explain(self.snapshot.files, task)
        return [Cause(kind="resources", message=text)] if text else []

    def _submitted(self, task: Task, state: TaskState) -> list[Cause]:
        job = f" as {state.job_id}" if state.job_id else ""
        text = f"{task.executor} has it{job} and has not started it yet"
        causes = [Cause(kind="engine", message=_with(text, state.message), time=state.submitted)]
        if state.reason == Reason.DEPENDENCY:
            unfinished = [name for name in task.dependencies if not self.history.tasks[name].is_over]
            causes += [
                _of_task(
                    "dependency", name, self.history.tasks[name], f"it is queued with a dependency on {name}"
                )
                for name in unfinished
            ]
        return causes + self._needless(task, state)

    def _running(self, task: Task, state: TaskState) -> list[Cause]:
        since = f" since {state.started}" if state.started else ""
        text = f"it runs{since} on {task.executor}" + (f" as {state.job_id}" if state.job_id else "")
        causes = [Cause(kind="running", message=text, time=state.started)]
        if task.timeout is not None and state.started:
            ends = stamp(unix(state.started) + task.timeout)
            causes.append(Cause(kind="timeout", message=f"it times out at {ends}", time=ends))
        return [*causes, *_stopping(state), *self._needless(task, state)]

    def _unknown(self, task: Task, state: TaskState) -> list[Cause]:
        event = kinds.last(self._events, task.id, "unknown") or {}
        since = event.get("time")
        age = f" for {duration_text(max(1, round(self.snapshot.seen - unix(since))))}" if since else ""
        text = f"{task.executor} has not reported its status{age}"
        text = _with(text, state.message) + (f"; known by {state.evidence}" if state.evidence else "")
        return [
            Cause(kind="unknown", message=text, time=since),
            *_stopping(state),
            *self._needless(task, state),
        ]

    def _usage(self, task: Task, state: TaskState) -> list[Cause]:
        """The requested and the used resources, if both are known."""
        if not state.usage or not (task.resources or state.status is TaskStatus.FAILED):
            return []
        text = usage.summary(task.resources, state.usage, self.snapshot.duration(state))
        return [Cause(kind="usage", message=text)] if text else []

    def _succeeded(self, task: Task, state: TaskState) -> list[Cause]:
        text, kind = f"it succeeded in attempt {state.attempt}", "succeeded"
        if state.reason in _STOPPED:
            kind = state.reason
            text = _with(f"{_STOPPED[kind]} in attempt {state.attempt}", state.message)
        elif state.cached_from is not None:
            text, kind = f"it has the result of {kinds.origin_text(state.cached_from)}", Reason.CACHED
        return [Cause(kind=kind, message=text, time=state.ended), *self._usage(task, state)]

    def _failed(self, task: Task, state: TaskState) -> list[Cause]:
        kind = state.reason or Reason.EXIT
        causes = [Cause(kind=kind, message=f"it {_described(state)}", time=state.ended)]
        if state.exit_code == BROKEN_PIPE and task.kind in ("inline", "script"):
            causes.append(Cause(kind="pipe", message=_PIPE_HINT))
        if (why := self._why_no_retry(task, state)) is not None:
            causes.append(Cause(kind="retry", message=why))
        if task.allow_failure:
            text = "it may fail (allow_failure): its dependents continue"
            causes.append(Cause(kind="allow_failure", message=text))
        return causes + self._usage(task, state)

    def _why_no_retry(self, task: Task, state: TaskState) -> str | None:
        retry = task.retry
        if not retry.limit or not state.submitted:
            return None
        if state.tries >= retry.limit:
            return f"it is not retried: {state.tries} of {retry.limit} retries are used"
        if rule_of(retry, state) is None:
            named = ", ".join([*map(str, retry.on), *(f"log: {pattern}" for pattern in retry.log)])
            return f"it is not retried: retry.on ({named}) does not name this failure"
        return None

    def _cancelled(self, task: Task, state: TaskState) -> list[Cause]:
        cancel = state.cancel
        if state.reason == Reason.DEPENDENCY and (parent := self._ender(task)):
            text, other = _with("it was stopped", state.message), self.history.tasks[parent]
            return [
                Cause(kind="dependency", message=text, task=parent, status=other.status, time=state.ended)
            ]
        if cancel is None:
            return [Cause(kind="cancelled", message=state.message or "it was cancelled", time=state.ended)]
        subject = "the whole experiment" if cancel.whole else "it"
        text = _with(f"{subject} was cancelled by {cancel.by} at {cancel.time}", cancel.message)
        kind = "abandoned" if cancel.abandon else cancel.reason
        causes = [Cause(kind=kind, message=text, time=cancel.time, by=cancel.by)]
        if cancel.abandon:
            causes.append(Cause(kind="abandoned", message="not verified: it may still be running"))
        return causes

    def _skipped(self, task: Task, state: TaskState) -> list[Cause]:
        if state.reason == Reason.DEPENDENCY:
            parent = next((name for name in task.dependencies if self._blocks(name)), None)
            if parent is None and (parent := self._ender(task)):
                return [_of_task("dependency", parent, self.history.tasks[parent], state.message or "")]
            outside = [each.text for each in self.snapshot.spec.external if each.key in task.external]
            needed = [*task.dependencies, *outside]
            rule = f"{task.dependency_type} of {', '.join(needed[:MOST_NAMED])}"
            text = _with(f"it needs {rule}", state.message)
            status = self.history.tasks[parent].status if parent else None
            return [Cause(kind="dependency", message=text, task=parent, status=status, time=state.ended)]
        if state.reason == Reason.WHEN:
            text = f"its `when` is false: {task.when}"
            return [Cause(kind="when", message=text, time=state.ended)]
        return [Cause(kind=state.reason or "skipped", message=state.message or "", time=state.ended)]


def _of_task(kind: str, name: str, state: TaskState, message: str) -> Cause:
    return Cause(kind=kind, message=message, task=name, status=state.status, time=state.ended)


def _requested(state: TaskState) -> Cause:
    cancel = state.cancel
    assert cancel is not None  # noqa: S101 - called only for tasks with a cancel
    text = f"a cancel is in progress, requested by {cancel.by} at {cancel.time}"
    return Cause(kind="cancelled", message=_with(text, cancel.message), time=cancel.time, by=cancel.by)


def _stopping(state: TaskState) -> list[Cause]:
    """The condition of its `stop` that was met, or why its search prunes it, if that stops it."""
    if state.stop is None:
        return []
    verb = "pruned" if state.stop.reason == Reason.PRUNED else "stopped by its `stop`"
    text = _with(f"it is being {verb}", state.stop.message)
    return [Cause(kind=state.stop.reason, message=text, time=state.stop.time)]


def _described(state: TaskState) -> str:
    """The result of a task as one phrase: `failed with exit code 127: a program was not found`."""
    text = _VERBS.get(state.status, f"is {state.status}")
    if state.status is TaskStatus.FAILED and state.exit_code is not None:
        text += f" with exit code {state.exit_code}"
    if state.reason and state.reason not in _IMPLIED:
        text += f" ({state.reason})"
    return _with(text, state.message)


def signal_of(state: TaskState) -> str | None:
    """The signal that terminated a task, derived from its exit code; None if none did."""
    if state.exit_code is None or state.exit_code <= SIGNAL_BASE:
        return None
    return signal_name(state.exit_code - SIGNAL_BASE)


def _with(text: str, message: str | None) -> str:
    return f"{text}: {message}" if message else text
