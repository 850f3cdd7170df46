"""The executors of one experiment and the attempts they have in hand: what a supervisor acts through.

An executor may be anybody's code. One that raises is told with its name and traceback, and costs
only its own tasks: what it was to start has failed, what it was to look after is UNKNOWN.
"""

from __future__ import annotations

import contextlib
import select
import time
import traceback
from typing import TYPE_CHECKING, Final

from nemorun_cli import executors
from nemorun_cli.errors import EngineError
from nemorun_cli.executors import AttemptStatus, Executor, Job, Key
from nemorun_cli.model.attempt_end import failed_launch
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.state import Cancel, ExperimentState

FAULT_PAUSE: Final = 1.0  # seconds until an executor that raised is polled again

Seen = tuple[Job, AttemptStatus]


class Dispatcher:
    """Executors by the names that the spec gives them, made when first needed."""

    def __init__(
        self,
        spec: Spec,
        *,
        secrets: Mapping[str, str],
        makers: Mapping[str, Callable[[], Executor]],
        poll: select.poll,
        tell: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._secrets = secrets
        self._makers = makers
        self._poll = poll
        self._tell = tell
        self._faulty: dict[str, float] = {}  # until when (monotonic) an executor is left alone
        self._executors: dict[str, Executor] = {}
        self._jobs: dict[str, dict[Key, Job]] = {}
        self._names = {task.id: task.executor for task in spec.tasks}
        self._told: dict[Key, Cancel] = {}  # which cancel each live attempt was told of

    def executor(self, name: str) -> Executor:
        """The executor that the spec calls by this name."""
        if name not in self._executors:
            if maker := self._makers.get(name):
                executor = maker()
            else:
                options = self._spec.executors.get(name, {"type": name})
                executor = executors.make(name, options, self._secrets)
            self._executors[name] = executor
            self._listen(name, to_it=True)
        return self._executors[name]

    def queue(self, name: str) -> str | None:
        """What names the queue in which attempts of an executor can wait for others; None if they cannot."""
        return executors.queue(self.executor(name))

    @property
    def jobs(self) -> Iterator[Job]:
        """All attempts in hand."""
        for jobs in self._jobs.values():
            yield from jobs.values()

    def count(self, *, of: Iterable[str] | None = None) -> int:
        """How many attempts the executors of these names (default: all) have, or may have."""
        names = self._jobs if of is None else of
        return sum(len(self._jobs.get(name, ())) for name in names)

    def add(self, job: Job) -> None:
        """Take an attempt in hand."""
        self._jobs.setdefault(self._names[job.task], {})[job.key] = job

    def drop(self, job: Job) -> Cancel | None:
        """Let go of an attempt; gives the cancel that its executor was told of, if any."""
        self._jobs[self._names[job.task]].pop(job.key, None)
        return self._told.pop(job.key, None)

    def plan(self, executor: str, made: Plan) -> Plan:
        """The plan with what the executor adds to it.

        Raises:
            EngineError: it cannot be planned.
        """
        try:
            return self.executor(executor).plan(made)
        except Exception as error:
            raise EngineError(self._fault(executor, error)) from error

    def poll(self) -> list[Seen]:
        """What is new about the attempts in hand."""
        seen: list[Seen] = []
        for name, jobs in self._jobs.items():
            if jobs and self._faulty.get(name, 0.0) <= time.monotonic():
                seen += self._poll_one(name, jobs)
        return seen

    def _poll_one(self, name: str, jobs: Mapping[Key, Job]) -> list[Seen]:
        try:
            executor = self.executor(name)
            seen = [(jobs[one.key], one) for one in executor.poll(jobs) if one.key in jobs]
        except Exception as error:  # noqa: BLE001 - an executor may be anybody's code
            message = self._fault(name, error)
            self._listen(name, to_it=False)
            self._faulty[name] = time.monotonic() + FAULT_PAUSE
            return [
                (job, AttemptStatus(key=key, state="unknown", message=message)) for key, job in jobs.items()
            ]
        if self._faulty.pop(name, None) is not None:
            self._listen(name, to_it=True)
        return seen

    def _listen(self, name: str, *, to_it: bool) -> None:
        """Be woken by an executor or not: one that raises would wake us for ever."""
        executor = self._executors.get(name)
        if executor is not None and (wakeup := executor.wakeup()) is not None:
            if to_it:
                self._poll.register(wakeup, select.POLLIN)
            else:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(wakeup)

    def submit(self, jobs: Iterable[Job]) -> Iterator[Seen]:
        """Start attempts that were taken in hand and written down."""
        by_executor: dict[str, dict[Key, Job]] = {}
        for job in jobs:
            by_executor.setdefault(self._names[job.task], {})[job.key] = job
        for name, group in by_executor.items():
            try:
                for sighting in self.executor(name).submit(list(group.values())):
                    crashpoints.point("attempt.submitted")
                    yield group.pop(sighting.key), sighting
            except Exception as error:  # noqa: BLE001 - an executor may be anybody's code
                ending = failed_launch(self._fault(name, error))
                for key, job in group.items():
                    yield job, AttemptStatus(key=key, state="over", ending=ending)

    def cancel(self, history: ExperimentState) -> list[tuple[Job, Cancel]]:
        """Tell executors what is to end; gives the attempts that nobody is to be told of, only given up."""
        abandoned = []
        for name, jobs in self._jobs.items():
            told: dict[tuple[str | None, float | None], list[tuple[Job, Cancel]]] = {}
            for job in jobs.values():
                cancel = history.tasks[job.task].cancel
                if cancel is None or self._told.get(job.key) is cancel:
                    continue
                if cancel.abandon:
                    abandoned.append((job, cancel))
                else:
                    told.setdefault((cancel.signal, cancel.grace), []).append((job, cancel))
            for (signal, grace), group in told.items():
                self._cancel(name, [job for job, _ in group], signal=signal, grace=grace)
                self._told.update((job.key, cancel) for job, cancel in group)
        return abandoned

    def _cancel(self, name: str, jobs: list[Job], *, signal: str | None, grace: float | None) -> None:
        try:
            self.executor(name).cancel(jobs, signal=signal, grace=grace)
        except Exception as error:  # noqa: BLE001 - an executor may be anybody's code
            self._fault(name, error)

    def _fault(self, name: str, error: Exception) -> str:
        """Tell what happened inside an executor; gives it in a line."""
        self._tell("".join(traceback.format_exception(error)).rstrip())
        if isinstance(error, EngineError):
            return error.message
        return f"the executor {name!r} is at fault: {type(error).__name__}: {error}"

    def due(self) -> float | None:
        """The monotonic time at which some executor should be polled without being woken."""
        times = [executor.due() for name, executor in self._executors.items() if name not in self._faulty]
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Let go of everything; what runs goes on."""
        for executor in self._executors.values():
            executor.close()
