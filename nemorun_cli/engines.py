"""The executors of one experiment and the attempts they have in hand: what a supervisor acts through."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from nemorun_cli import executors, faults
from nemorun_cli.executors import Executor, Job, Key, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.history import Cancel, History
    from nemorun_cli.spec import Spec

Seen = tuple[Job, Sighting]


class Engines:
    """Executors by the names that the spec gives them, made when first needed."""

    def __init__(
        self,
        spec: Spec,
        *,
        secrets: Mapping[str, str],
        makers: Mapping[str, Callable[[], Executor]],
        poll: select.poll,
    ) -> None:
        self._spec = spec
        self._secrets = secrets
        self._makers = makers
        self._poll = poll
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
            if (wakeup := executor.wakeup()) is not None:
                self._poll.register(wakeup, select.POLLIN)
        return self._executors[name]

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

    def poll(self) -> list[Seen]:
        """What is new about the attempts in hand."""
        return [
            (jobs[sighting.key], sighting)
            for name, jobs in self._jobs.items()
            if jobs
            for sighting in self.executor(name).poll(jobs)
            if sighting.key in jobs
        ]

    def submit(self, jobs: Iterable[Job]) -> Iterator[Seen]:
        """Start attempts that were taken in hand and written down."""
        by_executor: dict[str, dict[Key, Job]] = {}
        for job in jobs:
            by_executor.setdefault(self._names[job.task], {})[job.key] = job
        for name, group in by_executor.items():
            for sighting in self.executor(name).submit(list(group.values())):
                faults.point("attempt.submitted")
                yield group[sighting.key], sighting

    def cancel(self, history: History) -> list[tuple[Job, Cancel]]:
        """Tell executors what is to end; gives the attempts that nobody is to be told of, only given up."""
        abandoned = []
        for name, jobs in self._jobs.items():
            told: dict[tuple[str | None, float | None], list[Job]] = {}
            for job in jobs.values():
                cancel = history.tasks[job.task].cancel
                if cancel is None or self._told.get(job.key) is cancel:
                    continue
                if cancel.abandon:
                    abandoned.append((job, cancel))
                else:
                    self._told[job.key] = cancel
                    told.setdefault((cancel.signal, cancel.grace), []).append(job)
            for (signal, grace), group in told.items():
                self.executor(name).cancel(group, signal=signal, grace=grace)
        return abandoned

    def due(self) -> float | None:
        """The monotonic time at which some executor should be polled without being woken."""
        times = (executor.due() for executor in self._executors.values())
        return min((time for time in times if time is not None), default=None)

    def close(self) -> None:
        """Let go of everything; what runs goes on."""
        for executor in self._executors.values():
            executor.close()
