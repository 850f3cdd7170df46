"""The state of an experiment, folded from the events of its ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import StateError
from nemorun_cli.model import labels, wording
from nemorun_cli.model.best import BestRule, Goal
from nemorun_cli.model.clock import seconds_between
from nemorun_cli.model.search import Outcome
from nemorun_cli.model.status import ENDS, LIVE, MOVES, ExperimentStatus, Reason, TaskStatus
from nemorun_cli.model.stored_tasks import StoredTasks
from nemorun_cli.storage.active_time import ActiveTime
from nemorun_cli.storage.events import (
    BEST_CHOSEN,
    CANCEL_REQUESTED,
    CONCLUDED,
    CREATED,
    ENDED,
    ENVIRONMENT_ENDED,
    ENVIRONMENT_STARTED,
    EXTERNAL_ENDED,
    FINGERPRINTED,
    FINISHED,
    KEPT,
    NOTED,
    QUEUED,
    RESUMED,
    RETRIED,
    RETURNED,
    RUNG_REACHED,
    SKIPPED,
    STARTED,
    STOP_REQUESTED,
    SUBMITTED,
    SUGGESTED,
    SUPERVISOR_ENDED,
    SUPERVISOR_STARTED,
    TAGGED,
    TRIAL_ENDED,
    UNKNOWN,
)
from nemorun_cli.storage.study_state import StudyState
from nemorun_cli.system.locks import Holder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.events import Event


_NONE: Final[list[dict[str, Any]]] = []  # one for the ends of all attempts that have none; never changed
_MAY_WAIT: Final = frozenset({TaskStatus.SUBMITTED, TaskStatus.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A request to cancel tasks; with None, `signal` and `grace` (seconds) are the task's own."""

    by: str
    time: str
    whole: bool
    signal: str | None = None
    grace: float | None = None
    abandon: bool = False
    message: str | None = None
    reason: str = "cancelled"


@dataclass(slots=True)
class TaskState:
    """The state of one task. `attempt` counts from 1 and is the current or the next one."""

    status: TaskStatus = TaskStatus.PENDING
    attempt: int = 1
    tries: int = 0  # retries used since the start, or since a resume ran the task again
    job_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    submitted: str | None = None
    gpus: str | None = None  # of this machine, assigned to the attempt, as in CUDA_VISIBLE_DEVICES
    started: str | None = None
    ended: str | None = None
    duration: float | None = None  # seconds, if the clock was set between the start and the end
    not_before: str | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    symptom: str | None = None  # the pattern of `retry.on` that matches the output
    evidence: str | None = None
    holder: Holder | None = None  # the supervisor that submitted the attempt, on the same host and boot
    cancel: Cancel | None = None
    stop: Cancel | None = None  # of this attempt, by a condition on a metric
    fingerprint: str | None = None  # of what the result of this attempt depends on, if it has `cache`
    parts: Mapping[str, str] = field(default_factory=dict)  # of the fingerprint
    cached_from: Mapping[str, Any] | None = None  # the attempt whose result this is; see `events.origin_text`
    was_kept: bool | None = None  # whether its result was kept for later runs; None if that was not decided
    is_shared: bool = field(default=False, compare=False)  # by several tasks: it is replaced, never changed
    runs_again: bool = False  # it had succeeded, and a resume runs it again: no earlier result is used
    cache_note: str | None = None  # why an earlier result was not used, or why this one was not kept

    @property
    def stop_request(self) -> Cancel | None:
        """Why the attempt is being stopped; a cancel goes before a condition that was met."""
        return self.cancel or self.stop

    @property
    def is_over(self) -> bool:
        """Whether the task is finished; a retry or a resume may still start another attempt."""
        return self.status in ENDS

    @property
    def is_unjudged_success(self) -> bool:
        """Whether it succeeded by itself, or has the result of one that did: a pruner may still refuse it."""
        return self.status is TaskStatus.SUCCEEDED and self.reason in (None, Reason.CACHED)

    @property
    def is_needless(self) -> bool:
        """Whether it did not start as its group ended, or its trial was pruned, which counts as success."""
        return self.status is TaskStatus.SKIPPED and self.reason in (Reason.UNTIL, Reason.PRUNED)

    @property
    def is_live(self) -> bool:
        """Whether the attempt is, or may be, in an engine."""
        return self.status in LIVE

    def seconds(self, now: float) -> float | None:
        """The duration of the attempt, until `now` (Unix seconds) if it runs; None if it has not started."""
        if self.started is None or self.duration is not None:
            return self.duration
        return seconds_between(self.started, self.ended or now)

    def why(self) -> str:
        """The reason for the status, as `reason: message`; empty without a reason."""
        return wording.why(self.reason, self.message, self.exit_code)

    @property
    def is_queued_early(self) -> bool:
        """Whether the attempt was queued early with a dependency on other jobs, and has not yet started."""
        return self.status in _MAY_WAIT and self.reason == Reason.DEPENDENCY


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalEnd:
    """How something outside of the experiment ended; UNKNOWN if that is not known any more."""

    status: TaskStatus
    outputs: dict[str, Any] = field(default_factory=dict)
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenBest:
    """The best member of a group, as it was chosen when the group had ended.

    Attributes:
        rule: by what it was chosen.
        winner: the id of the member; None if none qualifies.
        value: the value by which it won; None without a winner.
        tied: the other members that are as good.
        excluded: the members that do not qualify, each as `task`, with `reason`, a word, and `message`.
        message: why nothing could be compared at all.
    """

    rule: BestRule
    winner: str | None = None
    value: float | None = None
    tied: tuple[str, ...] = ()
    excluded: tuple[Mapping[str, str], ...] = ()
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentState:
    """A Python environment of tasks: being made without a `status`, else ready, failed or cancelled.

    `version` and `installed` are those of its Python and its packages; `since` is the time of the last event.
    """

    text: str
    since: str
    status: TaskStatus | None = None
    message: str | None = None
    version: str | None = None
    installed: dict[str, str] = field(default_factory=dict)
    fingerprint: str | None = None

    @property
    def is_made_now(self) -> bool:
        """Whether tasks wait until it is made."""
        return self.status is None

    @property
    def progress(self) -> str:
        """That it is being made, and by which other process if that is so."""
        return f"{self.text} is being made" + (f": {self.message}" if self.message else "")


@dataclass(slots=True)
class ExperimentState:
    """The fold of a ledger; `apply` takes events in the file's order.

    With `strict`, for writers, an illegal move raises; without it, for readers, the move is skipped and
    listed in `ignored`. `outcome` is the result of the tasks, set when all have finished and handlers follow.
    """

    tasks: dict[str, TaskState]
    strict: bool = False
    handlers: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()  # tasks of earlier revisions, whose events are ignored
    revision: int = 1  # of the spec
    created: Event = field(default_factory=dict)
    started: str | None = None
    resumed: str | None = None
    outcome: ExperimentStatus | None = None
    finished: Event | None = None
    supervisor: Holder | None = None
    supervisor_is_over: bool = True
    cancel: Cancel | None = None
    cached: dict[str, Task] = field(default_factory=dict)  # those with `cache`, unless the run has none
    external: dict[str, ExternalEnd] = field(default_factory=dict)  # by the key of `External`
    best: dict[str, ChosenBest] = field(default_factory=dict)  # by group
    studies: dict[str, StudyState] = field(default_factory=dict)  # by group
    environments: dict[str, EnvironmentState] = field(default_factory=dict)  # by `python_environment.key`
    unmatched: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # see `_note_unmatched`
    unjudged: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # of the last attempt, by task
    stopping: set[str] = field(default_factory=set)  # tasks with a `stop` whose attempt has not ended
    cancels: int = 0  # requests since the start or the last resume
    limit: str | None = None
    tag_changes: list[labels.TagChange] = field(default_factory=list)
    notes: list[labels.Note] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    counts: Counter[TaskStatus] = field(default_factory=Counter)
    active_time: ActiveTime = field(default_factory=ActiveTime)

    def __post_init__(self) -> None:
        self.counts.update(state.status for state in self.tasks.values())

    @classmethod
    def of(cls, spec: Spec, *, strict: bool = False) -> Self:
        """The state of an experiment before its first event."""
        handlers = (task.id for task in spec.possible_tasks if task.handler is not None)
        if isinstance(spec.tasks, StoredTasks):
            tasks = dict.fromkeys(spec.ids, TaskState(is_shared=True))
        else:
            tasks = {name: TaskState() for name in spec.ids}
        cached: dict[str, Task] = {}
        if spec.run.cache and any(task.cache is not None for task in spec.possible_tasks):
            cached = {task.id: task for task in spec.tasks if task.may_be_cached}
        return cls(
            tasks, strict=strict, handlers=frozenset(handlers), removed=frozenset(spec.removed), cached=cached
        )

    @property
    def status(self) -> ExperimentStatus | None:
        """The final status from the ledger, or None while the experiment is not finished."""
        return ExperimentStatus(self.finished["status"]) if self.finished else None

    @property
    def is_settled(self) -> bool:
        """Whether every task is finished."""
        return sum(self.counts[status] for status in ENDS) == len(self.tasks)

    def apply_all(self, events: Iterable[Event]) -> None:
        """Apply several events."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Apply one event.

        Raises:
            StateError: the event is an illegal move, and `strict` is on.
        """
        kind = event["event"]
        if handler := _TASK_EVENTS.get(kind):
            state = self.tasks.get(event["task"])
            if state is not None:
                if state.is_shared:
                    state = self.own(event["task"])
                handler(self, state, event)
                self.active_time.note(event, state.started)
            elif event["task"] not in self.removed:
                self._reject(event, "no such task")
        elif step := _EXPERIMENT_EVENTS.get(kind):
            step(self, event)
            self.active_time.note(event)

    def own(self, task_id: str) -> TaskState:
        """The state of a task, which no other task shares, so that it can be changed."""
        state = self.tasks[task_id]
        if state.is_shared:  # nothing has happened to it but a cancel
            state = self.tasks[task_id] = TaskState(cancel=state.cancel)
        return state

    def active_seconds(
        self, now: float, *, is_supervised: bool, clock_step: float | None = None
    ) -> float | None:
        """The seconds since the first start without pauses; None before it. See `ActiveTime.seconds`.

        Args:
            now: in Unix seconds.
            is_supervised: whether a supervisor is at work now.
            clock_step: by how many seconds the clock was set since that supervisor started.
        """
        live = (state.started for state in self.tasks.values() if state.started and state.is_live)
        return self.active_time.seconds(now - (clock_step or 0.0), live=live, is_supervised=is_supervised)

    def move(self, state: TaskState, status: TaskStatus, event: Event) -> bool:
        """Change the task to `status` if `MOVES` allows it; return whether it did."""
        if status not in MOVES[state.status]:
            self._reject(event, f"{state.status} cannot become {status}")
            return False
        self.counts[state.status] -= 1
        self.counts[status] += 1
        state.status = status
        return True

    def _reject(self, event: Event, why: str) -> None:
        message = f"{event['event']} of {event.get('task')} at {event.get('time')}: {why}"
        if self.strict:
            raise StateError(f"the writer of the ledger made an illegal move: {message}")
        self.ignored.append(message)


def _submitted(history: ExperimentState, state: TaskState, event: Event) -> None:
    if history.move(state, TaskStatus.SUBMITTED, event):
        state.attempt = event["attempt"]
        state.submitted = event["time"]
        state.job_id = event.get("job_id")
        state.holder = history.supervisor
        state.gpus = event.get("gpus")
        state.reason = event.get("reason")
        state.message = None


def _queued(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event) and history.move(state, TaskStatus.SUBMITTED, event):
        state.job_id = event.get("job_id", state.job_id)
        state.message = event.get("message")
        state.evidence = event.get("evidence")


def _returned(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event) and history.move(state, TaskStatus.PENDING, event):
        state.submitted = state.job_id = state.reason = state.evidence = state.holder = state.gpus = None
        state.message = event.get("message")


def _started(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event) and history.move(state, TaskStatus.RUNNING, event):
        state.started = event["time"]
        state.job_id = event.get("job_id", state.job_id)
        state.evidence = event.get("evidence")
        state.reason = state.message = None


def _unknown(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event) and history.move(state, TaskStatus.UNKNOWN, event):
        state.message = event.get("message")
        state.evidence = event.get("evidence")


def _fingerprinted(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event):
        state.fingerprint, state.parts = event["fingerprint"], event["parts"]
        state.was_kept, state.cache_note = None, event.get("message")


def _kept(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event):
        state.was_kept = "message" not in event
        state.cache_note = event.get("message", state.cache_note)


def _stop_requested(history: ExperimentState, state: TaskState, event: Event) -> None:
    if event["reason"] not in set(Reason):
        return  # of a later version: what the attempt is by itself is all that this one can know
    if _is_current(history, state, event) and state.is_live and state.stop is None:
        state.stop = Cancel(
            by=event["by"],
            time=event["time"],
            whole=False,
            message=event.get("message"),
            reason=event["reason"],
        )
        history.stopping.add(event["task"])
        _note_prune(history, event)


def _note_prune(history: ExperimentState, event: Event) -> None:
    study = history.studies.get(_group_of(event))
    if event["reason"] != Reason.PRUNED or study is None:
        return
    task = event.get("pruned_task", event["task"])
    if task in history.tasks:
        study.prune(event, task=task, attempt=history.tasks[task].attempt)


def _ended(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event) and history.move(state, TaskStatus(event["status"]), event):
        state.ended = event["time"]
        state.started = event.get("started", state.started)
        state.duration = event.get("duration")
        state.job_id = event.get("job_id", state.job_id)
        state.exit_code = event.get("exit_code")
        state.reason = event.get("reason")
        state.message = event.get("message")
        state.outputs = event.get("outputs", {})
        state.usage = event.get("usage")
        state.symptom = event.get("symptom")
        state.evidence = event.get("evidence")
        state.cached_from = event.get("cached_from")
        history.stopping.discard(event["task"])
        history.unjudged[event["task"]] = event.get("unjudged", _NONE)
        _note_unmatched(history, event)


def _suggested(history: ExperimentState, state: TaskState, event: Event) -> None:
    del state
    if problem := history.studies.setdefault(_group_of(event), StudyState()).suggest(event):
        history._reject(event, problem)  # noqa: SLF001 - a step of the same fold


def _rung_reached(history: ExperimentState, state: TaskState, event: Event) -> None:
    if _is_current(history, state, event):
        history.studies.setdefault(_group_of(event), StudyState()).reach(event)


def _trial_ended(history: ExperimentState, state: TaskState, event: Event) -> None:
    if event["outcome"] not in set(Outcome):
        return  # of a later version
    if not _is_current(history, state, event):
        return
    study = history.studies.setdefault(_group_of(event), StudyState())
    problem = study.end(event) if state.is_over else f"the trial is {state.status}"
    if problem:
        history._reject(event, problem)  # noqa: SLF001 - a step of the same fold
        return
    known = (name for name in event.get("judged", ()) if name in history.tasks)
    study.note_judged(event, {name: history.tasks[name].attempt for name in known})
    if event["outcome"] == Outcome.PRUNED and state.is_unjudged_success:
        state.reason = Reason.PRUNED  # it ended by itself before it could be stopped
        state.message = event.get("message")


def _group_of(event: Event) -> str:
    group: str = event["task"].partition("/")[0]
    return group


def _note_unmatched(history: ExperimentState, event: Event) -> None:
    """Note the metric patterns of a task that no attempt matched so far, and those that were given up."""
    latest, before = event.get("unmatched", _NONE), history.unmatched.get(event["task"])
    if before is not None and latest:
        known = {(each["series"], each["pattern"]) for each in before}
        latest = [
            each for each in latest if each["reason"] == "slow" or (each["series"], each["pattern"]) in known
        ]
    history.unmatched[event["task"]] = latest


def _skipped(history: ExperimentState, state: TaskState, event: Event) -> None:
    if history.move(state, TaskStatus.SKIPPED, event):
        state.ended = event["time"]
        state.reason = event["reason"]
        state.message = event.get("message")
        _note_prune(history, event)


def _retried(history: ExperimentState, state: TaskState, event: Event) -> None:
    if history.move(state, TaskStatus.PENDING, event):
        _reset(state, event["attempt"])
        state.tries += 1
        state.not_before = event.get("not_before")
        _reopen_trials(history, [event["task"]])


def _is_current(history: ExperimentState, state: TaskState, event: Event) -> bool:
    if event["attempt"] == state.attempt:
        return True
    history._reject(event, f"the current attempt is {state.attempt}")  # noqa: SLF001 - a step of the same fold
    return False


def _reset(state: TaskState, attempt: int) -> None:
    state.attempt = attempt
    state.job_id = state.exit_code = state.reason = state.message = None
    state.submitted = state.started = state.ended = state.not_before = state.evidence = None
    state.holder = state.usage = state.symptom = state.duration = state.gpus = None
    state.stop = state.fingerprint = state.cached_from = state.was_kept = state.cache_note = None
    state.outputs, state.parts = {}, {}


def _created(history: ExperimentState, event: Event) -> None:
    history.created = event


def _supervisor_started(history: ExperimentState, event: Event) -> None:
    history.supervisor = Holder.from_mapping({**event, "since": event["time"]})
    history.supervisor_is_over = False
    for key, environment in list(history.environments.items()):
        if environment.is_made_now:  # for another supervisor, which was killed
            del history.environments[key]
    history.started = history.started or event["time"]


def _supervisor_ended(history: ExperimentState, event: Event) -> None:
    history.supervisor_is_over = True
    del event


def _external_ended(history: ExperimentState, event: Event) -> None:
    history.external[event["external"]] = ExternalEnd(
        status=TaskStatus(event["status"]), outputs=event.get("outputs", {}), message=event.get("message")
    )


def _best_chosen(history: ExperimentState, event: Event) -> None:
    winner = event.get("winner")
    if winner in history.removed:
        return
    if (
        event["goal"] not in set(Goal)
        or event["metric"] is None
        or (winner is not None and winner not in history.tasks)
    ):
        history._reject(event, "no such goal or member")  # noqa: SLF001 - a step of the same fold
        return
    history.best[event["group"]] = ChosenBest(
        rule=BestRule(metric=event["metric"], goal=Goal(event["goal"])),
        winner=winner,
        value=event.get("value"),
        tied=tuple(event.get("tied", ())),
        excluded=tuple(event.get("excluded", ())),
        message=event.get("message"),
    )


def _cancel_requested(history: ExperimentState, event: Event) -> None:
    names = event.get("tasks")
    cancel = Cancel(
        by=event["by"],
        time=event["time"],
        whole=names is None,
        signal=event.get("signal"),
        grace=event.get("grace"),
        abandon=event.get("abandon", False),
        message=event.get("message"),
        reason=event.get("reason", "cancelled"),
    )
    if names is None:
        if history.finished:
            return
        if history.outcome is None:  # tasks still run; handlers are exempt, for they run after a cancel
            history.cancel = cancel
            names = history.tasks.keys() - history.handlers if history.handlers else history.tasks
        else:
            names = history.handlers
    history.cancels += 1
    if cancel.reason == "limit":
        history.limit = cancel.message
    shared: dict[int, TaskState] = {}  # by the id of the state that tasks have shared so far
    for name in names:
        state = history.tasks.get(name)
        if state is None or state.is_over:
            continue
        if not state.is_shared:
            state.cancel = cancel
            continue
        if id(state) not in shared:
            shared[id(state)] = TaskState(cancel=cancel, is_shared=True)
        history.tasks[name] = shared[id(state)]


def _resumed(history: ExperimentState, event: Event) -> None:
    history.resumed = event["time"]
    history.revision = event.get("revision", history.revision)
    history.finished = history.cancel = history.limit = None
    history.cancels = 0
    # What failed may have been mended since, by a resume of the other experiment.
    history.external = {
        key: end for key, end in history.external.items() if end.status is TaskStatus.SUCCEEDED
    }
    if "revision" in event:
        history.best.clear()  # the rule, or the members, may be others
    for name in event["tasks"]:
        history.best.pop(name.partition("/")[0], None)  # chosen again, since a member runs again
    _reopen_trials(history, event["tasks"])
    if not history.handlers.issuperset(event["tasks"]):
        history.outcome = None  # tasks run again, so the experiment will get a new result
    for name in [name for name, state in history.tasks.items() if state.cancel is not None]:
        history.own(name).cancel = None
    for name, attempt in event["tasks"].items():
        if name in history.removed:
            continue
        resumed = {**event, "task": name}
        if name not in history.tasks:
            history._reject(resumed, "no such task")  # noqa: SLF001 - a step of the same fold
        else:
            known = history.own(name)
            had_succeeded = known.status is TaskStatus.SUCCEEDED
            if not history.move(known, TaskStatus.PENDING, resumed):
                continue
            _reset(known, attempt)
            known.runs_again = had_succeeded
            known.tries = 0
            if "revision" in event:
                history.unmatched.pop(name, None)  # its patterns may be others


def _reopen_trials(history: ExperimentState, names: Iterable[str]) -> None:
    """Forget the results of trials that run again."""
    tasks: dict[str, list[str]] = {}
    for name in names if history.studies else ():
        group = name.partition("/")[0]
        if group in history.studies:
            tasks.setdefault(group, []).append(name)
    for group, reopened in tasks.items():
        history.studies[group].reopen(reopened)


def _environment_started(history: ExperimentState, event: Event) -> None:
    history.environments[event["python_environment"]] = EnvironmentState(
        text=event["environment_text"], since=event["time"], message=event.get("message")
    )


def _environment_ended(history: ExperimentState, event: Event) -> None:
    history.environments[event["python_environment"]] = EnvironmentState(
        text=event["environment_text"],
        since=event["time"],
        status=TaskStatus(event["status"]),
        message=event.get("message"),
        version=event.get("python_version"),
        installed=event.get("installed", {}),
        fingerprint=event.get("fingerprint"),
    )


def _concluded(history: ExperimentState, event: Event) -> None:
    history.outcome = ExperimentStatus(event["status"])


def _finished(history: ExperimentState, event: Event) -> None:
    history.finished = event


def _tagged(history: ExperimentState, event: Event) -> None:
    history.tag_changes.append(labels.TagChange(event["added"], event["removed"]))


def _noted(history: ExperimentState, event: Event) -> None:
    history.notes.append(labels.Note(event["time"], event["by"], event["text"]))


_TASK_EVENTS = {
    SUBMITTED: _submitted,
    QUEUED: _queued,
    RETURNED: _returned,
    STARTED: _started,
    UNKNOWN: _unknown,
    STOP_REQUESTED: _stop_requested,
    FINGERPRINTED: _fingerprinted,
    KEPT: _kept,
    ENDED: _ended,
    SKIPPED: _skipped,
    RETRIED: _retried,
    SUGGESTED: _suggested,
    RUNG_REACHED: _rung_reached,
    TRIAL_ENDED: _trial_ended,
}
_EXPERIMENT_EVENTS = {
    CREATED: _created,
    SUPERVISOR_STARTED: _supervisor_started,
    SUPERVISOR_ENDED: _supervisor_ended,
    EXTERNAL_ENDED: _external_ended,
    BEST_CHOSEN: _best_chosen,
    ENVIRONMENT_STARTED: _environment_started,
    ENVIRONMENT_ENDED: _environment_ended,
    CANCEL_REQUESTED: _cancel_requested,
    RESUMED: _resumed,
    CONCLUDED: _concluded,
    FINISHED: _finished,
    TAGGED: _tagged,
    NOTED: _noted,
}
