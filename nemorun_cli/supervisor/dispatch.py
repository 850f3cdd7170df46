"""Passes submit, poll and cancel to the executors of one experiment and tracks their attempts.

An executor may be third-party code. If one raises, its name and traceback are logged, and only its own
tasks are affected: attempts that it did not answer for are UNKNOWN until it reports them, and of these
the ones that it should have submitted fail if they did not start.
"""

from __future__ import annotations

import contextlib
import select
import time
import traceback
from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli import executors
from nemorun_cli.errors import EngineError
from nemorun_cli.executors import AttemptStatus, Executor, Job, JobError, Key
from nemorun_cli.model.attempt_end import failed_launch
from nemorun_cli.supervisor.shortages import Shortages
from nemorun_cli.system import crashpoints, process_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.executors import Answer, Capabilities, MeasuringExecutor
    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.model.usage_sample import UsageSample
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import Cancel, ExperimentState

FAULT_PAUSE: Final = 1.0  # seconds until an executor that raised is polled again

JobStatus = tuple[Job, AttemptStatus]


class Dispatcher:
    """The executors by their names in the spec, created at first use.

    `tasks` has the tasks by id, trials as their values make them.
    """

    def __init__(
        self,
        spec: Spec,
        tasks: Mapping[str, Task],
        *,
        secrets: Mapping[str, str],
        makers: Mapping[str, Callable[[], Executor]],
        poll: select.poll,
        report: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._secrets = secrets
        self._makers = makers
        self._poll = poll
        self._report = report
        self._faulty: dict[str, float] = {}  # by executor, until when (monotonic) it is not polled
        self._executors: dict[str, Executor] = {}
        self._jobs: dict[str, dict[Key, Job]] = {}
        self._tasks = tasks
        self._cancels: dict[Key, Cancel] = {}  # the cancel passed to the executor, by live attempt
        self._unanswered: dict[Key, JobError] = {}  # submitted by a call that raised this
        self._capabilities: dict[str, Capabilities] = {}
        self._unmeasured: set[str] = set()  # executors that raised when they were to measure
        self.shortages = Shortages()

    def _name(self, job: Job) -> str:
        return self._tasks[job.task].executor

    def executor(self, name: str) -> Executor:
        """The executor of this name in the spec."""
        if name not in self._executors:
            if maker := self._makers.get(name):
                executor = maker()
            else:
                executor = executors.make(name, self._options(name), self._secrets)
            self._executors[name] = executor
            self._set_wakeup(name, enabled=bool(self._jobs.get(name)))
        return self._executors[name]

    def queue(self, name: str) -> str | None:
        """The name of the queue in which attempts can wait for others; None if the executor has none."""
        return executors.queue(name, self._options(name), self.executor(name))

    def capabilities(self, name: str) -> Capabilities:
        """What the executor of this name can do with its options."""
        if name not in self._capabilities:
            self._capabilities[name] = executors.capabilities(name, self._options(name))
        return self._capabilities[name]

    def _options(self, name: str) -> Mapping[str, Any]:
        return self._spec.executors.get(name, {"type": name})

    def machine(self, name: str, *, with_gpus: bool) -> Machine | None:
        """The local capacity that tasks of an executor share; None if they share none."""
        executor = self.executor(name)
        return executor.machine(with_gpus=with_gpus) if self.capabilities(name).has_machine else None

    @property
    def jobs(self) -> Iterator[Job]:
        """All tracked attempts."""
        for jobs in self._jobs.values():
            yield from jobs.values()

    def count(self, *, of: Iterable[str] | None = None) -> int:
        """The number of attempts that the executors of these names (default: all) have, or may have."""
        names = self._jobs if of is None else of
        return sum(len(self._jobs.get(name, ())) for name in names)

    def add(self, job: Job) -> None:
        """Track an attempt."""
        name = self._name(job)
        self._jobs.setdefault(name, {})[job.key] = job
        self._set_wakeup(name, enabled=name not in self._faulty)

    def sent_cancel(self, job: Job) -> Cancel | None:
        """The cancel that was passed to the executor of an attempt, if any."""
        return self._cancels.get(job.key)

    def is_tracked(self, job: Job) -> bool:
        """Whether the attempt was added and not dropped since."""
        return job.key in self._jobs.get(self._name(job), ())

    def drop(self, job: Job) -> None:
        """Stop tracking an attempt."""
        jobs = self._jobs[self._name(job)]
        jobs.pop(job.key, None)
        if not jobs:
            self._set_wakeup(self._name(job), enabled=False)
        self._unanswered.pop(job.key, None)
        self._cancels.pop(job.key, None)

    def can_measure(self, job: Job) -> bool:
        """Whether the executor of an attempt measures what it uses."""
        return self.capabilities(self._name(job)).measures

    def sample(self, jobs: Iterable[Job]) -> None:
        """Let the executors measure these attempts; an executor that raises is not asked again."""
        by_executor: dict[str, list[Job]] = {}
        for job in jobs:
            if self.is_tracked(job):
                by_executor.setdefault(self._name(job), []).append(job)
        for name in by_executor.keys() - self._unmeasured:
            try:
                self._measuring(name).sample(by_executor[name])
            except Exception as error:  # noqa: BLE001 - an executor may be third-party code
                self._give_up_measuring(name, error)

    def samples(self) -> list[tuple[Key, UsageSample]]:
        """What the executors have measured since the last call."""
        samples: list[tuple[Key, UsageSample]] = []
        for name in self._executors.keys() - self._unmeasured:
            if self.capabilities(name).measures:
                try:
                    samples += self._measuring(name).samples()
                except Exception as error:  # noqa: BLE001 - an executor may be third-party code
                    self._give_up_measuring(name, error)
        return samples

    def _measuring(self, name: str) -> MeasuringExecutor:
        return cast("MeasuringExecutor", self.executor(name))

    def _give_up_measuring(self, name: str, error: Exception) -> None:
        self._unmeasured.add(name)
        self._report(f"what tasks on {name} use is not recorded any more: {self._log_fault(name, error)}")

    def plan(self, executor: str, plan: Plan) -> Plan:
        """The plan, completed by the executor.

        Raises:
            EngineError: the executor cannot plan it.
        """
        try:
            return self.executor(executor).plan(plan)
        except Exception as error:
            raise EngineError(self._log_fault(executor, error)) from error

    def foreign_end(self, name: str, job_id: str) -> AttemptEnd | None:
        """The end of a job of an executor's engine that `exp` did not submit; None while it is not known."""
        try:
            end: AttemptEnd | None = self.executor(name).foreign_end(job_id)  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - an executor may be third-party code
            self._log_fault(name, error)
            return None
        return end

    def poll(self) -> list[JobStatus]:
        """The changed statuses of the tracked attempts."""
        statuses: list[JobStatus] = []
        for name, jobs in self._jobs.items():
            if jobs and self._faulty.get(name, 0.0) <= time.monotonic():
                statuses += self._poll_executor(name, jobs)
        return statuses

    def _poll_executor(self, name: str, jobs: Mapping[Key, Job]) -> list[JobStatus]:
        answers: dict[Key, list[AttemptStatus]] = {}
        try:
            for answer in self.executor(name).poll(jobs):
                status = self._polled(answer)
                answers.setdefault(answer.key, []).append(status)
                if status.is_shortage:
                    self.shortages.failed(name)
        except Exception as error:  # noqa: BLE001 - an executor may be third-party code
            message = self._log_fault(name, error)
            self._set_wakeup(name, enabled=False)
            self._faulty[name] = time.monotonic() + FAULT_PAUSE
            for key in jobs.keys() - answers.keys():
                answers[key] = [AttemptStatus(key=key, state="unknown", message=message)]
        else:
            if self._faulty.pop(name, None) is not None:
                self._set_wakeup(name, enabled=True)
        return [(jobs[key], status) for key, found in answers.items() if key in jobs for status in found]

    def _set_wakeup(self, name: str, *, enabled: bool) -> None:
        """Register or unregister the wake-up of an executor.

        One that is faulty, or has no attempts, is not polled, and would wake the loop forever.
        """
        executor = self._executors.get(name)
        if executor is not None and (wakeup := executor.wakeup()) is not None:
            if enabled:
                self._poll.register(wakeup, select.POLLIN)
            else:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(wakeup)

    def submit(self, jobs: Iterable[Job]) -> Iterator[JobStatus]:
        """Submit attempts that are already tracked and recorded in the ledger."""
        by_executor: dict[str, dict[Key, Job]] = {}
        for job in jobs:
            by_executor.setdefault(self._name(job), {})[job.key] = job
        for name, group in by_executor.items():
            yield from self._submit(name, group)

    def _submit(self, name: str, group: dict[Key, Job]) -> Iterator[JobStatus]:
        """Submit attempts to one executor; each is answered by `submit` or, after a fault, by `poll`."""
        wanted, is_short = len(group), False
        try:
            for answer in self.executor(name).submit(list(group.values())):
                crashpoints.point("attempt.submitted")
                is_short |= answer.is_shortage
                yield group.pop(answer.key), _submitted(answer)
        except Exception as error:  # noqa: BLE001 - an executor may be third-party code
            message, is_shortage = self._log_fault(name, error), process_limits.is_shortage(error)
            is_short |= is_shortage
            for key, job in group.items():
                self._unanswered[key] = JobError(key=key, message=message, is_shortage=is_shortage)
                yield job, AttemptStatus(key=key, state="unknown", message=message)
        if is_short:
            self.shortages.failed(name)
        else:
            self.shortages.started(name, wanted)

    def _polled(self, answer: Answer) -> AttemptStatus:
        """The status that a poll reports; an attempt that could not be examined is unknown."""
        if isinstance(answer, JobError):
            return AttemptStatus(key=answer.key, state="unknown", message=answer.message)
        if answer.state == "unknown":
            return answer
        fault = self._unanswered.pop(answer.key, None)
        return _submitted(fault) if fault is not None and answer.state == "absent" else answer

    def cancel(
        self,
        history: ExperimentState,
        may_pass: Callable[[Job, Cancel], bool],
        on_passed: Callable[[Job, Cancel], None],
    ) -> list[tuple[Job, Cancel]]:
        """Pass new cancels to the executors; returns the attempts to abandon, which are not passed on.

        Args:
            history: the states, with the requested cancels.
            may_pass: whether a cancel is passed on now.
            on_passed: called after an executor has accepted one.
        """
        abandoned = []
        for name, jobs in self._jobs.items():
            groups: dict[tuple[str | None, float | None], list[tuple[Job, Cancel]]] = {}
            for job in jobs.values():
                cancel = history.tasks[job.task].stop_request
                if cancel is None or self._cancels.get(job.key) is cancel:
                    continue
                if cancel.abandon:
                    abandoned.append((job, cancel))
                elif may_pass(job, cancel):
                    groups.setdefault((cancel.signal, cancel.grace), []).append((job, cancel))
            for (signal, grace), group in groups.items():
                failed = self._cancel(name, [job for job, _ in group], signal=signal, grace=grace)
                for job, cancel in group:
                    if job.key not in failed:
                        self._cancels[job.key] = cancel
                        on_passed(job, cancel)
        return abandoned

    def _cancel(self, name: str, jobs: list[Job], *, signal: str | None, grace: float | None) -> set[Key]:
        """Pass a cancel to an executor; returns the attempts for which it is to be passed again."""
        try:
            errors = list(self.executor(name).cancel(jobs, signal=signal, grace=grace))
        except Exception as error:  # noqa: BLE001 - an executor may be third-party code
            self._log_fault(name, error)
            return set()
        for failed in errors:
            self._report(f"{failed.key[0]} cannot be cancelled yet: {failed.message}")
        return {failed.key for failed in errors}

    def remove_shared(self, files: ExperimentFiles, history: ExperimentState) -> None:
        """Remove what members of groups shared in engines; what is still used stays, for `exp gc`."""
        members = {name for group in self._spec.groups if group.members_meet for name in group.members}
        by_executor: dict[str, list[Job]] = {}
        for task in self._spec.tasks if members else ():
            state = history.tasks[task.id]
            if task.id in members and state.attempt and task.executor not in self._makers:
                by_executor.setdefault(task.executor, []).append(Job.of(task, state, files))
        for name, jobs in by_executor.items():
            try:
                reason = executors.remove_shared(name, self._options(name), files, jobs)
            except Exception as error:  # noqa: BLE001 - an executor may be third-party code
                reason = self._log_fault(name, error)
            if reason:
                self._report(f"what tasks on {name} shared stays: {reason}")

    def _log_fault(self, name: str, error: Exception) -> str:
        """Log the traceback of an executor's error; returns the error as one line."""
        self._report("".join(traceback.format_exception(error)).rstrip())
        if isinstance(error, EngineError):
            return error.message
        return f"the executor {name!r} is at fault: {type(error).__name__}: {error}"

    def due(self) -> float | None:
        """The monotonic time of the next poll that no wake-up announces."""
        names = [name for name, jobs in self._jobs.items() if jobs]
        polled = [name for name in names if name in self._executors and name not in self._faulty]
        times = [self._executors[name].due() for name in polled]
        times += [self._faulty[name] for name in names if name in self._faulty]
        times.append(self.shortages.due())
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Close the executors; running attempts continue."""
        for executor in self._executors.values():
            executor.close()


def _submitted(answer: Answer) -> AttemptStatus:
    """The status that a submission reports: an attempt with an error failed to start, or starts later."""
    if not isinstance(answer, JobError):
        return answer
    if answer.is_shortage:
        return AttemptStatus(key=answer.key, state="absent", message=answer.message, is_shortage=True)
    return AttemptStatus(key=answer.key, state="over", ending=failed_launch(answer.message))
