"""The executor protocol, and the registry that finds an executor class by its type.

An executor is one module that implements a few verbs; the core never distinguishes types. To add one,
write the module and add a line to `_TYPES`, or register the class of another package under the
entry-point group `nemorun_cli.executors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, Self, cast

from nemorun_cli.errors import EngineError, UsageError
from nemorun_cli.executors.capabilities import Capabilities as Capabilities
from nemorun_cli.executors.executor_types import ExecutorTypes
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system.process_limits import is_shortage
from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.model.usage_sample import UsageSample
    from nemorun_cli.storage.paths import AttemptFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.system.locks import Holder
    from nemorun_cli.system.slots import Allocation

ENTRY_POINTS: Final = "nemorun_cli.executors"
PROTOCOL_PAGE: Final = "docs/extend/executors.md"

ELSEWHERE: Final = "elsewhere"  # the evidence for an attempt that only another host can observe

Key = tuple[str, int]  # task id, attempt
Need = Literal["success", "no_cancel", "end", "failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An attempt that another attempt depends on in the engine's own queue.

    Attributes:
        files: its own; None for a job that `exp` did not submit, of which only the engine knows the end.
        need: how it must end: `success`; `no_cancel` (success or failure, but not cancelled); `end`
            (any result); `failure` (at least one of the upstream jobs with this need must fail).
        has_secrets: whether its outputs may contain a secret that only the supervisor can recognize.
    """

    key: Key
    job_id: str
    files: AttemptFiles | None
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
    def of(
        cls,
        task: Task,
        state: TaskState,
        files: ExperimentFiles,
        *,
        plan: Plan | None = None,
        holder: Holder | None = None,
        allocation: Allocation | None = None,
        upstream: tuple[Upstream, ...] = (),
    ) -> Self:
        """The current attempt of a task: to be submitted with a plan, or monitored without one."""
        return cls(
            experiment=files.id,
            task=task.id,
            attempt=state.attempt,
            files=files.attempt(task.id, state.attempt),
            job_id=state.job_id,
            stop_signal=task.stop_signal,
            stop_grace=task.stop_grace,
            plan=plan,
            holder=holder or state.holder,
            allocation=allocation,
            upstream=upstream,
        )

    @property
    def experiment_files(self) -> ExperimentFiles:
        """The files of its experiment."""
        return ExperimentFiles.of_attempt(self.files, self.task)

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
    report; `evidence` is the source of the status. With `is_shortage`, an `absent` attempt was not started
    because this machine lacks something now (`message`): it is submitted again after a pause. `was_signalled`
    is whether a signal had reached an attempt that is `over` before its end; None if that is not known.
    """

    key: Key
    state: Literal["queued", "running", "over", "unknown", "absent"]
    job_id: str | None = None
    since: float | None = None
    ending: AttemptEnd | None = None
    message: str | None = None
    evidence: str | None = None
    is_shortage: bool = False
    was_signalled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why one job could not be submitted, polled or cancelled; other jobs are not affected.

    `is_shortage` is for a submission: it failed because this machine lacks something now, and is repeated
    after a pause.
    """

    key: Key
    message: str
    is_shortage: bool = False


Answer = AttemptStatus | JobError
"""What an executor reports about one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A result of `doctor` for an engine; `remedy` is set if there is a problem.

    `stops_tasks` is whether a problem stops all tasks of the executor, so that nothing is started with it.
    """

    engine: str
    is_ok: bool
    message: str
    remedy: str | None = None
    stops_tasks: bool = True


class Executor(Protocol):
    """Where tasks run. All state of an instance can be restored from the ledger and the attempt files.

    It is created with its options from the spec, validated against `options_schema`, and with the
    secrets of the tasks it runs. `machine` and `why_unsatisfiable` are needed only with their capability.
    """

    options_schema: ClassVar[Mapping[str, Any]]  # JSON Schema of the options, without `type`

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None: ...

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """What it can do with these options, which may still be invalid. Must be pure."""
        ...

    def plan(self, plan: Plan) -> Plan:
        """The plan with the engine's parameters added. Must be pure: the dry run shows the result."""
        ...

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start attempts. Submitting a started attempt again must not start it twice.

        An error means that the attempt did not start, and never will; if that is uncertain, it is `unknown`.
        Attempts without an answer are reported by `poll`; if this call raised, those that `poll` then calls
        `absent` have failed to start.
        """
        ...

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Status changes of these attempts; on the first call, the status of each.

        An attempt that cannot be examined is answered with an error, and is UNKNOWN until it can: the next
        call reports its status again, changed or not. After a call that raised, this holds for all of them.
        """
        ...

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """Start to terminate attempts (None: with their own signal and grace); `poll` reports their end.

        Returns an error for each attempt that could not be signalled; it is cancelled again later.
        """
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
        """With `has_machine`: the local capacity that its tasks share through `resources`; or None."""
        ...

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """With `checks_requests`: why a request can never be met, or None.

        Only the options count; `ask` also queries the engine.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An object of an engine that may have outlived its experiment."""

    kind: Literal["container", "network"]
    name: str
    experiment: str


class MeasuringExecutor(Executor, Protocol):
    """An executor with `measures`."""

    def sample(self, jobs: Sequence[Job]) -> None:
        """Begin to measure what these running attempts use; never waits, and may be called at any time."""
        ...

    def samples(self) -> Iterable[tuple[Key, UsageSample]]:
        """What was measured since the last call; of an attempt that cannot be measured, nothing."""
        ...


class LeavingExecutor(Executor, Protocol):
    """An executor with `leaves_objects`."""

    @classmethod
    def leftovers(cls, home: Path) -> Iterable[Leftover]:
        """The objects of experiments of a home that hold no running task; none if the engine is not there."""
        ...

    @classmethod
    def remove_leftover(cls, name: str) -> str | None:
        """Remove one of them; returns why it stays, if it does."""
        ...


class SharingExecutor(Executor, Protocol):
    """An executor with `shares_objects`."""

    @classmethod
    def remove_shared(cls, files: ExperimentFiles, jobs: Sequence[Job]) -> str | None:
        """Remove what the tasks of an experiment shared in the engine, when none of them runs any more.

        `jobs` are the last attempts of its tasks that may have shared it. Returns why something stays, if it
        does; it is then one of the `leftovers`.
        """
        ...


class FileNamingExecutor(Executor, Protocol):
    """An executor with `names_files`."""

    @classmethod
    def missing_files(cls, options: Mapping[str, Any], folder: str) -> Iterable[str]:
        """The absolute paths of files that tasks need, and that do not exist now.

        Args:
            options: those of the executor.
            folder: the spec's, from which relative paths start.
        """
        ...


class RemoteMakingExecutor(Executor, Protocol):
    """An executor with `environment_host`."""

    def environments(self, files: ExperimentFiles) -> tuple[Sequence[str], str, str | None]:
        """How Python environments are made for the tasks of an experiment on the host.

        The command line of a shell there that reads commands from standard input, the folder of the
        environments, which `plan` uses too, and shell code that runs there first, or None.
        """
        ...


class ImageExecutor(Executor, Protocol):
    """An executor with `identifies_image`."""

    def image(self) -> str | Path:
        """What identifies the content of the image in which tasks would run now; may wait for the engine.

        Its digest in a registry, else its id in the engine; the path of a file of this machine that is the
        image; or, if nothing better is known, its name.

        Raises:
            EngineError: the engine cannot be asked, or there is no such image.
        """
        ...


class QueueingExecutor(Executor, Protocol):
    """An executor with `queues_early`."""

    def queue(self) -> str:
        """The name of the engine's queue; executors that share it return the same.

        A job that waits there must run only if it is certain that the needs in its `Job.upstream` are met.
        If they are not, or if the engine cannot determine it, the task is not run, and `poll` reports it
        as `absent`.
        """
        ...


def answer_each(jobs: Iterable[Job], answer: Callable[[Job], AttemptStatus | None]) -> Iterator[Answer]:
    """The answers about jobs that are handled one by one; what fails for one of them is its error alone."""
    for job in jobs:
        try:
            status = answer(job)
        except OSError as error:
            yield job_error(job, error)
        else:
            if status is not None:
                yield status


def job_error(job: Job, error: OSError) -> JobError:
    """What an error of a file means for one job."""
    where = f": {error.filename}" if error.filename else ""
    message = f"{error.strerror or error}{where}"
    return JobError(key=job.key, message=message, is_shortage=is_shortage(error))


_TYPES: Final = Registry(
    kind="executor type",
    group=ENTRY_POINTS,
    built_in={
        "docker": "nemorun_cli.executors.docker.executor:DockerExecutor",
        "local": "nemorun_cli.executors.local:LocalExecutor",
        "slurm": "nemorun_cli.executors.slurm.executor:SlurmExecutor",
        "ssh": "nemorun_cli.executors.ssh.executor:SshExecutor",
    },
)


def types() -> list[str]:
    """The known executor types, built in and installed."""
    return _TYPES.names()


def built_in() -> list[str]:
    """The executor types that come with this package."""
    return sorted(_TYPES.built_in)


def known(*, ask: bool) -> ExecutorTypes:
    """The executor types that a spec is checked against; `ask` also queries this machine and the engines."""
    return ExecutorTypes(
        names=types,
        options_schema=options_schema,
        why_unsatisfiable=partial(why_unsatisfiable, ask=ask),
        capabilities=capabilities,
    )


def pin(type_name: str) -> None:
    """Keep the class of an executor type, although the package that registered it may be removed."""
    _TYPES.pin(type_name)


def find(type_name: str) -> type[Executor]:
    """The class of an executor type.

    Raises:
        UsageError: the type is unknown, its package cannot be loaded, or it has an earlier protocol.
    """
    executor_class: type[Executor] = _TYPES.find(type_name)
    if not hasattr(executor_class, "capabilities"):
        raise UsageError(
            f"the executor type {type_name!r} implements an earlier protocol: it has no `capabilities`",
            hint=f"see 'Writing an executor' in {PROTOCOL_PAGE} for the names that changed",
        )
    return executor_class


def options_schema(type_name: str) -> Mapping[str, Any] | None:
    """The JSON Schema of a type's options, or None if the type is unknown."""
    return find(type_name).options_schema if _TYPES.has(type_name) else None


def capabilities(name: str, options: Mapping[str, Any]) -> Capabilities:
    """What the executor that a spec calls `name` can do; nothing special if its type is unknown."""
    type_name = options.get("type", name)
    own_options = {key: value for key, value in options.items() if key != "type"}
    return find(type_name).capabilities(own_options) if _TYPES.has(type_name) else Capabilities()


def make(name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> Executor:
    """The executor that a spec calls `name`."""
    own_options = {key: value for key, value in options.items() if key != "type"}
    return find(options.get("type", name))(name, own_options, secrets)


def queue(name: str, options: Mapping[str, Any], executor: Executor) -> str | None:
    """The queue in which jobs of an executor can wait for other jobs; None if it has none."""
    if not capabilities(name, options).queues_early:
        return None
    return cast(QueueingExecutor, executor).queue()


def image(name: str, options: Mapping[str, Any]) -> str | Path | None:
    """What identifies the image of the tasks of an executor; None if they run in none.

    Raises:
        EngineError: the engine cannot be asked, or there is no such image.
    """
    if not capabilities(name, options).identifies_image:
        return None
    executor = make(name, options, {})
    try:
        return cast(ImageExecutor, executor).image()
    finally:
        executor.close()


def leftovers(home: Path) -> Iterator[tuple[str, Leftover]]:
    """What engines still have of the experiments of a home, each with its executor type."""
    for name in types():
        try:
            executor_class = find(name)
            leaves_objects = executor_class.capabilities({}).leaves_objects
        except Exception:  # noqa: BLE001, S112 - third-party code, which need not work for `exp gc`
            continue
        if leaves_objects:
            yield from ((name, left) for left in cast(type[LeavingExecutor], executor_class).leftovers(home))


def remove_leftover(type_name: str, name: str) -> str | None:
    """Remove an object of an engine; returns why it stays, if it does."""
    return cast(type[LeavingExecutor], find(type_name)).remove_leftover(name)


def remove_shared(
    name: str, options: Mapping[str, Any], files: ExperimentFiles, jobs: Sequence[Job]
) -> str | None:
    """Remove what tasks shared in the engine of an executor; returns why something stays, if it does."""
    if not capabilities(name, options).shares_objects:
        return None
    return cast(type[SharingExecutor], find(options.get("type", name))).remove_shared(files, jobs)


def ask(spec: Spec) -> list[Diagnosis]:
    """Check the engines that the tasks of a spec use."""
    diagnoses: list[Diagnosis] = []
    for name in dict.fromkeys(task.executor for task in spec.possible_tasks):
        executor = make(name, spec.executors.get(name, {"type": name}), {})
        try:
            diagnoses += executor.check()
        finally:
            executor.close()
    return diagnoses


def missing_files(spec: Spec) -> list[Diagnosis]:
    """What the executors of the tasks name and is missing; an earlier task may yet create it."""
    diagnoses: list[Diagnosis] = []
    for name in dict.fromkeys(task.executor for task in spec.possible_tasks):
        options = dict(spec.executors.get(name, {"type": name}))
        kind = options.pop("type", name)
        if not capabilities(name, {**options, "type": kind}).names_files:
            continue
        for path in cast(type[FileNamingExecutor], find(kind)).missing_files(options, spec.folder):
            remedy = "create it, or make sure that an earlier task does"
            message = f"{name} needs {path}, which does not exist"
            diagnoses.append(Diagnosis(engine=kind, is_ok=False, message=message, remedy=remedy))
    return diagnoses


def why_unsatisfiable(name: str, options: Mapping[str, Any], wanted: Resources, *, ask: bool) -> str | None:
    """Why a request can never be met by the executor that a spec calls `name`, or None.

    Only its options count; `ask` also queries this machine and the engine.
    """
    if not capabilities(name, options).checks_requests:
        return None
    executor = make(name, options, {})
    try:
        return executor.why_unsatisfiable(wanted, ask=ask)
    finally:
        executor.close()


def ask_engines(spec: Spec) -> None:
    """Fail now, not after hours in a queue, if an engine does not support what the spec requires."""
    if failed := [diagnosis for diagnosis in ask(spec) if not diagnosis.is_ok and diagnosis.stops_tasks]:
        message = "; ".join(f"{diagnosis.engine}: {diagnosis.message}" for diagnosis in failed)
        remedies = dict.fromkeys(diagnosis.remedy for diagnosis in failed if diagnosis.remedy)
        raise EngineError(message, hint="; ".join(remedies) or None)
