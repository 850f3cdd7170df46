"""Makes the Python environments that tasks need, and holds the tasks back until theirs is ready.

Each is made by a process of its own, so that the loop never waits. It continues if the supervisor is killed:
the process of the next supervisor then waits for its lock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli.errors import EngineError
from nemorun_cli.executors import planning
from nemorun_cli.model import python_environment
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.packagers.environments import existing, store
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault
from nemorun_cli.packagers.environments.remote_making import EnvironmentHost
from nemorun_cli.storage import events
from nemorun_cli.storage.paths import Home
from nemorun_cli.supervisor.helper_process import MOST_LOSSES, HelperProcess, HelperStarter
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import RemoteMakingExecutor
    from nemorun_cli.model.python_environment import PythonEnvironment
    from nemorun_cli.model.spec import Task
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.ledger_writer import LedgerWriter
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.supervisor.dispatch import Dispatcher

MODULE: Final = "nemorun_cli.packagers.environments.maker_process"
MOST: Final = 2  # environments that one experiment makes at once


@dataclass(slots=True)
class _Making:
    """The process that makes one environment."""

    process: HelperProcess
    result: dict[str, Any] | None = None


class PythonEnvironments:
    """The Python environments of one experiment: those on this machine, and those made on another host.

    Args:
        schedule: holds the tasks back.
        journal: gets what happens to environments.
        home: `$NEMORUN_HOME`.
        dispatcher: knows the executors, by which environments are here or on another host.
        files: the paths of the experiment.
        poll: becomes ready when a process has something to report.
        report: called with a message if a process cannot be started.
    """

    def __init__(
        self,
        schedule: Schedule,
        journal: LedgerWriter,
        *,
        home: Path,
        files: ExperimentFiles,
        dispatcher: Dispatcher,
        poll: select.poll,
        report: Callable[[str], None],
    ) -> None:
        self._schedule, self._journal, self._home = schedule, journal, Home(home)
        self._history, self._files, self._dispatcher = schedule.history, files, dispatcher
        self._starter = HelperStarter(MODULE, does="makes a Python environment", poll=poll, report=report)
        self._pythons: dict[str, Mapping[str, Any]] = {}  # by key, of environments that are not ready
        self._users: dict[str, list[str]] = {}  # the tasks of each
        self._made = {environment.id: environment for environment in schedule.spec.environments}
        self._executors: dict[str, str] = {}  # of the tasks of each
        self._of_variants: dict[int, tuple[tuple[str, Task], ...]] = {}  # by the variants of trials
        self._queue: deque[str] = deque()  # keys of those that are to be made
        self._makings: dict[str, _Making] = {}
        self._losses: Counter[str] = Counter()  # processes that were killed, by key

    def begin(self) -> None:
        """Hold back the tasks that can still start, and begin to make their environments."""
        held: dict[str, str] = {}
        for task in self._schedule.tasks.values():
            state = self._history.tasks[task.id]
            if state.is_over and not self._schedule.retry_is_due(task.id):
                continue
            is_undecided = task.variants is not None and self._schedule.trials.needs_suggestion(task)
            for key, form in self._forms(task, in_each_form=is_undecided):
                self._pythons.setdefault(key, form.python or {})
                self._executors.setdefault(key, form.executor)
                self._users.setdefault(key, []).append(task.id)
                if not is_undecided:
                    held[task.id] = key
                is_next = state.status is TaskStatus.PENDING or state.is_queued_early
                if is_next and key in self._made and key not in self._queue:
                    self._queue.append(key)
        self._schedule.hold(held, self._unready)

    def _forms(self, task: Task, *, in_each_form: bool) -> Sequence[tuple[str, Task]]:
        """The keys of the environments that a task needs, or may need, each with a form of it that does."""
        if not in_each_form:
            return [] if (key := self._key(task)) is None else [(key, task)]
        if id(task.variants) not in self._of_variants:
            by_key = {key: form for form in task.possible if (key := self._key(form)) is not None}
            self._of_variants[id(task.variants)] = tuple(by_key.items())
        return self._of_variants[id(task.variants)]

    def _key(self, task: Task) -> str | None:
        """The key of a task's environment; None if it is in an image, or was made on a host by its user."""
        if task.python is None or not (
            self._is_here(task.executor) or self._schedule.spec.environment(task) is not None
        ):
            return None
        return python_environment.key(task.python)

    def _unready(self, task: Task) -> str | None:
        key = self._key(task)
        return key if key in self._pythons else None

    @cache  # noqa: B019 - one object, which lives as long as the process
    def _is_here(self, executor: str) -> bool:
        """Whether the tasks of an executor see the files of this machine."""
        return not self._dispatcher.capabilities(executor).has_own_files

    def _host(self, key: str) -> EnvironmentHost | None:
        """Where an environment is made; None for this machine.

        Raises:
            EngineError: the host cannot be reached from here.
        """
        if self._made[key].host is None:
            return None
        executor = cast("RemoteMakingExecutor", self._dispatcher.executor(self._executors[key]))
        argv, folder, first = executor.environments(self._files)
        return EnvironmentHost(argv=tuple(argv), folder=folder, pre_command=first)

    def look(self) -> Iterator[tuple[str, str]]:
        """Take what processes report, and start others; yields tasks that cannot start, with the reason."""
        for key, making in list(self._makings.items()):
            self._receive(key, making)
            if making.process.has_ended:
                yield from self._finish(key, making)
            elif not self._is_wanted(key):
                self._makings.pop(key).process.stop()
                self._note_end(key, TaskStatus.CANCELLED, message="no task needs it any more")
        for key in [key for key in self._pythons if key not in self._makings and self._schedule.held(key)]:
            if key in self._made:
                if key not in self._queue:
                    self._queue.append(key)
            else:
                yield from self._check(key)
        yield from self._start_queued()

    def _is_wanted(self, key: str) -> bool:
        states = (self._history.tasks[name] for name in self._users[key])
        return any(not state.is_over and state.cancel is None for state in states)

    def _check(self, key: str) -> Iterator[tuple[str, str]]:
        """Look at an environment that exists, now that a task needs it."""
        kind, prefix = planning.environment_of(self._pythons[key], self._home.directory)
        try:
            version, packages = existing.versions(kind, self._home.directory / prefix)
        except EnvironmentFault as fault:
            yield from self._fail(key, fault.message + (f" ({fault.hint})" if fault.hint else ""))
        else:
            self._ready(key, version, packages)

    def _start_queued(self) -> Iterator[tuple[str, str]]:
        while self._queue and len(self._makings) < MOST:
            key = self._queue.popleft()
            if key not in self._pythons or not self._is_wanted(key):
                continue
            if self._made[key].host is None and (known := store.manifest(self._home, key)) is not None:
                self._ready(key, known.get("version"), known.get("packages", {}))
                continue
            try:
                host = self._host(key)
            except EngineError as error:
                yield from self._fail(key, error.message)
                continue
            if not self._start(self._made[key], host):
                self._queue.appendleft(key)
                return

    def _start(self, environment: PythonEnvironment, host: EnvironmentHost | None) -> bool:
        """Have an environment made; returns whether a process can be started for it now."""
        if (process := self._starter.start()) is None:
            return False
        order = {
            "home": str(self._home.directory),
            "environment": environment.to_json(),
            "experiment": self._files.id,
            "host": None if host is None else host.to_json(),
        }
        process.send(order, is_last=True)
        self._makings[environment.id] = _Making(process)
        self._journal.note(
            events.ENVIRONMENT_STARTED,
            is_urgent=False,  # no action depends on it
            python_environment=environment.id,
            environment_text=environment.text,
        )
        crashpoints.point("environment.started")
        return True

    def _receive(self, key: str, making: _Making) -> None:
        """Take what a process has written; its end is the end of its output."""
        for answer in making.process.exchange():
            if answer.get("event") in ("done", "failed"):
                making.result = answer
            else:
                self._note_progress(key, answer.get("message"))

    def _note_progress(self, key: str, message: str | None) -> None:
        """Note what the making of an environment waits for, or that it waits no more, if that is new."""
        if self._history.environments[key].message != message:
            self._journal.note(
                events.ENVIRONMENT_STARTED,
                is_urgent=False,  # no action depends on it
                python_environment=key,
                environment_text=self._made[key].text,
                message=message,
            )

    def _finish(self, key: str, making: _Making) -> Iterator[tuple[str, str]]:
        del self._makings[key]
        code = making.process.reap()  # an installer that outlives it holds the lock
        if making.result is None:
            self._starter.report_loss(code)
            if self._losses[key] < MOST_LOSSES:
                self._losses[key] += 1
                self._queue.append(key)
            else:
                times = f"{MOST_LOSSES + 1} times"
                yield from self._fail(key, f"the process that makes it ended with exit code {code}, {times}")
            return
        if making.result["event"] == "done":
            self._ready(key, making.result.get("version"), making.result.get("packages", {}))
        else:
            yield from self._fail(key, making.result["message"])

    def _ready(self, key: str, version: str | None, packages: dict[str, str]) -> None:
        digest = key if key in self._made else existing.fingerprint(version, packages)
        known = self._history.environments.get(key)
        if known is None or known.fingerprint != digest or known.status is not TaskStatus.SUCCEEDED:
            self._note_end(
                key,
                TaskStatus.SUCCEEDED,
                python_version=version,
                installed=packages,
                fingerprint=digest,
            )
        del self._pythons[key]
        self._schedule.release(key)

    def _fail(self, key: str, message: str) -> Iterator[tuple[str, str]]:
        """Fail the tasks that are ready; if others become ready later, it is made again."""
        self._note_end(key, TaskStatus.FAILED, message=message)
        for name in self._schedule.take_held(key):
            yield name, f"its Python environment cannot be used: {message}"

    def _note_end(self, key: str, status: TaskStatus, **fields: Any) -> None:
        made = self._made.get(key)
        text = made.text if made is not None else python_environment.text_of(self._pythons[key])
        self._journal.note(
            events.ENVIRONMENT_ENDED, python_environment=key, environment_text=text, status=status, **fields
        )

    @property
    def due(self) -> float | None:
        """The monotonic time at which `look` has something to do without a report; None for never."""
        if self._queue and len(self._makings) < MOST:
            return self._starter.retry_at
        waiting = (key for key in self._pythons if key not in self._makings and key not in self._queue)
        return 0.0 if any(self._schedule.held(key) for key in waiting) else None

    def close(self) -> None:
        """End the processes: nothing waits for them any more."""
        for making in self._makings.values():
            making.process.stop()
        self._makings.clear()
