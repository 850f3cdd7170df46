"""NeMo-Run's executors, which translate themselves to the executors and task keys of a spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self, TypeVar

from nemorun_cli import parts
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo import executor_rules
from nemorun_cli.nemo.field_rules import Rules, change
from nemorun_cli.nemo.launchers import Launcher, made
from nemorun_cli.nemo.named_fields import NamedFields
from nemorun_cli.nemo.packagers import GitArchivePackager, Packager
from nemorun_cli.nemo.tunnels import LocalTunnel, Tunnel

_Any = TypeVar("_Any", bound="Executor")
NETWORK: Final = "nemo_run"  # the name of NeMo-Run's own network: the default here


@dataclass(kw_only=True)
class Executor(NamedFields):
    """The base class: where tasks run, and what they get there. It can be changed until a task is added."""

    type: ClassVar[str] = ""  # that of the executor in a spec
    rules: ClassVar[Rules] = {}

    packager: Packager = field(default_factory=Packager)
    launcher: Launcher | str | None = None
    env_vars: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    experiment_id: str | None = None
    job_dir: str = ""
    experiment_dir: str = field(init=False, default="")

    def translated(self) -> tuple[parts.Executor, dict[str, Any]]:
        """The executor of a spec, and the keys that each of its tasks gets.

        Raises:
            UsageError: a field has a value that has no counterpart; the message names it.
        """
        if not self.type:
            raise UsageError(
                f"{type(self).__name__} is not a place where tasks run",
                hint="use LocalExecutor, DockerExecutor or SlurmExecutor, or derive from one of them",
            )
        options, keys = change(self, self.rules)
        return parts.Executor(self.type, **options), dict(keys)

    @classmethod
    def group_keys(cls) -> dict[str, Any]:
        """The keys of a group whose members run on such executors."""
        return {}

    def info(self) -> str:
        """The name of the class, for messages."""
        return type(self).__qualname__

    def get_launcher(self) -> Launcher:
        """The launcher as an object, which can be changed."""
        self.launcher = made(self.launcher)
        return self.launcher

    def assign(self, exp_id: str, exp_dir: str, task_id: str, task_dir: str) -> None:
        """Note where the executor is used, for the program that reads it; NeMo-Run calls this in `add`."""
        del task_id
        self.experiment_id, self.experiment_dir = exp_id, exp_dir
        self.job_dir = f"{exp_dir}/{task_dir}"

    def nnodes(self) -> int:
        """The number of nodes."""
        return 1

    def nproc_per_node(self) -> int:
        """The number of processes that torchrun starts on each node."""
        return 1


@dataclass(kw_only=True)
class LocalExecutor(Executor):
    """This machine."""

    type: ClassVar[str] = "local"
    rules: ClassVar[Rules] = executor_rules.LOCAL

    ntasks_per_node: int = 1
    nodes: int = 1

    def nnodes(self) -> int:
        """The number of nodes."""
        return self.nodes

    def nproc_per_node(self) -> int:
        """The number of processes that torchrun starts on each node."""
        return self.ntasks_per_node


@dataclass(kw_only=True)
class DockerExecutor(Executor):
    """Docker: each attempt has a container of its own."""

    type: ClassVar[str] = "docker"
    rules: ClassVar[Rules] = executor_rules.DOCKER

    container_image: str
    ntasks_per_node: int = 1
    runtime: str | None = None
    num_gpus: int | None = None
    shm_size: str | None = None
    ulimits: list[str] = field(default_factory=list)
    ipc_mode: str | None = None
    healthcheck: dict[str, Any] = field(default_factory=dict)
    privileged: bool = False
    network: str = NETWORK
    additional_kwargs: dict[str, Any] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    packager: Packager = field(default_factory=GitArchivePackager)
    job_name: str = field(init=False, default="nemo-job")
    run_as_group: bool = field(init=False, default=False)
    resource_group: list[Any] = field(init=False, default_factory=list)

    @classmethod
    def merge(cls, executors: list[Self], num_tasks: int) -> Self:
        """One executor that holds those of a group."""
        each = _for_each(executors, num_tasks)
        each[0].run_as_group, each[0].resource_group = True, each
        return each[0]

    def nproc_per_node(self) -> int:
        """The number of processes that torchrun starts on each node."""
        return self.ntasks_per_node


@dataclass(kw_only=True)
class SlurmJobDetails(NamedFields):
    """The name of a job, and the folder of its logs."""

    job_name: str | None = None
    folder: str | None = None
    ray_log_prefix: str = "ray-"


@dataclass(kw_only=True)
class SlurmExecutor(Executor):
    """A Slurm cluster, here or through ssh."""

    @dataclass(kw_only=True)
    class ResourceRequest(NamedFields):
        """What a member of a group requests."""

        packager: Packager
        nodes: int
        ntasks_per_node: int
        container_image: str | None = None
        gpus_per_node: int | None = None
        gpus_per_task: int | None = None
        container_mounts: list[str] = field(default_factory=list)
        container_env: list[str] | None = None
        env_vars: dict[str, str] = field(default_factory=dict)
        srun_args: list[str] | None = None
        job_details: SlurmJobDetails = field(default_factory=SlurmJobDetails)
        het_group_index: int | None = None

    type: ClassVar[str] = "slurm"
    rules: ClassVar[Rules] = executor_rules.SLURM

    account: str
    partition: str | None = None
    job_name_prefix: str | None = None
    time: str = "00:10:00"
    nodes: int = 1
    ntasks_per_node: int = 1
    cpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    gpus_per_node: int | None = None
    gpus_per_task: int | None = None
    qos: str | None = None
    mem: str | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    signal: str | None = None
    exclusive: bool | str | None = None
    array: str | None = None
    open_mode: str = "append"
    container_image: str | None = None
    container_mounts: list[str] = field(default_factory=list)
    container_env: list[str] | None = None
    additional_parameters: dict[str, Any] | None = None
    srun_args: list[str] | None = None
    heterogeneous: bool = False
    memory_measure: bool = False
    job_details: SlurmJobDetails = field(default_factory=SlurmJobDetails)
    tunnel: Tunnel = field(default_factory=LocalTunnel)
    packager: Packager = field(default_factory=GitArchivePackager)
    dependencies: list[str] = field(default_factory=list)
    dependency_type: str = "afterok"
    torchrun_nproc_per_node: int | None = None
    wait_time_for_group_job: int = 30
    monitor_group_job: bool = True
    monitor_group_job_wait_time: int = 60
    setup_lines: str | None = None
    het_group_indices: list[int] | None = None
    segment: int | None = None
    network: str | None = None
    ray_template: str = "ray.sub.j2"
    poll_estimated_start_time: bool = True
    job_name: str = field(init=False, default="nemo-job")
    stderr_to_stdout: bool = field(init=False, default=True)
    resource_group: list[Any] = field(init=False, default_factory=list)
    run_as_group: bool = field(init=False, default=False)

    @classmethod
    def merge(cls, executors: list[Self], num_tasks: int) -> Self:
        """One executor that holds the requests of a group's members."""
        each = _for_each(executors, num_tasks)
        each[0].run_as_group = True
        each[0].resource_group = [executor._request() for executor in each]  # noqa: SLF001 - of this class
        return each[0]

    @classmethod
    def group_keys(cls) -> dict[str, Any]:
        """The keys of a group: its members are steps of one job."""
        return {"together": True}

    def info(self) -> str:
        """The class and the host, for messages."""
        return f"{type(self).__qualname__} on {self.tunnel.key}"

    def nnodes(self) -> int:
        """The number of nodes."""
        return self.nodes

    def nproc_per_node(self) -> int:
        """The number of processes that torchrun starts on each node."""
        return self.torchrun_nproc_per_node or self.ntasks_per_node

    def _request(self) -> ResourceRequest:
        request = SlurmExecutor.ResourceRequest
        names = [name for name in request.__dataclass_fields__ if name != "het_group_index"]
        made_from: SlurmExecutor.ResourceRequest = request(
            **{name: getattr(self.clone(), name) for name in names}
        )
        return made_from


def _for_each(executors: list[_Any], count: int) -> list[_Any]:
    """The executors of the members of a group: one each."""
    if len(executors) not in (1, count):
        raise UsageError(
            f"a group of {count} tasks has {len(executors)} executors", hint="give one, or one for each task"
        )
    return (
        executors
        if len(executors) == count
        else [executors[0], *(executors[0].clone() for _ in range(1, count))]
    )
