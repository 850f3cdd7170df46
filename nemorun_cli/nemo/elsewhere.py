"""NeMo-Run's classes without a counterpart: making one is an error that names what to use instead."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from nemorun_cli.errors import UsageError


class Absent(type):
    """The metaclass of such classes, which a program may import, use in annotations and derive from."""

    why: str
    instead: str

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{cls.__name__} has no counterpart: {cls.why}", hint=cls.instead)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UsageError(f"{cls.__name__}.{name} has no counterpart: {cls.why}", hint=cls.instead)


_PACKAGE = (
    "use LocalExecutor, DockerExecutor or SlurmExecutor, or write an executor (docs/extend/executors.md)"
)
_RAY = "exp starts no Ray cluster"
_OWN_RAY = "start Ray in the task's own script: `ray start --head`, then the program"


class LeptonExecutor(metaclass=Absent):
    """Lepton."""

    why: ClassVar[str] = "exp has no access to Lepton"
    instead: ClassVar[str] = _PACKAGE


class DGXCloudExecutor(metaclass=Absent):
    """DGX Cloud, also known as Run:ai."""

    why: ClassVar[str] = "exp has no access to DGX Cloud"
    instead: ClassVar[str] = _PACKAGE


class SkypilotExecutor(metaclass=Absent):
    """SkyPilot."""

    why: ClassVar[str] = "exp starts no machines in clouds"
    instead: ClassVar[str] = "start the machine with `sky launch`, and run exp there"


class SkypilotJobsExecutor(metaclass=Absent):
    """Managed jobs of SkyPilot."""

    why: ClassVar[str] = "exp starts no machines in clouds"
    instead: ClassVar[str] = "start the job with `sky jobs launch`, and run exp in it"


class KubeflowExecutor(metaclass=Absent):
    """Kubeflow."""

    why: ClassVar[str] = "exp has no access to Kubernetes"
    instead: ClassVar[str] = _PACKAGE


class PyTorchJobExecutor(metaclass=Absent):
    """PyTorchJob of Kubeflow."""

    why: ClassVar[str] = "exp has no access to Kubernetes"
    instead: ClassVar[str] = _PACKAGE


class KubeRayExecutor(metaclass=Absent):
    """Ray on Kubernetes."""

    why: ClassVar[str] = "exp has no access to Kubernetes"
    instead: ClassVar[str] = "use SlurmExecutor or DockerExecutor, and start Ray in the task's own script"


class RayCluster(metaclass=Absent):
    """A cluster of Ray."""

    why: ClassVar[str] = _RAY
    instead: ClassVar[str] = _OWN_RAY


class RayJob(metaclass=Absent):
    """A job of Ray."""

    why: ClassVar[str] = _RAY
    instead: ClassVar[str] = _OWN_RAY


class SlurmRay(metaclass=Absent):
    """The launcher of Ray on Slurm."""

    why: ClassVar[str] = _RAY
    instead: ClassVar[str] = _OWN_RAY


class FaultTolerance(metaclass=Absent):
    """The launcher `ft`."""

    why: ClassVar[str] = "exp has no launcher `ft`"
    instead: ClassVar[str] = (
        "use Torchrun with retries of the executor, or put ft_launcher and its options into the task's script"
    )


class SlurmTemplate(metaclass=Absent):
    """The launcher that fills a template of a script."""

    why: ClassVar[str] = "exp fills no templates of scripts"
    instead: ClassVar[str] = "write the lines into setup_lines of the executor, or into the task's own script"


class DevSpace(metaclass=Absent):
    """An editor in a job."""

    why: ClassVar[str] = "exp opens no editors"
    instead: ClassVar[str] = "start the editor's server in a task, and connect to it by ssh"


class ExecutorMacros(metaclass=Absent):
    """Names of variables that each executor replaces."""

    why: ClassVar[str] = "exp replaces no names in arguments and variables"
    instead: ClassVar[str] = (
        "use Torchrun, which finds the first node itself, or variables in the task's own script:"
        " EXP_GROUP_HOSTS for the hosts of a group's members, and Slurm's SLURM_JOB_NODELIST, SLURM_NNODES,"
        " SLURM_NODEID, SLURM_NTASKS_PER_NODE"
    )
