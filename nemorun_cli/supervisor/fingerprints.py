"""Fingerprints of tasks with `cache`, as a process of their own determines them while the loop continues."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import python_environment
from nemorun_cli.model.step_cache import Fingerprint
from nemorun_cli.supervisor.helper_process import MOST_LOSSES, HelperProcess, HelperStarter
from nemorun_cli.system import environment

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState

MODULE: Final = "nemorun_cli.supervisor.fingerprint_process"


@dataclass(frozen=True, slots=True)
class NoFingerprint:
    """Why a fingerprint cannot be determined: the task can neither be reused nor be kept."""

    message: str


@dataclass(frozen=True, slots=True)
class FingerprintAnswer:
    """What was found out for a task.

    Attributes:
        fingerprint: None if it cannot be determined; `fault` is the reason.
        details: what came of the action that was given with the request.
    """

    fingerprint: Fingerprint | None = None
    fault: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Order:
    """What the process is asked for about one task."""

    message: Mapping[str, Any]
    losses: int = 0


class Fingerprints:
    """Asks for the fingerprints of the tasks of one experiment, one after the other.

    Args:
        spec: of the experiment.
        history: with the results of tasks on which others depend, and their Python environments.
        files: the paths of the experiment.
        home: `$NEMORUN_HOME`.
        poll: becomes ready when there is an answer.
        report: called with a message if the process cannot be started, or ends.
    """

    def __init__(
        self,
        spec: Spec,
        history: ExperimentState,
        *,
        files: ExperimentFiles,
        home: Path,
        poll: select.poll,
        report: Callable[[str], None],
    ) -> None:
        self._spec, self._history, self._files = spec, history, files
        self._starter = HelperStarter(
            MODULE, str(home), str(os.getpid()), does="determines fingerprints", poll=poll, report=report
        )
        self._orders: dict[str, _Order] = {}  # by task, in their order; the first ones are sent
        self._process: HelperProcess | None = None

    def start(self) -> None:
        """Start the process before it is needed, which takes it some time."""
        if self._process is None and (process := self._starter.start()) is not None:
            self._process = process
            for request in self._orders.values():
                process.send(request.message)

    def request(self, task: Task, action: Mapping[str, Any] | None = None) -> None:
        """Ask for the fingerprint of a task that is filled in; an earlier request for it is void.

        Args:
            task: the task.
            action: what is to be done with the fingerprint; see `step_cache_orders`.
        """
        request = _Order(order(task, self._spec, self._history, self._files) | {"action": action})
        is_sent = self._orders.pop(task.id, None) is not None
        self._orders[task.id] = request
        if is_sent:  # its answer, which may be on its way, is that of a void request
            self._stop()
        if self._process is None:
            self.start()
        else:
            self._process.send(request.message)

    def forget(self, task: str) -> None:
        """Drop the request for a task that does not run any more."""
        self._orders.pop(task, None)

    def withdraw(self, task: str) -> None:
        """Drop the request for a task in such a way that nothing is done for it any more."""
        if self._orders.pop(task, None) is not None:
            self._stop()

    def is_requested(self, task: str) -> bool:
        """Whether the fingerprint of a task is being determined."""
        return task in self._orders

    def take(self) -> Iterator[tuple[str, Fingerprint | NoFingerprint]]:
        """The fingerprints determined since the last call, by task, and the reasons for lacking ones."""
        for name, answer in self.answers():
            yield name, answer.fingerprint or NoFingerprint(answer.fault or "")

    def answers(self) -> Iterator[tuple[str, FingerprintAnswer]]:
        """The answers since the last call, by task."""
        if (process := self._process) is not None:
            yield from self._taken(process, process.exchange())
            if process.has_ended and process is self._process:
                self._process = None
                yield from self._lost(process.stop())
        if self._orders:
            self.start()

    def _taken(
        self, process: HelperProcess, answers: Iterable[Mapping[str, Any]]
    ) -> Iterator[tuple[str, FingerprintAnswer]]:
        for answer in answers:
            if process is not self._process:  # stopped meanwhile: the rest is asked for again
                return
            if self._orders.pop(answer.get("key", ""), None) is None:
                continue
            fault = answer.get("fault")
            found = Fingerprint.of(answer["parts"]) if fault is None else None
            yield answer["key"], FingerprintAnswer(found, fault, answer.get("details") or {})

    def _lost(self, code: int) -> Iterator[tuple[str, FingerprintAnswer]]:
        """Blame the end of a process on the task that it worked on; the others are asked for again."""
        self._starter.report_loss(code)
        name = next(iter(self._orders), None)
        if name is None:
            return
        self._orders[name].losses += 1
        if self._orders[name].losses > MOST_LOSSES:
            del self._orders[name]
            message = f"the process that determines it ended with exit code {code}, {MOST_LOSSES + 1} times"
            yield name, FingerprintAnswer(fault=message)

    @property
    def due(self) -> float | None:
        """The monotonic time at which `take` has something to do without an answer; None for never."""
        return self._starter.retry_at if self._orders and self._process is None else None

    def close(self) -> None:
        """End the process: nothing waits for it any more."""
        self._orders.clear()
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop()


def order(task: Task, spec: Spec, history: ExperimentState, files: ExperimentFiles) -> dict[str, Any]:
    """What the process is asked for about a task that is filled in, without an action."""
    package, options = spec.package(task), spec.executors.get(task.executor)
    alone = replace(
        spec,
        tasks=(replace(task, group=None),),
        groups=(),
        executors={} if options is None else {task.executor: options},
        packages=() if package is None else (package,),
        environments=(),
        plugins=(),
        external=(),
        removed=(),
        params={},
        env={},
        secrets={},
    )
    inherited = environment.inherited(task.env_inherit)
    names = task.cache.env if task.cache is not None else ()
    parents = {name: history.tasks[name] for name in task.dependencies}
    return {
        "key": task.id,
        "spec": alone.to_json(),
        "directory": str(files.directory),
        "parents": {
            name: {"status": state.status, "outputs": state.outputs, "fingerprint": state.fingerprint}
            for name, state in parents.items()
        },
        "variables": {name: inherited.get(name) for name in names if name not in task.env},
        "path": task.env.get("PATH", inherited.get("PATH")),
        "python": _python(task, history),
    }


def _python(task: Task, history: ExperimentState) -> str | None:
    """What identifies the Python environment of a task; None if it has none."""
    if task.python is None:
        return None
    known = history.environments.get(python_environment.key(task.python))
    text = python_environment.text_of(task.python)
    if "environment" in task.python:
        return f"{task.python['environment']} ({text})"
    return text if known is None or known.fingerprint is None else f"{known.fingerprint} ({text})"
