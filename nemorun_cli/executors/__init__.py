"""The executor protocol, and the registry that finds an executor class by its type.

An executor is one module that implements a few verbs; the core never distinguishes types. To add one,
write the module and add a line to `_TYPES`, or register the class of another package under the
entry-point group `nemorun_cli.executors`.
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

ELSEWHERE: Final = "elsewhere"  # the evidence for an attempt that only another host can observe

Key = tuple[str, int]  # task id, attempt
Need = Literal["success", "no_cancel", "end", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An attempt that another attempt depends on in the engine's own queue.

    Attributes:
        job_id: its id in the engine.
        need: how it must end: `success`; `no_cancel` (success or failure, but not cancelled); `end`
            (any result); `failure` (at least one of the upstream jobs with this need must fail).
        has_secrets: whether its outputs may contain a secret that only the supervisor can recognize.
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
        plan: what to run; None if the attempt was submitted earlier and is only monitored.
        job_id: its id in the engine, once known.
        holder: the supervisor that submitted it; a local process has the same host and boot.
        stop_grace: seconds from `stop_signal` to KILL for processes that are still running.
        allocation: the local slots reserved for it, if it requested any and is about to be submitted.
        upstream: the jobs it depends on in the engine's queue; only for a `QueuesEarly` executor.
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
        """The current attempt of a task, to be monitored."""
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
        """Identifies the attempt within the experiment."""
        return self.task, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStatus:
    """The status of an attempt, as its executor determined it.

    `state` is `queued` or `running` (the engine has it), `over` (finished; `ending` is set), `unknown` (the
    engine does not answer; never treated as finished) or `absent` (it was never started, and will not be).
    `since` is its start (Unix seconds), if that is known more precisely than from the time of this
    report; `evidence` is the source of the status.
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
    """A result of `doctor` for an engine; `remedy` is set if there is a problem."""

    engine: str
    is_ok: bool
    message: str
    remedy: str | None = None


class Executor(Protocol):
    """Where tasks run. All state of an instance can be restored from the ledger and the attempt files.

    It is created with its options from the spec, validated against `options_schema`, and with the
    secrets of the tasks it runs. `machine` and `why_unsatisfiable` are optional.
    """

    options_schema: ClassVar[Mapping[str, Any]]  # JSON Schema of the options, without `type`
    counts_toward_max_parallel: ClassVar[bool]  # whether its tasks count toward `run.max_parallel` by default

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None: ...

    def plan(self, plan: Plan) -> Plan:
        """The plan with the engine's parameters added. Must be pure: the dry run shows the result."""
        ...

    def submit(self, jobs: Sequence[Job]) -> Iterable[AttemptStatus]:
        """Start attempts. Submitting a started attempt again must not start it twice."""
        ...

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[AttemptStatus]:
        """Status changes of these attempts; on the first call, the status of each."""
        ...

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> None:
        """Start to terminate attempts (None: with their own signal and grace); `poll` reports their end."""
        ...

    def wakeup(self) -> int | None:
        """A descriptor that becomes readable when `poll` has something to report, or None."""
        ...

    def due(self) -> float | None:
        """The monotonic time at which `poll` should be called without a wakeup, or None."""
        ...

    def check(self) -> Iterable[Diagnosis]:
        """Check whether the engine supports these options; `doctor` passes none."""
        ...

    def close(self) -> None:
        """Release all resources; running tasks continue."""
        ...

    def machine(self, *, with_gpus: bool) -> Machine | None:
        """The local capacity that its tasks share through `resources`; None if they run elsewhere."""
        ...

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why a request can never be met, or None. `ask` queries the engine; otherwise only options count."""
        ...


@runtime_checkable
class QueuesEarly(Protocol):
    """An executor whose engine can queue an attempt with dependencies on other attempts.

    Such an attempt must run only if it is certain that the needs in its `Job.upstream` are met. If they are
    not, or if the engine cannot determine it, the attempt is not run, and `poll` reports it as `absent`.
    """

    def queue(self) -> str:
        """The name of the engine's queue. Attempts can depend on those of executors with the same queue."""
        ...


@runtime_checkable
class HasRemotePaths(Protocol):
    """An executor class (not instance) whose tasks may see folders that do not exist on this machine."""

    def has_remote_paths(self, options: Mapping[str, Any]) -> bool:
        """Whether they do with these options; a `workdir` is then not required on this machine."""
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
    """The known executor types, built in and installed."""
    return _TYPES.names()


def known(*, ask: bool) -> ExecutorTypes:
    """The executor types that a spec is checked against; `ask` also queries this machine and the engines."""
    return ExecutorTypes(
        names=types,
        options_schema=options_schema,
        why_unsatisfiable=partial(why_unsatisfiable, ask=ask),
        has_remote_paths=has_remote_paths,
    )


def find(type_name: str) -> type[Executor]:
    """The class of an executor type.

    Raises:
        UsageError: the type is unknown, or its package cannot be loaded.
    """
    executor_class: type[Executor] = _TYPES.find(type_name)
    return executor_class


def options_schema(type_name: str) -> Mapping[str, Any] | None:
    """The JSON Schema of a type's options, or None if the type is unknown."""
    return find(type_name).options_schema if _TYPES.has(type_name) else None


def has_remote_paths(name: str, options: Mapping[str, Any]) -> bool:
    """Whether the tasks of an executor may see folders that do not exist on this machine."""
    type_name = options.get("type", name)
    executor_class = find(type_name) if _TYPES.has(type_name) else None
    return isinstance(executor_class, HasRemotePaths) and executor_class.has_remote_paths(options)


def make(name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> Executor:
    """The executor that a spec calls `name`."""
    own_options = {key: value for key, value in options.items() if key != "type"}
    return find(options.get("type", name))(name, own_options, secrets)


def queue(executor: Executor) -> str | None:
    """The queue in which attempts of an executor can depend on others; None if it has no such queue."""
    return executor.queue() if isinstance(executor, QueuesEarly) else None


def ask(spec: Spec) -> list[Diagnosis]:
    """Check the engines that the tasks of a spec use."""
    diagnoses: list[Diagnosis] = []
    for name in dict.fromkeys(task.executor for task in spec.tasks):
        executor = make(name, spec.executors.get(name, {"type": name}), {})
        try:
            diagnoses += executor.check()
        finally:
            executor.close()
    return diagnoses


def machine(executor: Executor, *, with_gpus: bool) -> Machine | None:
    """The local capacity that tasks of an executor share; None if the executor has no `machine`."""
    return executor.machine(with_gpus=with_gpus) if hasattr(executor, "machine") else None


def why_unsatisfiable(name: str, options: Mapping[str, Any], wanted: Resources, *, ask: bool) -> str | None:
    """Why a request can never be met by the executor that a spec calls `name`, or None.

    Only its options count; `ask` also queries this machine and the engine.
    """
    executor = make(name, options, {})
    try:
        return executor.why_unsatisfiable(wanted, ask=ask) if hasattr(executor, "why_unsatisfiable") else None
    finally:
        executor.close()


def ask_engines(spec: Spec) -> None:
    """Fail now, not after hours in a queue, if an engine does not support what the spec requires."""
    if failed := [diagnosis for diagnosis in ask(spec) if not diagnosis.is_ok]:
        message = "; ".join(f"{diagnosis.engine}: {diagnosis.message}" for diagnosis in failed)
        remedies = dict.fromkeys(diagnosis.remedy for diagnosis in failed if diagnosis.remedy)
        raise EngineError(message, hint="; ".join(remedies) or None)
