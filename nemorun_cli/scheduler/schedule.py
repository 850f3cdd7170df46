"""Decides which tasks can run now, from the dependency graph and the states of its tasks. No effects."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from nemorun_cli.model import handlers
from nemorun_cli.model.clock import steady, unix
from nemorun_cli.model.search import id_of_trial
from nemorun_cli.model.status import RETRIED_AS, ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler import leaders
from nemorun_cli.scheduler.trial_fields import filled_where_possible, spec_with_values
from nemorun_cli.scheduler.trials import TrialQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

    from nemorun_cli.model.capacity import Capacity
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Group, Handler, Retry, Spec, Task
    from nemorun_cli.scheduler.leaders import GroupEnd
    from nemorun_cli.storage.state import ChosenBest, ExperimentState, TaskState

ANY: Final = "any"
LONGEST_DELAY: Final = 365 * 86_400.0  # seconds; unlimited backoff would exceed any timestamp


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a task can run now or can never run, and why."""

    task: str
    may_run: bool
    message: str | None = None
    reason: Reason = Reason.DEPENDENCY


QueueKey: TypeAlias = "tuple[str, str, Resources]"
"""Key of a ready queue: a group with `max_parallel` (or ""), an executor, the requested resources."""

EnvironmentOf: TypeAlias = "Callable[[Task], str | None]"


@dataclass(slots=True, kw_only=True)
class _Turn:
    """The remaining capacity while tasks are selected.

    `group_capacity` is by group with max_parallel, `allowances` by executor that starts few tasks now.
    """

    slots: int | None
    needs_slot: Mapping[str, bool]
    most: int | None
    machine: Capacity | None
    group_capacity: dict[str, int]
    allowances: dict[str, int]
    refused: set[str] = field(default_factory=set)  # tasks that do not fit on the machine now
    taken: list[str] = field(default_factory=list)

    def is_closed(self, ready_queue: QueueKey) -> bool:
        """Whether no task of a ready queue can start."""
        group, executor, _ = ready_queue
        return (
            (self.slots == 0 and self.needs_slot[executor])
            or self.group_capacity.get(group) == 0
            or self.allowances.get(executor) == 0
        )


@dataclass(slots=True)
class Schedule:
    """The graph and the queues of ready tasks; the cost of a finished task depends on its children only."""

    spec: Spec
    history: ExperimentState
    tasks: MutableMapping[str, Task] = field(init=False)
    groups: dict[str, Group] = field(init=False)
    trials: TrialQueue = field(init=False)
    failures: int = 0
    _children: defaultdict[str, list[str]] = field(init=False)
    _awaiting: defaultdict[str, list[str]] = field(init=False)  # tasks by the key of what is outside
    _waiting: dict[str, int] = field(init=False)
    _kin: dict[str, Task] = field(init=False)  # see `Spec.kin`
    _unfinished: int = field(init=False)  # tasks, handlers excluded, that may still run
    _counted: set[str] = field(default_factory=set)
    _ready: dict[QueueKey, list[tuple[int, str]]] = field(default_factory=dict)
    _queued: set[str] = field(default_factory=set)  # tasks in a ready queue that were not started yet
    _running: dict[str, set[str]] = field(default_factory=dict)  # members, or trials, by such a group
    _failed: Counter[str] = field(default_factory=Counter)  # members, or trials, by group
    _failed_trials: set[str] = field(default_factory=set)
    _exhausted: list[str] = field(default_factory=list)  # groups that reached max_failures, not yet returned
    _delayed: list[tuple[float, int, str]] = field(default_factory=list)
    _group_ends: dict[str, GroupEnd] = field(default_factory=dict)  # by group, once it ended with its leader
    _environments: dict[str, str] = field(default_factory=dict)  # by task, the key of one that is not ready
    _unready: EnvironmentOf = lambda _: None
    _held: dict[str, list[str]] = field(default_factory=dict)  # ready tasks by the environment they wait for
    _reusable: frozenset[str] = frozenset()  # tasks whose result may be one that was kept
    _unlooked: set[str] = field(default_factory=set)  # those for whose attempt none was looked for yet
    _to_look: list[str] = field(default_factory=list)  # those of them that are ready
    _looking: set[str] = field(default_factory=set)  # ready tasks for which it is looked for
    _keeping: set[str] = field(default_factory=set)  # tasks whose result is being kept
    _after_keeping: list[str] = field(default_factory=list)  # ready tasks that wait for that

    def __post_init__(self) -> None:
        spec = spec_with_values(self.spec, self.history)
        self.tasks, self._kin = spec.by_id(), dict(zip(spec.ids, spec.kin, strict=True))
        self.groups = {group.id: group for group in self.spec.groups}
        self.trials = TrialQueue(self.spec, self.history)
        self._children, self._awaiting = defaultdict(list), defaultdict(list)
        self._waiting = {}
        self._unfinished = len(self.spec.tasks) - len(self.history.handlers)
        for name, task in self._kin.items():
            self._waiting[name] = len(task.dependencies) + len(task.external)
            for parent in task.dependencies:
                self._children[parent].append(name)
            for key in task.external:
                self._awaiting[key].append(name)

    def begin(self) -> list[Readiness]:
        """Load the current state; return the decisions about pending tasks that follow from it."""
        decided = []
        retried = []
        for name, task in self._kin.items():
            state = self.history.tasks[name]
            if state.is_over and not self.retry_is_due(name):
                decided += self.over(name)
            elif state.status is TaskStatus.PENDING and state.not_before:
                retried.append(name)
            elif state.status is TaskStatus.PENDING and not (task.dependencies or task.external):
                if task.handler is None:
                    decided.append(Readiness(name, may_run=True))
            elif state.is_live and (group := self._limited_group(task)):
                self._running.setdefault(group, set()).add(self._counted_as(self.tasks[name]))
        for key in self.history.external:
            decided += self.external_over(key)
        decided += self.concluded()
        for name in retried:  # a resume may have reset what it depends on; then it is decided again
            readiness = self.readiness(name)
            if readiness is not None and readiness.may_run:
                self.add_ready(name)
        # Tasks that were decided before a crash, or wait for a retry, are not decided again.
        delayed = {name for _, _, name in self._delayed}
        states = self.history.tasks
        return [
            readiness
            for readiness in decided
            if (states[readiness.task].status is TaskStatus.PENDING and readiness.task not in delayed)
            or states[readiness.task].is_queued_early
        ]

    def over(self, task_id: str) -> list[Readiness]:
        """Count a task that has finished permanently; return the children that this decides."""
        if task_id in self._counted:
            return []
        self._counted.add(task_id)
        state, task = self.history.tasks[task_id], self._kin[task_id]
        if task.handler is None:
            self._unfinished -= 1
            if state.status is TaskStatus.FAILED and not task.allow_failure:
                self._count_failure(task, self.groups.get(task.group or ""))
        decided = []
        for child in self._children[task_id]:
            self._waiting[child] -= 1
            if readiness := self._readiness(child, [task_id], waits=bool(self._waiting[child])):
                decided.append(readiness)
        return decided

    def external_over(self, key: str) -> list[Readiness]:
        """Count something outside of the experiment that has ended; return the tasks that this decides."""
        if key in self._counted:
            return []
        self._counted.add(key)
        decided = []
        for child in self._awaiting[key]:
            self._waiting[child] -= 1
            if readiness := self._readiness(child, [], waits=bool(self._waiting[child])):
                decided.append(readiness)
        return decided

    def awaited(self) -> set[str]:
        """The keys of what tasks that may still run wait for outside of the experiment."""
        return {
            key
            for key, names in self._awaiting.items()
            if key not in self.history.external
            and any(self._is_undecided(self.history.tasks[name]) for name in names)
        }

    @staticmethod
    def _is_undecided(state: TaskState) -> bool:
        return state.status is TaskStatus.PENDING or state.is_queued_early

    @property
    def tasks_are_over(self) -> bool:
        """Whether all tasks except handlers have finished permanently."""
        return not self._unfinished

    def concluded(self) -> list[Readiness]:
        """Return the decisions about handlers, once the outcome is known."""
        decided = (
            self._handler_readiness(name, task.handler) for name, task in self._kin.items() if task.handler
        )
        return [readiness for readiness in decided if readiness]

    def readiness(self, task_id: str) -> Readiness | None:
        """Return the readiness of a task; None while its finished parents do not decide it."""
        task, states = self._kin[task_id], self.history.tasks
        finished = [
            name for name in task.dependencies if states[name].is_over and not self.retry_is_due(name)
        ]
        is_decided = len(finished) == len(task.dependencies) and self._has_external(task)
        return self._readiness(task_id, finished, waits=not is_decided)

    def _has_external(self, task: Task) -> bool:
        """Whether all that a task waits for outside of the experiment has ended."""
        return not task.external or self.history.external.keys() >= set(task.external)

    def _count_failure(self, task: Task, group: Group | None) -> None:
        """Count a failure; those of a search do for the experiment once it has reached its max_failures."""
        if group is None or group.max_failures is None:
            self.failures += 1
            return
        if group.search is not None:
            if (trial := id_of_trial(task.id)) in self._failed_trials:
                return
            self._failed_trials.add(trial)
        self._failed[group.id] += 1
        if self._failed[group.id] == group.max_failures:
            self._exhausted.append(group.id)
        if group.search is None or self._failed[group.id] > group.max_failures:
            self.failures += 1
        elif self._failed[group.id] == group.max_failures:
            self.failures += group.max_failures

    def _is_tolerated(self, task: Task) -> bool:
        """Whether a failed trial is one of the few that its search may have."""
        group = self.trials.search_of(task)
        return (
            group is not None
            and group.max_failures is not None
            and self._failed[group.id] < group.max_failures
        )

    def take_exhausted_groups(self) -> list[Group]:
        """Return the groups that newly reached max_failures, so that no further member may start."""
        exhausted, self._exhausted = self._exhausted, []
        return [self.groups[name] for name in exhausted]

    def _readiness(self, name: str, finished: Iterable[str], *, waits: bool) -> Readiness | None:
        state, child = self.history.tasks[name], self._kin[name]
        if state.status is not TaskStatus.PENDING and not state.is_queued_early:
            return None
        if child.handler is not None:
            return self._handler_readiness(name, child.handler)
        if child.variants is not None and self.trials.needs_suggestion(self.tasks[name]):
            return self._readiness_of_forms(name, child, list(finished), waits=waits)
        return self._readiness_by_type(name, child, finished, waits=waits)

    def _readiness_of_forms(
        self, name: str, trial: Task, finished: list[str], *, waits: bool
    ) -> Readiness | None:
        """Whether a trial without a suggestion may run with some values, or with none."""
        forms = {form.dependency_type: form for form in trial.possible}
        found = [self._readiness_by_type(name, form, finished, waits=waits) for form in forms.values()]
        undecided = None if None in found else found[0]
        return next((each for each in found if each is not None and each.may_run), undecided)

    def _readiness_by_type(
        self, name: str, child: Task, finished: Iterable[str], *, waits: bool
    ) -> Readiness | None:
        if child.dependency_type == "afterok" and (bad := self._first_bad(name, child, finished)):
            return Readiness(name, may_run=False, message=bad)
        if waits:
            return None
        if child.dependency_type == "afternotok" and not self._has_failure(child):
            return Readiness(name, may_run=False, message="none of its dependencies failed")
        return Readiness(name, may_run=True)

    def _first_bad(self, name: str, child: Task, finished: Iterable[str]) -> str | None:
        """What has not succeeded of what a task depends on, and how it ended."""
        for parent in finished:
            if not self.is_ok(parent) or self._breaks_trial(parent, name):
                return f"{parent} is {self.history.tasks[parent].status}"
        return self._bad_external(child) if child.external else None

    def _breaks_trial(self, name: str, child: str) -> bool:
        """Whether a task has failed on which another one of its trial depends, however many may fail."""
        is_failed = self.history.tasks[name].status is TaskStatus.FAILED
        if not is_failed or self.tasks[name].allow_failure:
            return False
        return self.trials.search_of(self._kin[child]) is not None and id_of_trial(name) == id_of_trial(child)

    def _has_failure(self, child: Task) -> bool:
        """Whether something that a task depends on failed; also if it depends on nothing."""
        ends = [self.history.tasks[name].status for name in child.dependencies]
        ends += [self.history.external[key].status for key in child.external]
        return not ends or not {TaskStatus.FAILED, TaskStatus.CANCELLED}.isdisjoint(ends)

    def _bad_external(self, child: Task) -> str | None:
        """The same outside of the experiment."""
        for external in self.spec.external:
            end = self.history.external.get(external.key) if external.key in child.external else None
            if end is not None and end.status is not TaskStatus.SUCCEEDED:
                return f"{external.text} is {end.status}" + (f": {end.message}" if end.message else "")
        return None

    def _handler_readiness(self, name: str, section: Handler) -> Readiness | None:
        outcome = self.history.outcome
        if outcome is None or self.history.tasks[name].status is not TaskStatus.PENDING:
            return None
        if mismatch := handlers.mismatch(section, outcome):
            return Readiness(name, may_run=False, message=mismatch, reason=Reason.OUTCOME)
        return None if self._waiting[name] else Readiness(name, may_run=True)

    def is_ok(self, task_id: str) -> bool:
        """Whether the result of a task lets the tasks run that depend on it with `afterok`."""
        state = self.history.tasks[task_id]
        if state.status is TaskStatus.FAILED:
            return self._kin[task_id].allow_failure or self._is_tolerated(self._kin[task_id])
        has_succeeded = state.status is TaskStatus.SUCCEEDED or state.is_needless
        return has_succeeded or self._is_excused(task_id, state)

    def _is_excused(self, task_id: str, state: TaskState) -> bool:
        group = self.group_with_leader(task_id)
        if group is None or group.leader is None:
            return False
        leader, may_fail = self.history.tasks[group.leader], self.tasks[group.leader].allow_failure
        return leaders.is_excused(group, state, leader, may_fail=may_fail)

    def group_with_leader(self, task_id: str) -> Group | None:
        """The group of a task if a member's end can end it."""
        group = self.groups.get(self._kin[task_id].group or "")
        return group if group is not None and group.has_leader else None

    def group_end(self, group: Group, latest: str | None = None) -> GroupEnd | None:
        """Why a group has ended with its leader, before other members or not; None if it has not.

        Args:
            group: the group.
            latest: the only member that has ended since the last call; None if it may be any.
        """
        if group.id not in self._group_ends:
            states = self.history.tasks
            names = group.members if latest is None else filter(None, {latest, group.leader})
            over = {
                name: states[name] for name in names if states[name].is_over and not self.retry_is_due(name)
            }
            if (end := leaders.end_of(group, over, self.tasks)) is None:
                return None
            self._group_ends[group.id] = end
        return self._group_ends[group.id]

    def is_final(self, task_id: str) -> bool:
        """Whether a task has finished and is not retried."""
        return self.history.tasks[task_id].is_over and not self.retry_is_due(task_id)

    def chosen_best(self, group: Group) -> ChosenBest | None:
        """The best member of a group by its rule, if it is chosen; none may qualify."""
        chosen = self.history.best.get(group.id)
        if chosen is None or chosen.rule != group.best:
            return None
        return chosen if chosen.winner is None or chosen.winner in group.members else None

    def add_ready(self, task_id: str, *, due: float | None = None) -> None:
        """Queue a task for a slot; one that waits for a retry is queued once its delay has passed.

        Args:
            task_id: the task.
            due: when its delay has passed, by `clock.steady`; None for the time that the ledger has.
        """
        if not_before := self.history.tasks[task_id].not_before:
            due = self._recorded_due(task_id, not_before) if due is None else due
            heapq.heappush(self._delayed, (due, self.tasks[task_id].index, task_id))
        else:
            self._add_to_queue(task_id)

    def _recorded_due(self, task_id: str, not_before: str) -> float:
        """When a retry that an earlier supervisor recorded is due; the clock may have been set back since."""
        longest = delay_of(self.tasks[task_id].retry, self.history.tasks[task_id].tries - 1)
        return min(unix(not_before), steady() + longest)

    def hold(self, environments: Mapping[str, str], unready: EnvironmentOf) -> None:
        """Hold tasks back until their Python environment is ready.

        Args:
            environments: the keys of the environments by task.
            unready: returns the key of a trial's environment, which its values decide; None if it is ready.
        """
        self._environments.update(environments)
        self._unready = unready

    def is_held(self, task_id: str) -> bool:
        """Whether it is not known yet how a task starts, so that it cannot wait in a queue.

        Its Python environment is not ready, it is a trial without a suggestion, or its result, or that of a
        task that it depends on, may be one that was kept.
        """
        return (
            task_id in self._environments
            or self.trials.needs_suggestion(self.tasks[task_id])
            or task_id in self._reusable
            or not self._reusable.isdisjoint(self._kin[task_id].dependencies)
        )

    def held(self, environment: str) -> list[str]:
        """The ready tasks that wait for a Python environment."""
        return [name for name in self._held.get(environment, ()) if self._is_pending(name)]

    def _is_pending(self, task_id: str) -> bool:
        return self.history.tasks[task_id].status is TaskStatus.PENDING

    def release(self, environment: str) -> None:
        """Let the tasks start whose Python environment is ready now."""
        self._environments = {name: key for name, key in self._environments.items() if key != environment}
        for name in self._held.pop(environment, ()):
            if self._is_pending(name):
                self._add_to_queue(name)

    def take_held(self, environment: str) -> list[str]:
        """Return the ready tasks that waited for a Python environment, which then do not wait any more."""
        names = self.held(environment)
        self._held.pop(environment, None)
        return names

    def reuse(self, task_ids: Iterable[str]) -> None:
        """Note the tasks whose result may be one that was kept."""
        self._reusable = frozenset(task_ids)

    def is_reusable(self, task_id: str) -> bool:
        """Whether the result of a task may be one that was kept, and is kept."""
        return task_id in self._reusable

    def look_first(self, task_id: str) -> None:
        """Hold a task back until `pass_look`, if its result may be one that was kept."""
        if task_id in self._reusable:
            self._unlooked.add(task_id)

    @property
    def has_to_look(self) -> bool:
        """Whether a ready task is held back for which `take_to_look` was not called."""
        return bool(self._to_look)

    def take_to_look(self) -> list[str]:
        """Return the ready tasks for which a result that was kept has to be looked for."""
        names, self._to_look = self._to_look, []
        return [name for name in names if self._is_pending(name)]

    def is_looking(self, group: str) -> bool:
        """Whether a result that was kept is being looked for, for a member of a group that is ready."""
        return any(self.tasks[name].group == group and self._is_pending(name) for name in self._looking)

    def pass_look(self, task_id: str) -> None:
        """Let a task start: no result that was kept is its own."""
        self._unlooked.discard(task_id)
        self._looking.discard(task_id)
        if self._is_pending(task_id):
            self._add_to_queue(task_id)

    def keep_first(self, task_id: str) -> None:
        """Hold back what depends on a task until its result is kept, as it may change the files of that."""
        self._keeping.add(task_id)

    def pass_keeping(self, task_id: str) -> None:
        """Let the tasks start that depend on a task, whose result is kept or not."""
        self._keeping.discard(task_id)
        names, self._after_keeping = self._after_keeping, []
        for name in names:
            if self._is_pending(name):
                self._add_to_queue(name)

    def _add_to_queue(self, task_id: str) -> None:
        if self._keeping and not self._keeping.isdisjoint(self._kin[task_id].dependencies):
            self._after_keeping.append(task_id)
            return
        if (environment := self._environments.get(task_id)) is not None:
            self._held.setdefault(environment, []).append(task_id)
            return
        task = self.tasks[task_id]
        if self.trials.needs_suggestion(task):
            self.trials.add(task)
            self._offer_trials()
        elif task_id in self._unlooked:
            self._to_look.append(task_id)
            self._looking.add(task_id)
        else:
            self._push(task)

    def _push(self, task: Task) -> None:
        heapq.heappush(self._ready.setdefault(self._queue_key(task), []), (task.index, task.id))
        self._queued.add(task.id)

    def take_suggestion(self, task_id: str) -> list[str]:
        """Fill in the fields of a trial that its values decide; returns its tasks that waited for them.

        Args:
            task_id: the task for which it was suggested.
        """
        for name in self.trials.tasks_of(task_id):
            task = filled_where_possible(self.tasks[name], self.spec, self.history)
            self.tasks[name] = self._kin[name] = task
            if task.variants is not None and (environment := self._unready(task)) is not None:
                self._environments[name] = environment
            if task.variants is not None and task.cache is None:
                self._reusable -= {name}
                self._unlooked.discard(name)
        names = dict.fromkeys((task_id, *self.trials.take_tasks(id_of_trial(task_id))))
        return [name for name in names if self._is_pending(name)]

    def take_suggestions(self) -> None:
        """The same for all trials that have a suggestion, once the ledger was read."""
        spec = spec_with_values(self.spec, self.history)
        for task in spec.tasks if spec is not self.spec else ():
            self.tasks[task.id] = self._kin[task.id] = task

    def _offer_trials(self) -> None:
        """Let the next trial of each search wait for capacity, if none does."""
        if not self.trials:
            return
        self._looking = {name for name in self._looking if self._is_pending(name)}
        waiting = frozenset(self.tasks[name].group for name in self._looking)
        for name in self.trials.offer(self.tasks, waiting=waiting):
            self._push(self.tasks[name])

    def _queue_key(self, task: Task) -> QueueKey:
        group = self._limited_group(task)
        if group and self._is_of_running_trial(task):
            group = ""  # its trial has a place among those that run
        return group, task.executor, task.resources

    def _limited_group(self, task: Task) -> str:
        """The group of a task if it has a `max_parallel`; else an empty text."""
        group = self.groups.get(task.group or "")
        return group.id if group is not None and group.max_parallel else ""

    def _counted_as(self, task: Task) -> str:
        """What counts toward the `max_parallel` of its group when a task runs: itself, or its trial."""
        return task.id if self.trials.search_of(task) is None else id_of_trial(task.id)

    def _is_of_running_trial(self, task: Task) -> bool:
        name = self._counted_as(task)
        return name in self._running.get(task.group or "", ()) and self._is_running(name)

    def _is_running(self, name: str) -> bool:
        """Whether a member, or a trial, of a group with max_parallel has a place among those that run.

        A trial keeps its place between its tasks.
        """
        tasks = self.trials.tasks_of(name)
        states = self.history.tasks
        if any(states[task].is_live for task in tasks):
            return True
        ended = sum(self.is_final(task) for task in tasks) if len(tasks) > 1 else 0
        return 0 < ended < len(tasks)

    @property
    def asks_for_resources(self) -> bool:
        """Whether any ready or delayed task requests resources."""
        return any(queue and ready_queue[2] for ready_queue, queue in self._ready.items()) or any(
            self.tasks[name].resources for _, _, name in self._delayed
        )

    def take_ready(
        self,
        now: float,
        slots: int | None,
        *,
        needs_slot: Mapping[str, bool],
        most: int | None = None,
        machine: Capacity | None = None,
        allowances: Mapping[str, int] | None = None,
    ) -> list[str]:
        """Remove the tasks that start now from the queues and return them, in the order of the spec.

        Tasks that request resources start if the `machine`, if given, has the capacity. A group that is
        `together` starts only if all its members can start.

        Args:
            now: the time, by `clock.steady`.
            slots: free slots; None for no limit.
            needs_slot: by executor, whether its tasks occupy a slot.
            most: all slots, free or not. A group that needs more than these starts when all of them are free.
            machine: the free resources.
            allowances: how many tasks may start, by executor for which this is limited now. A group that
                is `together` starts whole or not at all, and may exceed them.
        """
        while self._delayed and self._delayed[0][0] <= now:
            self._add_to_queue(heapq.heappop(self._delayed)[2])
        self._offer_trials()
        turn = _Turn(
            slots=slots,
            needs_slot=needs_slot,
            most=most,
            machine=machine,
            group_capacity=self._group_capacity(),
            allowances=dict(allowances or {}),
        )
        blocked: list[tuple[QueueKey, tuple[int, str]]] = []
        # Only the first task of each ready queue is examined: a queue may hold ten thousand tasks.
        heads = [(queue[0], ready_queue) for ready_queue, queue in self._ready.items() if queue]
        heapq.heapify(heads)
        while heads:
            _, ready_queue = heapq.heappop(heads)
            queue = self._ready[ready_queue]
            if not queue or turn.is_closed(ready_queue):
                continue  # no task of this queue can start now
            entry = heapq.heappop(queue)
            task_id = entry[1]
            if task_id not in self._queued or self.history.tasks[task_id].status is not TaskStatus.PENDING:
                self._queued.discard(task_id)
            elif members := self._startable(task_id, turn):
                for freed in self._start(members, ready_queue, turn):
                    heapq.heappush(heads, (self._ready[freed][0], freed))
            else:
                blocked.append((ready_queue, entry))
                if task_id in turn.refused:
                    continue  # all other tasks of this queue request the same resources
            if queue:
                heapq.heappush(heads, (queue[0], ready_queue))
        for ready_queue, entry in blocked:
            heapq.heappush(self._ready[ready_queue], entry)
        return turn.taken

    def _startable(self, task_id: str, turn: _Turn) -> list[str] | None:
        """Return the tasks that start together with this one; None if they cannot start now."""
        members = self._co_scheduled(task_id, turn.taken)
        if members is None or members[0] in turn.refused:
            return None
        need = self._need(members, turn.needs_slot)
        if turn.slots is not None and min(need, turn.most or need) > turn.slots:
            return None
        tasks = [self.tasks[name] for name in members]
        if turn.machine is None or not any(task.resources for task in tasks) or turn.machine.take(tasks):
            return members
        turn.refused.add(members[0])
        return None

    def _start(self, members: Sequence[str], ready_queue: QueueKey, turn: _Turn) -> list[QueueKey]:
        """Count tasks that start; returns the queues of others of their trial, which can start, too."""
        if turn.slots is not None:
            turn.slots = max(0, turn.slots - self._need(members, turn.needs_slot))
        freed: list[QueueKey] = []
        if ready_queue[0]:
            name, running = self._counted_as(self.tasks[members[0]]), self._running[ready_queue[0]]
            if name not in running:
                turn.group_capacity[ready_queue[0]] -= 1
                running.add(name)
                others = [self.tasks[each] for each in self.trials.tasks_of(name) if each in self._queued]
                for task in others if len(self.trials.tasks_of(name)) > 1 else ():
                    if task.id not in members:
                        freed.append(("", task.executor, task.resources))
                        heapq.heappush(self._ready.setdefault(freed[-1], []), (task.index, task.id))
        for name in members if turn.allowances else ():
            executor = self.tasks[name].executor
            if executor in turn.allowances:
                turn.allowances[executor] = max(0, turn.allowances[executor] - 1)
        turn.taken += members
        self._queued.difference_update(members)
        return freed

    def _group_capacity(self) -> dict[str, int]:
        """Return how many members may start now, by group with `max_parallel` that has ready members."""
        capacity = {}
        for (name, *_), queue in self._ready.items():
            if name and queue and name not in capacity:
                # Members started in an earlier turn are live, or finished, or wait for a retry.
                running = set(filter(self._is_running, self._running.get(name, ())))
                self._running[name] = running
                capacity[name] = max(0, (self.groups[name].max_parallel or 0) - len(running))
        return capacity

    def _need(self, names: Iterable[str], needs_slot: Mapping[str, bool]) -> int:
        return sum(needs_slot[self.tasks[name].executor] for name in names)

    def _co_scheduled(self, task_id: str, taken: Sequence[str]) -> list[str] | None:
        """Return the task alone, or its co-scheduled group; None while members of that are not ready."""
        group = self.groups.get(self.tasks[task_id].group or "")
        if group is None or not group.together:
            return self._with_leader(task_id, group, taken)
        pending = [name for name in group.members if self.history.tasks[name].status is TaskStatus.PENDING]
        return pending if self._queued.issuperset(pending) else None

    def _with_leader(self, task_id: str, group: Group | None, taken: Sequence[str]) -> list[str] | None:
        """Return the task, and its leader unless that has started: members could take all slots before it."""
        leader = group.leader if group is not None else None
        if leader is None or leader in taken or self.history.tasks[leader].status is not TaskStatus.PENDING:
            return [task_id]
        return list(dict.fromkeys([task_id, leader])) if leader in self._queued else None

    def starting_with(self, task_ids: Iterable[str]) -> set[str]:
        """Return the other members of the groups of these tasks that start only with them."""
        named = ((name, self.groups.get(self.tasks[name].group or "")) for name in task_ids)
        return {
            member
            for name, group in named
            if group is not None and (group.together or group.leader == name)
            for member in group.members
        }

    def next_delay(self) -> float | None:
        """When the next delayed task is due, by `clock.steady`; None if no task is delayed."""
        return self._delayed[0][0] if self._delayed else None

    def retry_is_due(self, task_id: str) -> bool:
        """Whether a failed task has to be retried."""
        state, retry = self.history.tasks[task_id], self._kin[task_id].retry
        if state.status is not TaskStatus.FAILED or state.tries >= retry.limit:
            return False
        if self.limit_is_hit() and self._kin[task_id].handler is None:
            return False
        group = self.groups.get(self._kin[task_id].group or "")
        if group is not None and group.max_failures and self._failed[group.id] >= group.max_failures:
            return False
        is_cancelled = state.cancel is not None and state.cancel.reason != Reason.UNTIL
        return not is_cancelled and rule_of(retry, state) is not None

    def retry_time(self, task_id: str, now: float) -> float | None:
        """When the next attempt may start, by the clock that `now` is from; None for immediately."""
        delay = delay_of(self.tasks[task_id].retry, self.history.tasks[task_id].tries)
        return now + delay if delay > 0 else None

    def limit_is_hit(self) -> bool:
        """Whether `run.max_failures` is reached, so that no further task may start."""
        limit = self.spec.run.max_failures
        return limit is not None and self.failures >= limit

    def final_status(self) -> ExperimentStatus:
        """The status of the experiment once all its tasks have finished; handlers do not affect it."""
        if self.history.cancel and self.history.cancel.reason != Reason.LIMIT:
            return ExperimentStatus.CANCELLED
        if self.history.limit or self.limit_is_hit():
            return ExperimentStatus.FAILED
        for name, task in self._kin.items():
            status = self.history.tasks[name].status
            is_bad = status in (TaskStatus.FAILED, TaskStatus.CANCELLED) and task.handler is None
            if status is TaskStatus.FAILED and self._is_tolerated(task):
                continue
            if is_bad and not task.allow_failure and not self._is_excused(name, self.history.tasks[name]):
                return ExperimentStatus.FAILED
        return ExperimentStatus.COMPLETED

    def below(self, task_ids: Iterable[str]) -> set[str]:
        """The tasks and all that depend on them, directly or indirectly."""
        descendants: set[str] = set()
        queue = list(task_ids)
        while queue:
            if (name := queue.pop()) not in descendants:
                descendants.add(name)
                queue += self._children[name]
        return descendants


def delay_of(retry: Retry, tries: int) -> float:
    """Seconds to wait before a retry that `tries` others precede."""
    longest = LONGEST_DELAY if retry.max_delay is None else retry.max_delay
    try:
        return min(retry.delay * retry.backoff**tries, longest)
    except OverflowError:
        return longest


def rule_of(retry: Retry, state: TaskState) -> str | None:
    """The entry of `retry.on` that matches the failure, as written in the spec; None if none matches."""
    cause = RETRIED_AS.get(Reason(state.reason)) if state.reason else None
    if cause == "exit" and state.exit_code in retry.on:
        return str(state.exit_code)
    if state.symptom in retry.log:
        return f"log: {state.symptom}"
    return next((entry for entry in (cause, ANY) if cause is not None and entry in retry.on), None)
