"""The rule of each field of an executor: the tables for the translation and the migration page."""

from __future__ import annotations

from typing import Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.field_rules import (
    BY_ANOTHER,
    Change,
    RefusedValue,
    Rule,
    Rules,
    Translated,
    WithoutMeaning,
    key,
    option,
    refusal,
)
from nemorun_cli.nemo.launchers import Torchrun, made

JOB_FOLDER: Final = "/$nemo_run"  # by which NeMo-Run's programs name the folder of a job in mounts
ALL_GPUS: Final = -1
NANOSECONDS: Final = 1_000_000_000
_DETAILS: Final = "SlurmJobDetails"
_WITH_OPTION: Final = ("job_name", "signal", "time")  # flags that only an option of the executor can set
# NeMo-Run passes these to srun, so that the first process that fails ends the others.
_OF_SRUN: Final = ("--wait=60", "--kill-on-bad-exit=1")


def _packager(_: Any, value: Any) -> Change:
    change: Change = Change() if value is None else value.change()
    return change


def _launcher(executor: Any, value: Any) -> Change:
    launchers = made(value).translated(nodes=executor.nnodes(), processes=executor.nproc_per_node())
    return Change(keys={"launcher": launchers} if launchers else {})


def _retries(_: Any, value: int) -> Change:
    return Change(keys={"retry": {"limit": value}})


def _uses_torchrun(executor: Any) -> bool:
    return isinstance(made(executor.launcher), Torchrun)


# -- all ------------------------------------------------------------------------------------------------

_SET_BY_NEMO_RUN: Final = WithoutMeaning("an experiment sets it, for programs that read it")

_BASE: Final[dict[str, Rule]] = {
    "env_vars": Translated(lambda _, value: Change(options={"env": dict(value)})),
    "launcher": Translated(_launcher),
    "retries": Translated(_retries),
    "experiment_id": _SET_BY_NEMO_RUN,
    "job_dir": _SET_BY_NEMO_RUN,
    "experiment_dir": _SET_BY_NEMO_RUN,
}
_SHIPPED: Final = Translated(_packager, is_always=True)

LOCAL: Final[Rules] = {
    **_BASE,
    "packager": WithoutMeaning("local tasks run on the files as they are, in NeMo-Run too"),
    "ntasks_per_node": BY_ANOTHER,
    "nodes": BY_ANOTHER,
}

# -- Docker ---------------------------------------------------------------------------------------------


def _gpus(_: Any, value: int) -> Change:
    return Change(options={"gpus": "all" if value == ALL_GPUS else value} if value else {})


def _ulimits(_: Any, value: list[str]) -> Change:
    return Change(options={"ulimits": dict(map(_ulimit, value))})


def _ulimit(text: str) -> tuple[str, Any]:
    """A limit as NeMo-Run takes it: `memlock:-1`, `nofile:1024:4096`, or with `=` after the name."""
    name, *numbers = text.replace("=", ":", 1).split(":")
    try:
        soft, hard = (int(number) for number in (numbers * 2)[:2])
    except ValueError:
        raise UsageError(
            f"DockerExecutor.ulimits: {text!r} is no limit", hint='such as "memlock:-1"'
        ) from None
    return name, soft if soft == hard else {"soft": soft, "hard": hard}


def _healthcheck(_: Any, value: dict[str, Any]) -> Change:
    """The check of Docker's SDK, whose times are nanoseconds."""
    times = ("interval", "timeout", "start_period")
    check = {
        name: item / NANOSECONDS if name in times and isinstance(item, int) else item
        for name, item in value.items()
    }
    return Change(options={"healthcheck": check})


def _extra(_: Any, value: dict[str, Any]) -> Change:
    """The arguments of Docker's SDK: those with an option of their own, and `extra`."""
    own = {_OWN_OPTIONS[name]: item for name, item in value.items() if name in _OWN_OPTIONS}
    extra = {name: item for name, item in value.items() if name not in _OWN_OPTIONS}
    return Change(options={**own, **({"extra": extra} if extra else {})})


_OWN_OPTIONS: Final = {
    "user": "user",
    "init": "init",
    "shm_size": "shm_size",
    "ipc_mode": "ipc",
    "privileged": "privileged",
    "runtime": "runtime",
    "network": "network",
    "network_mode": "network",
}


def _mounts(name: str) -> Translated:
    def change(executor: Any, value: list[str]) -> Change:
        if wrong := [mount for mount in value if mount.startswith(JOB_FOLDER)]:
            raise refusal(
                f"{type(executor).__name__}.{name}: {wrong[0]!r}",
                RefusedValue(
                    why="there is no folder of a job by that name",
                    instead="use $EXP_TASK_DIR in the task, which is the same folder for all its attempts",
                ),
            )
        return Change(options={name: list(value)})

    return Translated(change)


_OF_A_GROUP: Final = WithoutMeaning("NeMo-Run keeps the members of a group in it")

DOCKER: Final[Rules] = {
    "container_image": option("image"),
    "num_gpus": Translated(_gpus),
    "runtime": option("runtime"),
    "shm_size": option("shm_size"),
    "ulimits": Translated(_ulimits),
    "ipc_mode": option("ipc"),
    "healthcheck": Translated(_healthcheck),
    "privileged": option("privileged"),
    "network": option("network"),
    "volumes": _mounts("volumes"),
    "additional_kwargs": Translated(_extra),
    "packager": _SHIPPED,
    **_BASE,
    "ntasks_per_node": BY_ANOTHER,
    "job_name": _SET_BY_NEMO_RUN,
    "run_as_group": _OF_A_GROUP,
    "resource_group": _OF_A_GROUP,
}

# -- Slurm ----------------------------------------------------------------------------------------------


def _ntasks(executor: Any, value: int) -> Change:
    """The number of Slurm tasks on a node, unless torchrun starts the processes itself."""
    return Change() if _uses_torchrun(executor) else Change(options={"ntasks_per_node": value})


def _srun_args(executor: Any, value: list[str] | None) -> Change:
    """The arguments of srun, which several processes always get."""
    count = executor.nodes * (1 if _uses_torchrun(executor) else executor.ntasks_per_node)
    if not value and count == 1:
        return Change()
    return Change(options={"srun_args": [*_OF_SRUN, *(value or ())]})


def _tunnel(_: Any, value: Any) -> Change:
    tunnel = {} if value is None else value.translated()
    return Change(options={"tunnel": tunnel} if tunnel else {})


def _prefix(_: Any, value: str) -> Change:
    return Change(options={"job_name": f"{value}{{task}}"})


def _details(_: Any, value: Any) -> Change:
    """The name that a program gave to the job; its logs stay where `exp logs` finds them."""
    kind = type(value).__name__
    if value.folder is not None or kind != _DETAILS:
        name = f"{kind}.folder" if value.folder is not None else kind
        raise refusal(
            f"SlurmExecutor.job_details: {name}",
            RefusedValue(
                why="the places of logs are fixed",
                instead="read them with exp logs, or in the folder that exp show names",
            ),
        )
    return Change(options={} if value.job_name is None else {"job_name": value.job_name})


def _parameters(_: Any, value: dict[str, Any]) -> Change:
    names = {name.replace("-", "_"): item for name, item in value.items()}
    own = {name: item for name, item in names.items() if name in _WITH_OPTION}
    rest = {name.replace("_", "-"): item for name, item in names.items() if name not in _WITH_OPTION}
    return Change(options={**own, **({"additional_parameters": rest} if rest else {})})


SLURM: Final[Rules] = {
    "account": option("account"),
    "partition": option("partition"),
    "qos": option("qos"),
    "time": Translated(lambda _, value: Change(options={"time": value} if value else {}), is_always=True),
    "nodes": option("nodes"),
    "ntasks_per_node": Translated(_ntasks),
    "cpus_per_task": option("cpus_per_task"),
    "cpus_per_gpu": option("cpus_per_gpu"),
    "gpus_per_node": option("gpus_per_node"),
    "gpus_per_task": option("gpus_per_task"),
    "mem": option("mem"),
    "mem_per_gpu": option("mem_per_gpu"),
    "mem_per_cpu": option("mem_per_cpu"),
    "comment": option("comment"),
    "constraint": option("constraint"),
    "exclude": option("exclude"),
    "gres": option("gres"),
    "signal": option("signal"),
    "exclusive": option("exclusive"),
    "network": option("network"),
    "segment": option("segment"),
    "job_name_prefix": Translated(_prefix),
    "job_details": Translated(_details),
    "setup_lines": option("setup_lines"),
    "container_image": option("container_image"),
    "container_mounts": _mounts("container_mounts"),
    "additional_parameters": Translated(_parameters),
    "srun_args": Translated(_srun_args, is_always=True),
    "tunnel": Translated(_tunnel, is_always=True),
    "packager": _SHIPPED,
    **_BASE,
    "torchrun_nproc_per_node": BY_ANOTHER,
    "dependency_type": key("dependency_type"),
    "stderr_to_stdout": key("stderr_to_stdout"),
    "container_env": WithoutMeaning("the task's variables always win over those of the image"),
    "open_mode": WithoutMeaning("each attempt has a log of its own"),
    "heterogeneous": WithoutMeaning(
        "members with different requests become components of a heterogeneous job"
    ),
    "wait_time_for_group_job": WithoutMeaning("all members of a group start at once"),
    "monitor_group_job": WithoutMeaning(
        "all members run to their end, where NeMo-Run stops the others after the first"
    ),
    "monitor_group_job_wait_time": WithoutMeaning(
        "all members run to their end, where NeMo-Run stops the others after the first"
    ),
    "memory_measure": WithoutMeaning("it prints `nvidia-smi` once: write that into the script"),
    "poll_estimated_start_time": WithoutMeaning("`exp why` shows the expected start"),
    "job_name": _SET_BY_NEMO_RUN,
    "run_as_group": _OF_A_GROUP,
    "resource_group": _OF_A_GROUP,
    "array": RefusedValue(
        why="exp itself makes an array of jobs from tasks with equal requests",
        instead="add one task for each index, in a loop",
    ),
    "het_group_indices": RefusedValue(
        why="which members share a component is decided by their requests",
        instead="leave it out: members with equal requests share one allocation",
    ),
    "dependencies": RefusedValue(
        why="tasks depend on tasks of their own experiment",
        instead="add the other job as a task, and name it in dependencies of add()",
    ),
    "ray_template": RefusedValue(
        why="exp starts no Ray cluster", instead="start Ray in the task's own script"
    ),
}
