"""The events of a rebuilt ledger: those left of the damaged one, and those that attempts on disk prove."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import planning
from nemorun_cli.experiment.maintenance import fsck
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.search import trial_number
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.usage import Usage
from nemorun_cli.scheduler import attempt_result
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.spec import secret_values
from nemorun_cli.storage import attempts, ledger
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import locks, user

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.experiment.maintenance.fsck import LedgerCheck
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles

_BEFORE_START: Final = (kinds.FINGERPRINTED, kinds.SUBMITTED)  # events of an attempt that is not submitted
MARK: Final = "rebuilt"  # the field of events that no supervisor wrote


def rebuild(files: ExperimentFiles, spec: Spec, check: LedgerCheck, *, home: Path) -> list[Event]:
    """The events of the new ledger, in an order in which each can follow those before it."""
    by = user.author()
    builder = _LedgerBuilder(files, spec, check, by=by)
    events = list(check.read.events)
    if not events or events[0]["event"] != kinds.CREATED:
        builder.add(_created_event(files, spec, home=home, by=by))
    for index, event in enumerate(events):
        if index in check.read.unconfirmed and not _is_plausible(event, files):
            continue
        ending = _ending_of(event, check)
        builder.add_old(builder.corrected(event, ending) if ending else event)
    for task, number in (*check.begun, *check.taken):
        builder.complete(task, number)
    builder.drop_false_end()
    builder.events[0] = {**builder.events[0], "format": ledger.FORMAT}
    return builder.events


def _is_plausible(event: Event, files: ExperimentFiles) -> bool:
    """Whether an unconfirmed event can be trusted: a wrong supervisor host would hide tasks permanently."""
    if event["event"] != kinds.SUPERVISOR_STARTED:
        return True
    recorded = (event["pid"], event["host"], event.get("boot"))
    holder = locks.read_holder(files.supervisor_lock)
    if holder is not None and recorded == (holder.pid, holder.host, holder.boot):
        return True
    return recorded[1:] == (locks.hostname(), locks.boot_id())


def _ending_of(event: Event, check: LedgerCheck) -> AttemptEnd | None:
    if event["event"] != kinds.ENDED:
        return None
    return check.endings.get((event["task"], event["attempt"]))


class _LedgerBuilder:
    """Builds the new ledger, and tracks the state that results from it."""

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        check: LedgerCheck,
        *,
        by: str,
    ) -> None:
        self.events: list[Event] = []
        self._files, self._spec, self._by = files, spec, by
        self._begun, self._taken, self._suggestions = set(check.begun), check.taken, check.suggestions
        self._history = ExperimentState.of(spec)
        self._secrets = secret_values.known(spec)
        self._can_check = set(self._secrets) >= secret_values.of_tasks(spec)

    def add(self, event: Event) -> None:
        """Add an event that is known to be possible."""
        self._history.apply(event)
        self.events.append(event)

    def add_old(self, event: Event) -> None:
        """Add a possible event of the old ledger, preceded by the events that must have been lost."""
        kind = event["event"]
        if (row := kinds.KINDS.get(kind)) and row.is_of_attempt and event["task"] in self._history.tasks:
            self._advance_to(event["task"], event["attempt"], is_submitted=kind not in _BEFORE_START)
            if kind == kinds.SUBMITTED:
                self._suggest(event["task"], event["time"])
                self._fingerprint(event["task"])
        elif kind in (kinds.RETRIED, kinds.RESUMED):
            for name in event["tasks"] if kind == kinds.RESUMED else [event["task"]]:
                self._end(name)
        if fsck.refusal(self._history, event) is None:
            self.events.append(event)

    def complete(self, task: str, number: int) -> None:
        """Add an attempt that was started and is still missing; the next observer records its end."""
        if number >= self._history.tasks[task].attempt:
            self._advance_to(task, number, is_submitted=True)
            if (task, number) in self._taken:
                self._end(task)
            elif self._history.tasks[task].status is TaskStatus.SUBMITTED:
                self.add(self._begin(kinds.STARTED, task, number))

    def drop_false_end(self) -> None:
        """Drop a wrong end of the experiment: the next observer records the correct one."""
        finished, outcome = self._history.finished, self._history.outcome
        schedule = Schedule(self._spec, self._history)
        schedule.begin()
        recorded = {finished["status"] if finished else None, outcome} - {None}
        is_false = not schedule.tasks_are_over or recorded - {schedule.final_status()}
        if outcome and is_false:
            self._drop_last(kinds.CONCLUDED)
        if finished and (is_false or not self._history.is_settled):
            self._drop_last(kinds.FINISHED)

    def _drop_last(self, kind: str) -> None:
        last = max(index for index, event in enumerate(self.events) if event["event"] == kind)
        del self.events[last]

    def ended(self, task: str, number: int, ending: AttemptEnd) -> Event:
        """The event `ended` of an attempt, by the attempt's own record."""
        return {**self._event(kinds.ENDED, task, number, stamp(ending.ended)), **ending.to_event()}

    def corrected(self, event: Event, ending: AttemptEnd) -> Event:
        """An event `ended` whose result contradicts the attempt's record, with the result of the record.

        All other fields of the event, such as the outputs, remain.
        """
        recorded = AttemptEnd.from_event(event)
        ending = replace(
            recorded,
            status=ending.status,
            exit_code=ending.exit_code,
            reason=ending.reason,
            message=ending.message,
            usage=Usage.combined(ending.usage, recorded.usage),
        )
        return self.ended(event["task"], event["attempt"], replace(ending, ended=ending.ended))

    def _recorded_end(self, task: str, number: int) -> AttemptEnd:
        """The end of an attempt by what it left behind, its outputs included if no secret can be in them."""
        files = self._files.attempt(task, number)
        ending = attempts.read_ending(files)
        if ending is None:
            return attempt_end.lost("its end is no longer known")
        if not self._can_check:
            return ending
        schedule = Schedule(self._spec, self._history)
        return attempt_result.conclude(
            ending,
            sent=attempt_result.cancel_of(schedule, task, ending, sent=None, files=files)
            if schedule.group_with_leader(task)
            else None,
            requested=None,
            written=files.outputs,
            inside=files.root,
            secrets=self._secrets,
        )

    def _advance_to(self, task: str, number: int, *, is_submitted: bool) -> None:
        """Advance a task to this attempt, if that was started, through all earlier attempts."""
        state = self._history.own(task)  # which the events that are added change
        if (task, number) not in self._begun and (task, number) not in self._taken:
            return
        while state.attempt < number:
            self._submit(task)
            self._end(task)
            self.add(self._begin(kinds.RETRIED, task, state.attempt + 1))
        if state.attempt == number and not state.submitted and state.is_over:
            self.add(self._begin(kinds.RETRIED, task, number))  # it was terminal without having started
        if is_submitted:
            self._submit(task)

    def _submit(self, task: str) -> None:
        state = self._history.tasks[task]
        if state.status is not TaskStatus.PENDING:
            return
        self._suggest(task, self._begin(kinds.SUBMITTED, task, state.attempt)["time"])
        if (result := self._taken.get((task, state.attempt))) is not None:
            self._fingerprint(task)
            event = self._event(kinds.SUBMITTED, task, state.attempt, stamp(result.time))
            self.add({**event, "reason": Reason.CACHED})
        elif (task, state.attempt) in self._begun:
            self.add(self._begin(kinds.SUBMITTED, task, state.attempt))

    def _suggest(self, task: str, time: str) -> None:
        """Add the lost suggestion of a trial, with the values of its record, unless it is there."""
        study = self._history.studies.get(task.partition("/")[0])
        number = trial_number(task)
        if task in self._suggestions and (study is None or number not in study.suggestions):
            values = dict(self._suggestions[task])
            event = {"event": kinds.SUGGESTED, "time": time, "by": self._by, "task": task, MARK: True}
            message = "from its record; what the sampler wrote is lost"
            self.add({**event, "number": number, "params": values, "written": {}, "message": message})

    def _fingerprint(self, task: str) -> None:
        """Add the fingerprint of an attempt that has an earlier result, unless it is there."""
        state = self._history.tasks[task]
        result = self._taken.get((task, state.attempt))
        if result is not None and state.fingerprint is None:
            event = self._event(kinds.FINGERPRINTED, task, state.attempt, stamp(result.time))
            self.add({**event, "fingerprint": result.fingerprint, "parts": dict(result.parts)})

    def _end(self, task: str) -> None:
        """End an attempt that cannot have continued, according to its own record."""
        state = self._history.tasks.get(task)
        if state is None or not state.is_live:
            return
        if (result := self._taken.get((task, state.attempt))) is not None:
            end = AttemptEnd(
                status=TaskStatus.SUCCEEDED,
                exit_code=result.exit_code,
                reason=Reason.CACHED,
                message=result.message,
                outputs=dict(result.outputs),
            )
            event = self._event(kinds.ENDED, task, state.attempt, stamp(result.time))
            self.add({**event, "cached_from": dict(result.origin), **end.to_event()})
        else:
            self.add(self.ended(task, state.attempt, self._recorded_end(task, state.attempt)))

    def _begin(self, kind: str, task: str, number: int) -> Event:
        claim = self._files.attempt(task, number).claim
        event = self._event(kind, task, number, stamp(claim.stat().st_mtime if claim.exists() else None))
        pid = attempts.claimed_pid(self._files.attempt(task, number))
        return {**event, "job_id": str(pid)} if pid and kind == kinds.STARTED else event

    def _event(self, kind: str, task: str, number: int, time: str) -> Event:
        return {"event": kind, "time": time, "by": self._by, "task": task, "attempt": number, MARK: True}


def _created_event(files: ExperimentFiles, spec: Spec, *, home: Path, by: str) -> Event:
    event: dict[str, Any] = {
        "event": kinds.CREATED,
        "time": stamp(files.spec.stat().st_mtime if files.spec.exists() else None),
        "by": by,
        "id": files.id,
        "name": spec.name,
        "key": None,
        "tags": list(spec.tags),
        "tasks": len(spec.tasks),
        "prefix": planning.prefix(spec, files.id),
        "home": str(home),
        MARK: True,
    }
    return event
