"""Runs the searches of an experiment: gets suggestions, has trials pruned, and records their results.

A process of its own samples for each search (`sampler_client`), so the loop never waits. All that it knows is
in the ledger, but the intermediate values of metrics; a new supervisor reads again what a pruner still has
to compare. What was judged is not judged again: docs/internals/search.md has the rules.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.model import best
from nemorun_cli.model.clock import steady
from nemorun_cli.model.search import (
    COMPARING,
    Outcome,
    Rung,
    Suggestion,
    TrialResult,
    id_of_trial,
    trial_id,
    trial_number,
)
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.stop_rules import WantedMetric
from nemorun_cli.scheduler import trials
from nemorun_cli.scheduler.metric_judges import PruneJudge, StopDecision, StopJudge, TrialJudge
from nemorun_cli.storage import events
from nemorun_cli.storage.study_state import PruneRequest, StudyState
from nemorun_cli.supervisor import sampler_messages
from nemorun_cli.supervisor.member_values import MemberValues
from nemorun_cli.supervisor.sampler_client import SamplerClient
from nemorun_cli.supervisor.sampler_messages import Values
from nemorun_cli.supervisor.trial_values import TrialReader, UnusableValueError
from nemorun_cli.system import crashpoints
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job
    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.scheduler.decisions import Decisions
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles

LOOK_TIME: Final = 0.05  # seconds per turn of the loop for reading records
RETRY: Final = 1.0  # seconds until a record is read again for which this machine lacked something
ANSWER_TIME: Final = 0.02  # seconds in which most samplers answer
WAVE_TIME: Final = 2.0  # seconds that a trial waits for others, to be submitted with them


class _Verdict(NamedTuple):
    """Whether it is known if a trial counts as pruned, and why it does."""

    is_known: bool
    prune: PruneRequest | None = None


@dataclass(slots=True)
class _Search:
    """One search.

    Attributes:
        group: its trials, or the tasks of all of them.
        rule: its rule.
        client: its process.
        answers: what the process has answered since the last look.
        asked: the task for whose trial the process was asked; None if it has answered.
        asked_at: when it was asked for the last time (monotonic).
        ended: trials that have ended and may lack a result, in the order of their ends.
        seen: what the pruner sees of each trial, by its number: of the attempt with this number.
        sources: the task whose values these are, by the number of the trial: the first with the metric.
        unsent: values of running trials that the process has not got.
        sent: the attempt and the step of the last value that it has, by number.
        past: trials of which tasks ended before this process began, whose values are not read yet.
        prunes: what the process has decided, by number.
        judging: trials whose last values were sent, until the process has judged them.
        judged: those that it has judged.
        deadline: when no further trial gets a suggestion, by `clock.steady`.
        is_over: whether no further trial gets a suggestion.
        wave_by: until when (monotonic) trials wait to be submitted together; None if none waits.
    """

    group: Group
    rule: SearchRule
    client: SamplerClient
    answers: list[dict[str, Any]] = field(default_factory=list)
    asked: str | None = None
    asked_at: float = 0.0
    ended: deque[str] = field(default_factory=deque)
    seen: dict[int, tuple[int, Values]] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    unsent: dict[int, tuple[int, Values]] = field(default_factory=dict)
    sent: dict[int, tuple[int, float]] = field(default_factory=dict)
    past: deque[str] = field(default_factory=deque)
    prunes: dict[int, PruneRequest] = field(default_factory=dict)
    judging: set[int] = field(default_factory=set)
    judged: set[int] = field(default_factory=set)
    deadline: float | None = None
    is_over: bool = False
    wave_by: float | None = None

    @property
    def watched(self) -> WantedMetric | None:
        """The metric that the pruner sees; None without one."""
        return None if self.rule.pruner is None else WantedMetric(best.split_key(self.rule.metrics[0])[0])


class Searches:
    """The searches of one experiment.

    Args:
        files: the files of the experiment.
        spec: its resolved spec.
        decisions: record suggestions and results, and release trials.
        home: `$NEMORUN_HOME`.
        records: the roots and prefixes of the records that an attempt has opened.
        poll: becomes ready when a process has an answer.
        report: called with each error message.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        decisions: Decisions,
        *,
        home: Path,
        records: Callable[[str, int], Iterable[tuple[str, str]]],
        poll: select.poll,
        report: Callable[[str], None],
    ) -> None:
        self._decisions, self._schedule = decisions, decisions.schedule
        self._history, self._report = decisions.history, report
        members = MemberValues(files, spec, self._schedule, home=home, report=report)
        self._reader = TrialReader(files.id, records=records, members=members)
        self._searches: dict[str, _Search] = {}
        for group in spec.groups:
            if group.search is not None:
                self._searches[group.id] = self._search(group, group.search, poll)
        self._retry_at: float | None = None  # monotonic

    def _search(self, group: Group, rule: SearchRule, poll: select.poll) -> _Search:
        def replay() -> Iterator[Mapping[str, Any]]:
            return sampler_messages.of_past(self._study(group), rule, search.seen)

        search = _Search(group, rule, SamplerClient(rule, replay=replay, poll=poll, report=self._report))
        return search

    def _study(self, group: Group) -> StudyState:
        return self._history.studies.get(group.id) or StudyState()

    def begin(self) -> None:
        """Take what the ledger has: trials without results, and those whose values a pruner has to know."""
        for search in self._searches.values():
            search.ended.extend(trials.unfinished(search.group, self._history))
            study = self._study(search.group)
            needed = (
                result
                for result in study.results.values()
                if sampler_messages.needs_values(search.rule, result)
            )
            search.past.extend(trial_id(search.group.id, result.number) for result in needed)
            search.sources |= self._sources(study)
            search.past.extend(self._begun(search, study))
            if study.began is not None:
                self._set_deadline(search)

    def _sources(self, study: StudyState) -> dict[int, str]:
        """The tasks whose values pruners have seen, by the numbers of their trials."""
        sources = study.sources | {
            number: task
            for number, task in study.deciders.items()
            if study.results[number].outcome is not Outcome.FAILED
        }
        return {number: task for number, task in sources.items() if task in self._history.tasks}

    def _begun(self, search: _Search, study: StudyState) -> Iterator[str]:
        """The trials without a result of which some tasks have ended, and others have not."""
        for number in study.suggestions.keys() - study.results.keys() if search.watched else ():
            trial = trial_id(search.group.id, number)
            ends = [self._history.tasks[name].is_over for name in self._tasks_of(trial)]
            if any(ends) and not all(ends):
                yield trial

    def _tasks_of(self, trial: str) -> tuple[str, ...]:
        """The tasks of a trial; none if a changed spec has removed it."""
        return tuple(name for name in self._schedule.trials.tasks_of(trial) if name in self._history.tasks)

    def _set_deadline(self, search: _Search) -> None:
        if search.rule.timeout is not None and search.deadline is None:
            search.deadline = steady() + search.rule.timeout

    def notice(self, event: Event) -> None:
        """Take the end of a task, whose trial may have a result for the next look, or that it is retried."""
        if event["event"] not in (events.ENDED, events.SKIPPED, events.RETRIED):
            return
        group = self._schedule.trials.search_of(self._schedule.tasks[event["task"]])
        if group is not None and event["event"] == events.RETRIED:
            self._searches[group.id].prunes.pop(trial_number(event["task"]), None)
        elif group is not None:
            self._searches[group.id].ended.append(id_of_trial(event["task"]))

    def judge(self, task: Task, attempt: int) -> TrialJudge | None:
        """The judge of an attempt at a task of a trial; None if nothing can stop it."""
        group = self._schedule.trials.search_of(task)
        search = None if group is None else self._searches[group.id]
        if search is None or not (task.stop or search.watched):
            return None
        prune = None
        if search.watched is not None:
            prune = PruneJudge(search.watched, lambda values: _take(search, task.id, attempt, values))
        return TrialJudge(StopJudge(task.stop), prune)

    # -- a turn -------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take what the processes answer, and record the results of trials that have ended."""
        until = time.monotonic() + LOOK_TIME
        self._retry_at = None
        for search in self._searches.values():
            answers, search.answers = [*search.answers, *search.client.take()], []
            for answer in answers:
                self._take_answer(search, answer)
            try:
                self._read_past(search, until)
                self._record_results(search, until)
            except OSError as error:
                if not is_shortage(error):
                    raise
                self._retry_at = time.monotonic() + RETRY

    def ask(self) -> None:
        """Ask for the suggestions that trials wait for, and send what the processes should know."""
        for search in self._searches.values():
            if not search.past:
                self._send_values(search)
            if search.deadline is not None and steady() >= search.deadline and not search.is_over:
                self._end(search, Reason.UNTIL, trials.timeout_message(search.group))
            self._ask(search)
            search.answers += search.client.take()  # which also sends what is to be sent

    def _ask(self, search: _Search) -> None:
        if search.asked is not None or search.ended or search.past or search.is_over:
            return
        search.asked = self._schedule.trials.take_wanted(search.group.id)
        if search.asked is not None:
            search.asked_at = time.monotonic()
            crashpoints.point("search.ask")
            search.client.send({"ask": trial_number(search.asked)})

    @property
    def are_awaited(self) -> bool:
        """Whether a process was asked just now, so that its answer can be written with what is before it."""
        since = time.monotonic() - ANSWER_TIME
        return any(search.asked is not None and search.asked_at > since for search in self._searches.values())

    def _end(self, search: _Search, reason: Reason, message: str) -> None:
        search.is_over = True
        self._decisions.end_search(search.group, reason, message)

    def split(self, jobs: Iterable[Job], *, gathers: Callable[[str], bool]) -> tuple[list[Job], list[Job]]:
        """Split attempts into those to submit now, and trials that wait for the next ones of their search.

        Args:
            jobs: the attempts.
            gathers: whether an executor submits several attempts better in one call.
        """
        now: list[Job] = []
        later: dict[str, list[Job]] = {}
        for job in jobs:
            task = self._schedule.tasks[job.task]
            group = self._schedule.trials.search_of(task)
            if group is not None and self._is_gathering(self._searches[group.id]) and gathers(task.executor):
                later.setdefault(group.id, []).append(job)
            else:
                now.append(job)
        for name, search in self._searches.items():
            if name not in later:
                search.wave_by = None
            elif search.wave_by is None:
                search.wave_by = time.monotonic() + WAVE_TIME
            elif time.monotonic() >= search.wave_by:
                search.wave_by = None
                now += later.pop(name)
        return now, [job for held in later.values() for job in held]

    def _is_gathering(self, search: _Search) -> bool:
        """Whether a further trial of a search may start within moments, as there is capacity for it."""
        name, queue = search.group.id, self._schedule.trials
        is_wanted = name in queue.wanted and not search.is_over  # after a result that is to be recorded
        return search.asked is not None or is_wanted or self._schedule.is_looking(name)

    @property
    def due(self) -> float | None:
        """The monotonic time at which there is something to do without an answer; None for never."""
        times = [self._retry_at]
        for search in self._searches.values():
            times += [0.0 if search.answers else search.client.due, search.wave_by]
            if search.deadline is not None and not search.is_over:
                times.append(search.deadline - steady() + time.monotonic())
            if self._retry_at is None and (search.past or self._is_behind(search)):
                times.append(0.0)
        return min((each for each in times if each is not None), default=None)

    @staticmethod
    def _is_behind(search: _Search) -> bool:
        """Whether results remain to be recorded, for which nothing is awaited."""
        return bool(search.ended) and trial_number(search.ended[0]) not in search.judging - search.judged

    def close(self) -> None:
        """End the processes."""
        for search in self._searches.values():
            search.client.close()

    # -- answers ------------------------------------------------------------------------------------

    def _take_answer(self, search: _Search, answer: Mapping[str, Any]) -> None:
        match answer:
            case {"suggestion": content}:
                self._take_suggestion(search, content)
            case {"exhausted": content}:
                search.asked = None
                self._end(search, Reason.UNTIL, content["message"])
            case {"problem": {"number": int() as number, "message": message}}:
                self._fail(search, number, message)
                search.asked = None
            case {"rung": content}:
                self._take_rung(search, content)
            case {"prune": content}:
                self._take_prune(search, content)
            case {"judged": content}:
                search.judged.add(content["number"])

    def _take_suggestion(self, search: _Search, content: Mapping[str, Any]) -> None:
        """Record a suggestion, unless its trial was cancelled meanwhile."""
        task, search.asked = self._pending_task(search, content["number"]), None
        if task is None:
            return
        suggestion = Suggestion(
            number=content["number"], params=content["params"], written=content["written"]
        )
        crashpoints.point("search.suggestion")
        self._decisions.suggest(task, suggestion)
        crashpoints.point("search.suggested")
        search.client.send(sampler_messages.of_event(suggestion))
        self._set_deadline(search)

    def _pending_task(self, search: _Search, number: int) -> Task | None:
        """The task of a trial for which it was asked, or another one that has not started."""
        names = [search.asked or "", *self._tasks_of(trial_id(search.group.id, number))]
        for name in names:
            if trial_number(name) == number and self._history.tasks[name].status is TaskStatus.PENDING:
                return self._schedule.tasks[name]
        return None

    def _fail(self, search: _Search, number: int, message: str) -> None:
        if (task := self._pending_task(search, number)) is not None:
            text = f"no values can be suggested for it: {message}"
            self._decisions.fail_unstarted(task, Reason.LAUNCH, text)
        if search.client.refusal is not None:
            self._end(search, Reason.DEPENDENCY, f"no values can be suggested for it: {message}")

    def _take_rung(self, search: _Search, content: Mapping[str, Any]) -> None:
        """Record that a trial has reached a rung, once."""
        rung = Rung(**{**content, "pruner": search.rule.pruner_text})
        study, task = self._study(search.group), self._source(search, rung.number)
        if (
            task is None
            or rung.attempt != self._history.tasks[task.id].attempt
            or rung.number in study.results
        ):
            return  # it failed meanwhile
        known = study.rungs.get(rung.number, [])
        same = [each for each in known if (each.attempt, each.pruner) == (rung.attempt, rung.pruner)]
        if rung.rung > len(same):
            self._decisions.reach_rung(task, rung)

    def _take_prune(self, search: _Search, content: Mapping[str, Any]) -> None:
        number, value = content["number"], content["value"]
        task = self._source(search, number)
        if task is None or content["attempt"] != self._history.tasks[task.id].attempt:
            return  # it failed meanwhile, and was retried
        at = content["position"]
        request = PruneRequest(content["message"], at=at, value=_finite(value), task=task.id)
        search.prunes[number] = request
        decision = StopDecision(
            reason=Reason.PRUNED,
            message=content["message"],
            metric=search.rule.metrics[0],
            at=at,
            value=value,
        )
        self._decisions.prune(task, decision)

    def _source(self, search: _Search, number: int) -> Task | None:
        """The task of a trial whose values the process has."""
        return self._schedule.tasks.get(search.sources.get(number, ""))

    # -- values and results -------------------------------------------------------------------------

    def _send_values(self, search: _Search) -> None:
        """Send the values of running trials that have arrived."""
        unsent, search.unsent = search.unsent, {}
        for number, (attempt, values) in unsent.items():
            self._send(search, number, attempt, values)

    @staticmethod
    def _send(search: _Search, number: int, attempt: int, values: Values, *, is_last: bool = False) -> None:
        search.client.send(sampler_messages.of_values(number, attempt, values, is_last=is_last))
        before = search.sent.get(number, (attempt, -math.inf))
        steps = (step for step, _ in values)
        search.sent[number] = attempt, max(before[1] if before[0] == attempt else -math.inf, *steps)

    def _read_past(self, search: _Search, until: float) -> None:
        """Read again the values of trials that ended before this process began."""
        while search.past and time.monotonic() <= until:
            for name in self._tasks_of(search.past[0]):
                attempt = self._history.tasks[name].attempt
                if self._history.tasks[name].is_over:
                    _take(search, name, attempt, self._seen_values(search, name, attempt)[0], is_new=False)
            search.past.popleft()

    def _seen_values(self, search: _Search, name: str, attempt: int) -> tuple[Values, StopDecision | None]:
        """What the pruner sees of an attempt, and whether a value was NaN or infinite that must not be."""
        task, values = self._schedule.tasks[name], Values()
        rules = [rule for rule in task.stop if rule.finds_divergence]
        prune = None if search.watched is None else PruneJudge(search.watched, values.extend)
        judge = TrialJudge(StopJudge(rules), prune)
        try:
            decision = judge.see(self._reader.intermediate(judge.metrics, name, attempt))
        except ExpError as error:
            self._report(f"the metrics of {name} cannot be judged: {error}")
            return values, None
        return values, decision

    def _record_results(self, search: _Search, until: float) -> None:
        """Record the results of trials in the order of their ends, as far as they are known."""
        while search.ended and time.monotonic() <= until:
            trial = search.ended[0]
            tasks = self._tasks_of(trial)
            is_due = tasks and self._schedule.trials.lacks_result(search.group, trial)
            if is_due and all(map(self._schedule.is_final, tasks)):
                found = self._result(search, trial, tasks)
                if found is None:
                    return
                name, result = found
                crashpoints.point("search.result")
                search.sent.pop(result.number, None)
                judged = self._judged_steps(search)
                self._decisions.end_trial(self._schedule.tasks[name], result, judged=judged)
                crashpoints.point("search.recorded")
                search.client.send(sampler_messages.of_event(result))
                if not sampler_messages.needs_values(search.rule, result):
                    search.seen.pop(result.number, None)
            search.ended.popleft()

    def _judged_steps(self, search: _Search) -> dict[str, float]:
        """Up to which steps the values of trials without a result are judged, if other results can matter."""
        if search.rule.pruner not in COMPARING:
            return {}
        names = {search.sources[number]: sent for number, sent in search.sent.items()}
        return {
            name: step
            for name, (attempt, step) in names.items()
            if attempt == self._history.tasks[name].attempt
        }

    def _result(self, search: _Search, trial: str, tasks: Sequence[str]) -> tuple[str, TrialResult] | None:
        """The result of a trial that has ended, for its pruner too, and its task that decides it."""
        found = self._bare_result(search, trial, tasks)
        if found is None or search.watched is None:
            return found
        name, result = found
        attempt = self._history.tasks[name].attempt
        seen_attempt, values = search.seen.get(result.number, (attempt, []))
        steps = [step for step, _ in values] if seen_attempt == attempt else []
        last = max(steps, default=None) if result.outcome is Outcome.COMPLETE else None
        return name, replace(result, attempt=attempt, pruner=search.rule.pruner_text, last_step=last)

    def _bare_result(
        self, search: _Search, trial: str, tasks: Sequence[str]
    ) -> tuple[str, TrialResult] | None:
        """The result of a trial that has ended, and its task that decides it; None until it is judged."""
        states, number = [self._history.tasks[name] for name in tasks], trial_number(trial)
        name, state = tasks[trials.deciding(states)], states[trials.deciding(states)]
        if state.status is not TaskStatus.SUCCEEDED:
            subject = "is" if name == trial else f"failed: {name.rpartition('/')[2]} is"
            message = f"{subject} {state.status}" + (f": {state.why()}" if state.why() else "")
            return name, TrialResult(number=number, outcome=Outcome.FAILED, message=message)
        verdict = self._verdict(search, number, tasks)
        if not verdict.is_known:
            return None
        if (prune := verdict.prune) is not None:
            return prune.task or name, TrialResult(
                number=number,
                outcome=Outcome.PRUNED,
                pruned_at=prune.at,
                pruned_value=prune.value,
                message=prune.message,
            )
        try:
            name, values = self._reader.final(search.rule, tasks)
        except UnusableValueError as error:
            return name, TrialResult(number=number, outcome=Outcome.FAILED, message=str(error))
        return name, TrialResult(number=number, outcome=Outcome.COMPLETE, values=values)

    def _verdict(self, search: _Search, number: int, tasks: Sequence[str]) -> _Verdict:
        """Whether a trial that succeeded counts as pruned, also if it ended before it could be stopped.

        It may have ended while there was no supervisor, which must not change later suggestions.
        """
        if (request := self._study(search.group).prunes.get(number)) is not None:
            return _Verdict(is_known=True, prune=request)
        if number in search.judging:
            is_known = number in search.judged
            return _Verdict(is_known=is_known, prune=search.prunes.get(number) if is_known else None)
        unjudged = [
            name
            for name in tasks
            if self._history.tasks[name].is_unjudged_success
            and (search.watched or any(rule.finds_divergence for rule in self._schedule.tasks[name].stop))
        ]
        if unjudged and search.past:
            return _Verdict(is_known=False)
        judged: list[tuple[str, Values]] = []
        for name in unjudged:
            values, decision = self._seen_values(search, name, self._history.tasks[name].attempt)
            if decision is not None:
                at, value = decision.at, _finite(decision.value)
                prune = PruneRequest(decision.message, at=at, value=value, task=name)
                return _Verdict(is_known=True, prune=prune)
            judged += [(name, values)] if values else []
        if judged:
            self._let_judge(search, *judged[0])
        return _Verdict(is_known=not judged)

    def _let_judge(self, search: _Search, name: str, values: Values) -> None:
        """Send all values of a task that has ended, for a last decision about its trial."""
        number, attempt = trial_number(name), self._history.tasks[name].attempt
        search.sources[number] = name
        search.seen[number] = attempt, values
        search.unsent.pop(number, None)
        search.judging.add(number)
        self._send(search, number, attempt, values, is_last=True)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _take(search: _Search, name: str, attempt: int, values: Values, *, is_new: bool = True) -> None:
    """Keep the values of a task of a trial; new ones are sent by the next look.

    If several tasks of a trial have the metric, the pruner sees that of the first one.
    """
    number = trial_number(name)
    if not values or search.sources.setdefault(number, name) != name:
        return
    for kept in (search.seen, search.unsent) if is_new else (search.seen,):
        if number not in kept or kept[number][0] != attempt:
            kept[number] = attempt, []
        kept[number][1].extend(values)
