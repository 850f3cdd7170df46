"""What an executor is, and where the core finds one by the name of its type.

An executor is one file that implements few verbs. The core never asks which kind it has. A new
one is added by its file and a line in `_TYPES`, or by a package of its own that names its class
under the entry-point group `nemorun_cli.executors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, Self, runtime_checkable

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.executor_types import ExecutorTypes
from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.system.locks import Holder
    from nemorun_cli.system.slots import Allocation

ENTRY_POINTS: Final = "nemorun_cli.executors"

ELSEWHERE: Final = "elsewhere"  # the evidence of what can only be seen from another host

Key = tuple[str, int]  # task id, attempt
Need = Literal["success", "no_cancel", "end", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An attempt that another one waits for in the engine's own queue.

    Attributes:
        job_id: what the engine calls it.
        need: how it has to end: with success; not by a cancel, for it may fail; anyhow; or with a
            failure, which one of those that have this need is enough for.
        has_secrets: whether its outputs may hold what only the supervisor knows to be a secret.
    """

    key: Key
    job_id: str
    files: AttemptFiles
    need: Need
    has_secrets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An attempt as an executor sees it.

    Attributes:
        plan: what to run; None when the attempt was submitted earlier and is only looked after.
        job_id: what the engine calls it, once that is known.
        holder: the supervisor that submitted it, whose host and boot are those of a local process.
        stop_grace: seconds from `stop_signal` to KILL when something is left over.
        allocation: the slots of this machine that it was given, if it asked for any and is to be submitted.
        upstream: the jobs that it waits for in the engine's queue; only for an executor that `QueuesEarly`.
    """

    experiment: str
    task: str
    attempt: int
    files: AttemptFiles
    plan: Plan | None = None
    job_id: str | None = None
    holder: Holder | None = None
    stop_signal: str = "TERM"
    stop_grace: float = 10.0
    allocation: Allocation | None = None
    upstream: tuple[Upstream, ...] = ()

    @classmethod
    def of(cls, task: Task, state: TaskState, files: ExperimentFiles) -> Self:
        """A task's present attempt, to be looked after."""
        return cls(
            experiment=files.id,
            task=task.id,
            attempt=state.attempt,
            files=files.attempt(task.id, state.attempt),
            job_id=state.job_id,
            holder=state.holder,
            stop_signal=task.stop_signal,
            stop_grace=task.stop_grace,
        )

    @property
    def key(self) -> Key:
        """What tells this attempt from all others of the experiment."""
        return self.task, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStatus:
    """What an executor learned about an attempt.

    `state` is `queued` or `running` (the engine has it), `over` (with its `ending`), `unknown` (the
    engine does not answer; never taken for an end) or `absent` (it was never started, and will not be).
    `since` is when it began (Unix seconds), where that is known better than by the time of the
    sighting; `evidence` says by what all this is known.
    """

    key: Key
    state: Literal["queued", "running", "over", "unknown", "absent"]
    job_id: str | None = None
    since: float | None = None
    ending: AttemptEnd | None = None
    message: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `doctor` says of an engine; `remedy` is there if something is wrong."""

    engine: str
    is_ok: bool
    message: str
    remedy: str | None = None


class Executor(Protocol):
    """Where tasks run. An instance keeps nothing that the ledger and the attempts do not tell.

    It is made with its options from the spec, checked against `options_schema`, and with the
    secrets of the tasks that it runs. `machine` and `why_unsatisfiable` may be left out.
    """

    options_schema: ClassVar[Mapping[str, Any]]  # JSON Schema of the options, without `type`
    counts_toward_max_parallel: ClassVar[bool]  # whether its tasks count for `run.max_parallel` by default

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None: ...

    def plan(self, plan: Plan) -> Plan:
        """The plan with what the engine will be told; pure, for the dry run shows it."""
        ...

    def submit(self, jobs: Sequence[Job]) -> Iterable[AttemptStatus]:
        """Start attempts; submitting one that was started already does not start it twice."""
        ...

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[AttemptStatus]:
        """What is new about these attempts; the first time, how each of them stands."""
        ...

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> None:
        """Begin to end attempts (None: with their own signal and grace); `poll` tells when they are gone."""
        ...

    def wakeup(self) -> int | None:
        """A descriptor that becomes readable when `poll` has news, or None."""
        ...

    def due(self) -> float | None:
        """The monotonic time at which `poll` should be called without a wakeup, or None."""
        ...

    def check(self) -> Iterable[Diagnosis]:
        """Ask the engine whether it can do what these options want; the doctor asks without any."""
        ...

    def close(self) -> None:
        """Let go of everything; what runs goes on."""
        ...

    def machine(self, *, with_gpus: bool) -> Machine | None:
        """What its tasks share of this machine by `resources`; None if they run elsewhere."""
        ...

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why a request can never be met, or None; if `ask` by what the engine says, else by the options."""
        ...


@runtime_checkable
class QueuesEarly(Protocol):
    """What an executor has besides if its engine can let an attempt wait for the ends of others.

    Such an attempt must run only if it is certain that the needs in its `Job.upstream` are met. If they are
    not, or if the engine cannot determine it, the attempt is not run, and `poll` reports it as `absent`.
    """

    def queue(self) -> str:
        """What names the engine's queue: attempts can wait for those of executors that give the same."""
        ...


@runtime_checkable
class HasRemotePaths(Protocol):
    """What the class of an executor (not its instance) has if tasks may find folders that are not here."""

    def has_remote_paths(self, options: Mapping[str, Any]) -> bool:
        """Whether they do with these options, so that a `workdir` is not looked for on this machine."""
        ...


_TYPES: Final = Registry(
    kind="executor type",
    group=ENTRY_POINTS,
    built_in={
        "docker": "nemorun_cli.executors.docker.executor:DockerExecutor",
        "local": "nemorun_cli.executors.local:LocalExecutor",
        "slurm": "nemorun_cli.executors.slurm.executor:SlurmExecutor",
    },
)


def types() -> list[str]:
    """The types of executors there are, built in and installed."""
    return _TYPES.names()


def known(*, ask: bool) -> ExecutorTypes:
    """What the check of a spec asks about executors; with `ask`, of this machine and the engines too."""
    return ExecutorTypes(
        names=types,
        options_schema=options_schema,
        why_unsatisfiable=partial(why_unsatisfiable, ask=ask),
        has_remote_paths=has_remote_paths,
    )


def find(type_name: str) -> type[Executor]:
    """The class behind a type.

    Raises:
        UsageError: there is no such type, or its package cannot be loaded.
    """
    found: type[Executor] = _TYPES.find(type_name)
    return found


def options_schema(type_name: str) -> Mapping[str, Any] | None:
    """The JSON Schema of a type's options, or None if there is no such type."""
    return find(type_name).options_schema if _TYPES.has(type_name) else None


def has_remote_paths(name: str, options: Mapping[str, Any]) -> bool:
    """Whether the tasks of an executor find folders that are not on this machine."""
    type_name = options.get("type", name)
    found = find(type_name) if _TYPES.has(type_name) else None
    return isinstance(found, HasRemotePaths) and found.has_remote_paths(options)


def make(name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> Executor:
    """The executor that a spec calls `name`."""
    given = {key: value for key, value in options.items() if key != "type"}
    return find(options.get("type", name))(name, given, secrets)


def queue(executor: Executor) -> str | None:
    """What names the queue in which attempts of an executor can wait for others; None if they cannot."""
    return executor.queue() if isinstance(executor, QueuesEarly) else None


def ask(spec: Spec) -> list[Diagnosis]:
    """What the engines say of themselves that the tasks of a spec use."""
    found: list[Diagnosis] = []
    for name in dict.fromkeys(task.executor for task in spec.tasks):
        executor = make(name, spec.executors.get(name, {"type": name}), {})
        try:
            found += executor.check()
        finally:
            executor.close()
    return found


def machine(executor: Executor, *, with_gpus: bool) -> Machine | None:
    """What tasks of an executor share of this machine; None of one that says nothing about it."""
    return executor.machine(with_gpus=with_gpus) if hasattr(executor, "machine") else None


def why_unsatisfiable(name: str, options: Mapping[str, Any], wanted: Resources, *, ask: bool) -> str | None:
    """Why a request can never be met by the executor that a spec calls `name`, or None.

    Without `ask` only what its options tell counts; with it, this machine and the engine too.
    """
    executor = make(name, options, {})
    try:
        return executor.why_unsatisfiable(wanted, ask=ask) if hasattr(executor, "why_unsatisfiable") else None
    finally:
        executor.close()


def ask_engines(spec: Spec) -> None:
    """Fail now, and not after hours in a queue, if an engine cannot do what the spec wants."""
    if ill := [one for one in ask(spec) if not one.is_ok]:
        told = "; ".join(f"{one.engine}: {one.message}" for one in ill)
        remedies = dict.fromkeys(one.remedy for one in ill if one.remedy)
        raise EngineError(told, hint="; ".join(remedies) or None)
