"""The truth about an experiment at this moment, whether a supervisor lives or not.

Where none lives, whoever gets its lock without waiting makes one observing turn: it looks at the
attempts, writes down what it learned, starts nothing, and lets go.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli import locks, sweeps
from nemorun_cli.clock import stamp, unix
from nemorun_cli.errors import (
    AmbiguousError,
    LedgerDamagedError,
    LedgerError,
    LedgerNewerError,
    NotFoundError,
)
from nemorun_cli.history import History, TaskState
from nemorun_cli.ledger import read_settled
from nemorun_cli.spec import Spec
from nemorun_cli.states import EXIT_CODES, ExperimentStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.home import ExperimentFiles
    from nemorun_cli.locks import Holder
    from nemorun_cli.resources import Wish
    from nemorun_cli.spec import Group

STATUS_FORMAT: Final = "exp.status/1"

LOOKERS_PATIENCE: Final = 1.0  # seconds for which a look waits while somebody else takes one
LOOKERS_PAUSE: Final = 0.01  # seconds between its tries

SupervisorState = Literal["alive", "gone", "ended", "elsewhere"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How an experiment stands.

    Attributes:
        supervisor: whether one drives it; `holder` says which one it is or was.
        live: how many attempts may still end by themselves.
        torn: bytes at the end of the ledger that were never completed.
        seen: when this was looked at, in Unix seconds.
        waiting: which task waits for slots of this machine, and for what.
    """

    files: ExperimentFiles
    spec: Spec
    history: History
    supervisor: SupervisorState
    holder: Holder | None
    live: int
    torn: int
    seen: float
    waiting: Wish | None = None

    @property
    def status(self) -> ExperimentStatus:
        """The experiment's status, INTERRUPTED if nothing is left that could end by itself."""
        if written := self.history.status:
            return written
        if self.supervisor == "gone" and not self.live:
            return ExperimentStatus.INTERRUPTED
        return ExperimentStatus.RUNNING

    @property
    def exit_code(self) -> int:
        """The exit code that stands for the status."""
        return EXIT_CODES[self.status]

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.history.finished is not None

    def task_json(self, task_id: str, index: int) -> dict[str, Any]:
        """One entry of `tasks` in `exp.status/1`."""
        task = self.spec.tasks[index]
        state = self.history.tasks[task_id]
        attempt = self.files.attempt(task_id, state.attempt).directory if state.submitted else None
        return {
            "id": task_id,
            "index": index,
            "status": state.status,
            "executor": task.executor,
            "type": self.spec.executors.get(task.executor, {}).get("type", task.executor),
            "job_id": state.job_id,
            "directory": str(attempt) if attempt else None,
            "attempt": state.attempt,
            "exit_code": state.exit_code,
            "group": task.group,
            "reason": state.reason,
            "message": self.message(task_id),
            "created": self.history.created.get("time"),
            "started": state.started,
            "ended": state.ended,
            "duration": self.duration(state),
            "dependencies": list(task.dependencies),
            "outputs": state.outputs,
            "evidence": self._evidence(state),
            "matrix": task.matrix,
            "handler": task.handler,
            "resources": task.resources.to_json(),
            "usage": state.usage,
        }

    def message(self, task_id: str) -> str | None:
        """What is to be said of a task besides its reason."""
        state = self.history.tasks[task_id]
        if self.waiting is not None and self.waiting.task == task_id and state.status is TaskStatus.PENDING:
            return f"waits for {self.waiting.wanted}"
        return state.message

    def match_tasks(self, wanted: Sequence[str]) -> list[str]:
        """The ids of the tasks that are meant, in the order of the spec.

        Each of `wanted` is an exact id, a group, a glob, a unique beginning, or a number in `exp status`.

        Raises:
            NotFoundError: one fits nothing.
            AmbiguousError: one is a beginning of several.
        """
        chosen: set[str] = set()
        for text in wanted:
            chosen |= self._match(text)
        return [task.id for task in self.spec.tasks if task.id in chosen]

    def _match(self, text: str) -> set[str]:
        ids = [task.id for task in self.spec.tasks]
        if not text:
            raise NotFoundError("the name of a task is empty", hint="is a variable of the script unset?")
        if text in self.history.tasks:
            return {text}
        for group in self.spec.groups:
            if group.id == text:
                return set(group.members)
            if text.startswith(f"{group.id}/") and (found := _combination(group, text)):
                return found
        if found := set(fnmatch.filter(ids, text)):
            return found
        found = {one for one in ids if one.startswith(text)}
        if len(found) > 1:
            listed = ", ".join(sorted(found)[:10])
            raise AmbiguousError(
                f"{text!r} fits {len(found)} tasks of {self.files.id}: {listed}",
                hint=f"for all of them: '{text}*'",
            )
        if not found and text.isdigit() and int(text) < len(ids):
            return {ids[int(text)]}
        if not found:
            near = difflib.get_close_matches(text, ids, n=1)
            known = ", ".join(ids[:10]) + (", …" if len(ids) > 10 else "")  # noqa: PLR2004 - as many as fit a line
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {known}"
            raise NotFoundError(f"{self.files.id} has no task {text!r}", hint=hint)
        return found

    def to_json(self) -> dict[str, Any]:
        """The document `exp.status/1`."""
        created, finished = self.history.created, self.history.finished
        return {
            "schema": STATUS_FORMAT,
            "id": self.files.id,
            "name": self.spec.name,
            "status": self.status,
            "outcome": self.history.outcome or self.history.status,
            "directory": str(self.files.directory),
            "created": created.get("time"),
            "started": self.history.started,
            "ended": finished["time"] if finished else None,
            "key": created.get("key"),
            "prefix": created.get("prefix"),
            "description": self.spec.description,
            "tags": list(self.spec.tags),
            "bindrs": list(self.spec.bindrs),
            "supervisor": {
                "state": self.supervisor,
                "pid": self.holder.pid if self.holder else None,
                "host": self.holder.host if self.holder else None,
            },
            "counts": {status: count for status, count in self.history.counts.items() if count},
            "sweeps": [self.sweep(group).to_json() for group in sweeps.of(self.spec)],
            "tasks": [self.task_json(task.id, index) for index, task in enumerate(self.spec.tasks)],
        }

    def members(self, group: Group) -> list[TaskState]:
        """The states of a group's members, in the order of the spec."""
        return [self.history.tasks[name] for name in group.members]

    def sweep(self, group: Group) -> sweeps.Progress:
        """The progress of a sweep."""
        return sweeps.progress(
            self.members(group), group, now=self.seen, is_supervised=self.supervisor == "alive"
        )

    def duration(self, state: TaskState) -> float | None:
        """Seconds from the start of a task to its end, or until now."""
        if state.started is None:
            return None
        end = unix(state.ended) if state.ended else self.seen
        return round(max(0.0, end - unix(state.started)), 3)

    def _evidence(self, state: TaskState) -> str | None:
        if state.evidence:
            return state.evidence
        if state.is_over:
            return "the ledger" if state.submitted else None
        if not state.is_live:
            return None
        return "its supervisor is alive" if self.supervisor == "alive" else f"looked at {stamp(self.seen)}"


def _combination(group: Group, text: str) -> set[str]:
    """The members of a group with a matrix that have the values of one combination: `train/lr=0.1`."""
    return {member for member in group.members if member.startswith(f"{text}/")}


def read_spec(files: ExperimentFiles) -> Spec:
    """The spec as resolved when the experiment was created, or when a resume changed it.

    Raises:
        LedgerError: it is missing or unreadable, though the ledger is there.
    """
    spec = _read_spec(files)
    if files.revisions.is_dir() and (number := _revision(files)) > spec.revision:
        return _read_spec(files.revision(number))
    return spec


def _revision(files: ExperimentFiles) -> int:
    """The present revision by the ledger, which knows of it before its copies lie at the top."""
    try:
        events, _ = read_settled(files.ledger)
    except (LedgerError, NotFoundError):
        return 1  # which others tell; the copies at the top have to do
    return max((event["revision"] for event in events if event.get("revision")), default=1)


def _read_spec(files: ExperimentFiles) -> Spec:
    try:
        return Spec.from_json(json.loads(files.resolved.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerError(
            f"{files.resolved} cannot be read: {error}", hint="restore it from a backup"
        ) from error


def look(
    files: ExperimentFiles, *, home: Path, observe: bool = True, patience: float = LOOKERS_PATIENCE
) -> Snapshot:
    """How an experiment stands now.

    Args:
        files: where it lies.
        home: `$NEMORUN_HOME`.
        observe: whether to look at the tasks themselves where no supervisor does, and write it down.
        patience: seconds to wait for others who look; then the ledger has to do.

    Raises:
        LedgerError: its files cannot be read.
        NotFoundError: it is not there (any more).
    """
    # The lock first: a supervisor lets go of it only after it has written the end.
    is_held = locks.is_held_by_name(files.supervisor_lock)
    spec = read_spec(files)
    history = History.of(spec)
    events, reader = read_settled(files.ledger)
    history.apply_all(events)
    if history.revision > spec.revision:  # a resume changed it just now
        return look(files, home=home, observe=observe, patience=patience)
    holder = history.supervisor
    state = _supervisor_state(history, holder, is_held=is_held)
    live = sum(
        history.counts[status] for status in (TaskStatus.SUBMITTED, TaskStatus.RUNNING, TaskStatus.UNKNOWN)
    )
    if state == "gone" and observe:
        if found := _observe(files, spec, home):
            history, live = found
        elif patience > 0:  # somebody else looks, or a supervisor is just beginning
            time.sleep(LOOKERS_PAUSE)
            return look(files, home=home, patience=patience - LOOKERS_PAUSE)
    return Snapshot(
        files=files,
        spec=spec,
        history=history,
        supervisor=state,
        holder=holder,
        live=live,
        torn=reader.torn,
        seen=time.time(),
        waiting=_waiting(files, spec, history) if state == "alive" else None,
    )


def _waiting(files: ExperimentFiles, spec: Spec, history: History) -> Wish | None:
    """What the experiment waits for on this machine, asked only where a task may."""
    if not history.counts[TaskStatus.PENDING] or not any(task.resources for task in spec.tasks):
        return None
    from nemorun_cli import shortage  # noqa: PLC0415 - few experiments wait for slots

    waiting = shortage.waiting_of(files)
    return waiting.wish if waiting else None


def _supervisor_state(history: History, holder: Holder | None, *, is_held: bool) -> SupervisorState:
    if history.finished:
        return "ended"
    if is_held and (holder is None or holder.is_this_host):
        return "alive"
    if holder is not None and not holder.is_this_host:
        return "elsewhere"
    return "gone"


def _observe(files: ExperimentFiles, spec: Spec, home: Path) -> tuple[History, int] | None:
    """One observing turn; None if somebody else holds the lock by now."""
    from nemorun_cli import secret_values  # noqa: PLC0415 - only where no supervisor lives
    from nemorun_cli.start import who  # noqa: PLC0415 - the same
    from nemorun_cli.supervision import Supervision  # noqa: PLC0415 - the same

    try:
        lock = locks.try_take_nameless(files.supervisor_lock)
        if lock is None:
            return None
    except OSError:
        lock = -1  # a home that is read-only: nothing is written, what is found is shown
    secrets = secret_values.known(spec)
    can_check = set(secrets) >= secret_values.of_tasks(spec)  # else an output might hold one unseen
    supervision = Supervision(files, spec, secrets=secrets, home=home, by=who(), submits=False)
    try:
        supervision.open()
        supervision.observe(writes=lock >= 0 and can_check)
    except (LedgerDamagedError, LedgerNewerError, NotFoundError):
        raise
    except LedgerError:
        pass  # what was learned cannot be written down now, and is shown all the same
    finally:
        supervision.close()
        if lock >= 0:
            os.close(lock)
    return supervision.history, supervision.live
