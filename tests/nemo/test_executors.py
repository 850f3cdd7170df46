"""NeMo-Run's executors: each field is translated, has no meaning here, or is refused by name."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import pytest

import nemorun_cli
from nemorun_cli import parts
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.executors import (
    DockerExecutor,
    Executor,
    LocalExecutor,
    SlurmExecutor,
    SlurmJobDetails,
)
from nemorun_cli.nemo.field_rules import RefusedValue, Translated
from nemorun_cli.nemo.launchers import NSYS, TORCHRUN, Launcher, Torchrun
from nemorun_cli.nemo.packagers import Packager
from nemorun_cli.nemo.plugins import Plugin
from nemorun_cli.nemo.tunnels import RULES as TUNNELS
from nemorun_cli.nemo.tunnels import LocalTunnel, SSHTunnel

if TYPE_CHECKING:
    from nemorun_cli.nemo.field_rules import Rules

TUNNEL: Final = SSHTunnel(host="login", user="alice", job_dir="/scratch/alice")
# A value of each field other than its default.
OF_ALL: Final[dict[str, Any]] = {
    "packager": Packager(symlink_from_remote_dir="/"),
    "launcher": "torchrun",
    "env_vars": {"A": "b c"},
    "retries": 2,
    "experiment_id": "x",
    "job_dir": "/x",
    "experiment_dir": "/x",
}
OF_LOCAL: Final[dict[str, Any]] = {**OF_ALL, "nodes": 2, "ntasks_per_node": 4}
OF_DOCKER: Final[dict[str, Any]] = {
    **OF_ALL,
    "container_image": "python:3.12",
    "ntasks_per_node": 4,
    "runtime": "nvidia",
    "num_gpus": 2,
    "shm_size": "8g",
    "ulimits": ["memlock:-1"],
    "ipc_mode": "host",
    "healthcheck": {"test": "true"},
    "privileged": True,
    "network": "host",
    "additional_kwargs": {"mem_limit": "1g"},
    "volumes": ["/a:/b"],
    "job_name": "x",
    "run_as_group": True,
    "resource_group": [1],
}
OF_SLURM: Final[dict[str, Any]] = {
    **OF_ALL,
    "account": "other",
    "partition": "gpu",
    "job_name_prefix": "team-",
    "time": "01:00:00",
    "nodes": 2,
    "ntasks_per_node": 4,
    "cpus_per_task": 8,
    "cpus_per_gpu": 8,
    "gpus_per_node": 8,
    "gpus_per_task": 1,
    "qos": "high",
    "mem": "0",
    "mem_per_gpu": "8G",
    "mem_per_cpu": "1G",
    "comment": "mine",
    "constraint": "a100",
    "exclude": "node1",
    "gres": "gpu:1",
    "signal": "USR1@60",
    "exclusive": True,
    "array": "0-3",
    "open_mode": "truncate",
    "container_image": "nvcr.io/x",
    "container_mounts": ["/a:/b"],
    "container_env": ["A"],
    "additional_parameters": {"mail_user": "a@b"},
    "srun_args": ["--mpi=pmix"],
    "heterogeneous": True,
    "memory_measure": True,
    "job_details": SlurmJobDetails(job_name="mine"),
    "tunnel": TUNNEL,
    "dependencies": ["slurm_tunnel://nemo_run/12/master/0"],
    "dependency_type": "afterany",
    "torchrun_nproc_per_node": 4,
    "wait_time_for_group_job": 0,
    "monitor_group_job": False,
    "monitor_group_job_wait_time": 5,
    "setup_lines": "module load cuda",
    "het_group_indices": [0, 1],
    "segment": 2,
    "network": "sharp",
    "ray_template": "other.j2",
    "poll_estimated_start_time": False,
    "job_name": "x",
    "stderr_to_stdout": False,
    "resource_group": [1],
    "run_as_group": True,
}
OF_SSH: Final[dict[str, Any]] = {
    "host": "other",
    "user": "bob",
    "job_dir": "/elsewhere",
    "port": 2222,
    "identity": "~/.ssh/id",
    "shell": "zsh",
    "pre_command": "module load slurm",
    "packaging_jobs": {"a": 1},
    "use_openssh": True,
    "require_existing_master": True,
    "control_persist": "10m",
    "control_path": "~/x",
}
OF_HERE: Final[dict[str, Any]] = {
    name: OF_SSH[name] for name in ("job_dir", "host", "user", "packaging_jobs")
}
OF_LAUNCHER: Final[dict[str, Any]] = {
    "nsys_profile": False,
    "nsys_folder": "a b",
    "nsys_filename": "$x",
    "nsys_trace": ["osrt"],
    "nsys_extra_args": ["--stats=true"],
    "nsys_gpu_metrics": True,
}
OF_TORCHRUN: Final[dict[str, Any]] = {
    **OF_LAUNCHER,
    "rdzv_backend": "static",
    "rdzv_port": 1234,
    "rdzv_id": 7,
}
# Fields that only torchrun reads.
WITH_TORCHRUN: Final = {"LocalExecutor": ("nodes", "ntasks_per_node"), "DockerExecutor": ("ntasks_per_node",)}


def local() -> LocalExecutor:
    return LocalExecutor()


def docker() -> DockerExecutor:
    return DockerExecutor(container_image="busybox", packager=Packager())


def slurm(**own: Any) -> SlurmExecutor:
    return SlurmExecutor(account="mine", **{"packager": Packager(), **own})


def result(instance: Any) -> Any:
    """What an object is translated to."""
    if isinstance(instance, Launcher):
        return instance.translated(nodes=2, processes=4)
    return instance.translated()


MADE: Final[list[tuple[Any, Rules, dict[str, Any]]]] = [
    (local(), LocalExecutor.rules, OF_LOCAL),
    (docker(), DockerExecutor.rules, OF_DOCKER),
    (slurm(), SlurmExecutor.rules, OF_SLURM),
    (TUNNEL, TUNNELS[SSHTunnel], OF_SSH),
    (LocalTunnel(), TUNNELS[LocalTunnel], OF_HERE),
    (Launcher(nsys_profile=True), NSYS, OF_LAUNCHER),
    (Torchrun(nsys_profile=True), {**NSYS, **TORCHRUN}, OF_TORCHRUN),
]
FIELDS: Final = [
    pytest.param(instance, name, rules[name], values, id=f"{type(instance).__name__}.{name}")
    for instance, rules, values in MADE
    for name in values
]


@pytest.mark.parametrize(
    ("instance", "rules", "values"), MADE, ids=[type(instance).__name__ for instance, *_ in MADE]
)
def test_every_field_has_a_rule(instance: Any, rules: Rules, values: dict[str, Any]) -> None:
    """The tables name the fields of the classes, each once, and so does this test."""
    names = {field.name for field in fields(instance)}
    assert rules.keys() == names == values.keys()


@pytest.mark.parametrize(("instance", "name", "rule", "values"), FIELDS)
def test_a_field_follows_its_rule(instance: Any, name: str, rule: Any, values: dict[str, Any]) -> None:
    """A value changes the translation, changes nothing, or is refused with the field's name and a remedy."""
    before, after = instance.clone(), instance.clone()
    if name in (*WITH_TORCHRUN.get(type(instance).__name__, ()), "torchrun_nproc_per_node"):
        before.launcher = after.launcher = "torchrun"
    setattr(after, name, values[name])
    assert getattr(before, name) != values[name]
    if isinstance(rule, RefusedValue):
        with pytest.raises(
            UsageError, match=f"{type(instance).__name__}.{name} has no counterpart: "
        ) as refused:
            result(after)
        assert refused.value.hint == rule.instead
    else:
        assert (result(after) != result(before)) is isinstance(rule, Translated)


def test_what_a_field_is_translated_to_is_valid() -> None:
    """Our own check of a spec has no objection to any of the values."""
    built = nemorun_cli.Builder("translated")
    for instance, rules, values in MADE:
        for name in values if isinstance(instance, Executor) else ():
            if isinstance(rules[name], Translated):
                executor = instance.clone()
                executor.launcher = "torchrun" if name == "torchrun_nproc_per_node" else None
                setattr(executor, name, values[name])
                options, keys = executor.translated()
                task = f"{type(executor).__name__}.{name}"
                built.add(nemorun_cli.Command("true"), executor=options, name=task, **keys)
    document = built.document({})  # raises SpecError with all problems
    assert {task.partition(".")[0] for task in document.data["tasks"]} == {
        "DockerExecutor",
        "LocalExecutor",
        "SlurmExecutor",
    }


def test_the_documents_slurm_executor() -> None:
    """All options arrive under our names; torchrun starts the processes, once on each node."""
    executor = slurm(
        partition="gpu",
        nodes=2,
        ntasks_per_node=8,
        gpus_per_node=8,
        mem="0",
        exclusive=True,
        container_image="nvcr.io/nvidia/nemo:dev",
        container_mounts=["/data:/data"],
        env_vars={"NCCL_DEBUG": "INFO"},
        launcher="torchrun",
        retries=2,
        tunnel=TUNNEL,
    )
    assert executor.translated() == (
        parts.SlurmExecutor(
            account="mine",
            partition="gpu",
            time="00:10:00",
            nodes=2,
            gpus_per_node=8,
            mem="0",
            exclusive=True,
            container_image="nvcr.io/nvidia/nemo:dev",
            container_mounts=["/data:/data"],
            srun_args=["--wait=60", "--kill-on-bad-exit=1"],
            tunnel={"host": "login", "user": "alice", "job_dir": "/scratch/alice"},
            env={"NCCL_DEBUG": "INFO"},
        ),
        {
            "launcher": {"torchrun": {"nproc_per_node": 8, "nnodes": 2}},
            "retry": {"limit": 2},
        },
    )


def test_the_documents_docker_executor() -> None:
    """All options arrive under our names and in our units."""
    executor = DockerExecutor(
        container_image="python:3.12",
        num_gpus=-1,
        runtime="nvidia",
        ipc_mode="host",
        shm_size="30g",
        ulimits=["memlock:-1", "nofile=1024:4096"],
        healthcheck={"test": "true", "interval": 1_500_000_000, "retries": 3},
        volumes=["/src/path:/dst/path"],
        env_vars={"PYTHONUNBUFFERED": "1"},
        additional_kwargs={"user": "root", "cap_add": ["SYS_PTRACE"]},
        packager=Packager(),
    )
    assert executor.translated() == (
        parts.DockerExecutor(
            image="python:3.12",
            gpus="all",
            runtime="nvidia",
            shm_size="30g",
            ulimits={"memlock": -1, "nofile": {"soft": 1024, "hard": 4096}},
            ipc="host",
            healthcheck={"test": "true", "interval": 1.5, "retries": 3},
            volumes=["/src/path:/dst/path"],
            user="root",
            extra={"cap_add": ["SYS_PTRACE"]},
            env={"PYTHONUNBUFFERED": "1"},
        ),
        {},
    )


def test_a_plain_local_executor_is_the_built_in_one() -> None:
    """It gives nothing to its tasks."""
    assert LocalExecutor().translated() == (parts.LocalExecutor(), {})


def test_nothing_is_the_same_as_no_value() -> None:
    """Programs pass None on for what they were not given."""
    none = slurm(tunnel=None, packager=None, time=None, launcher=None, container_mounts=None, env_vars=None)
    assert none.translated() == (parts.SlurmExecutor(account="mine"), {})
    assert slurm(mem=0).translated()[0].options["mem"] == 0


def test_several_processes_of_a_job_end_together() -> None:
    """As in NeMo-Run, the first process that fails ends the others; a single process needs no srun."""
    assert "srun_args" not in slurm().translated()[0].options
    assert "srun_args" not in slurm(launcher="torchrun", ntasks_per_node=8).translated()[0].options
    several = slurm(ntasks_per_node=2, srun_args=["--mpi=pmix"]).translated()[0].options
    assert several["srun_args"] == ["--wait=60", "--kill-on-bad-exit=1", "--mpi=pmix"]


@pytest.mark.parametrize("executor", [local(), docker(), slurm(tunnel=TUNNEL, launcher=Torchrun())])
def test_an_executor_is_cloned_compared_and_pickled(executor: Executor) -> None:
    """A copy is equal, and a change of one does not reach the other."""
    for other in (executor.clone(), copy.copy(executor), pickle.loads(pickle.dumps(executor))):  # noqa: S301 - our own
        assert other == executor
        assert other.translated() == executor.translated()
    other = executor.clone()
    other.env_vars["NEW"] = "1"
    other.retries += 1
    assert other != executor
    assert executor.env_vars == {}


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (
            lambda: SlurmExecutor(accounts="x"),
            "SlurmExecutor has no field 'accounts'",
            "did you mean account?",
        ),
        (lambda: SlurmExecutor(partition="x"), "SlurmExecutor needs the field 'account'", "account=…"),
        (lambda: DockerExecutor("busybox"), "DockerExecutor takes its fields by name", "container_image"),
        (
            lambda: setattr(local(), "retrys", 2),
            "LocalExecutor has no field 'retrys'",
            "did you mean retries?",
        ),
        (
            lambda: SSHTunnel(host="x", usr="y", job_dir="/"),
            "SSHTunnel has no field 'usr'",
            "did you mean user?",
        ),
        (lambda: Torchrun(rdzv="x"), "Torchrun has no field 'rdzv'", "rdzv_"),
        (lambda: slurm(packager="git").translated(), "SlurmExecutor.packager is 'git'", "give it Packager"),
        (lambda: slurm(nodes="2").translated(), "SlurmExecutor.nodes is '2'", "give it int"),
        (lambda: slurm(exclusive=2.5).translated(), "SlurmExecutor.exclusive is 2.5", "bool or str"),
        (lambda: slurm(srun_args="--x").translated(), "SlurmExecutor.srun_args is '--x'", "give it list"),
        (lambda: LocalExecutor(retries=True).translated(), "LocalExecutor.retries is True", "give it int"),
        (lambda: LocalExecutor(launcher=Torchrun).translated(), "LocalExecutor.launcher is <class", "str"),
        (lambda: Executor().translated(), "Executor is not a place where tasks run", "LocalExecutor"),
        (
            lambda: LocalExecutor(launcher="torchrn").translated(),
            "no launcher is called 'torchrn'",
            "torchrun",
        ),
        (lambda: LocalExecutor(launcher="ft").translated(), "FaultTolerance has no counterpart", "retries"),
        (
            lambda: slurm(container_mounts=["/$nemo_run/x:/x"]).translated(),
            "SlurmExecutor.container_mounts: '/$nemo_run/x:/x' has no counterpart",
            "EXP_TASK_DIR",
        ),
        (
            lambda: slurm(job_details=SlurmJobDetails(folder="/x")).translated(),
            "SlurmExecutor.job_details: SlurmJobDetails.folder has no counterpart",
            "exp logs",
        ),
        (
            lambda: DockerExecutor(container_image="x", ulimits=["memlock"]).translated(),
            "DockerExecutor.ulimits: 'memlock' is no limit",
            "memlock:-1",
        ),
        (lambda: SlurmExecutor.merge([slurm()] * 2, 3), "a group of 3 tasks has 2 executors", "one for each"),
    ],
)
def test_a_wrong_field_is_named(make: Any, message: str, hint: str) -> None:
    """The error names the class and the field, and what to write."""
    with pytest.raises(UsageError) as refused:
        make()
    assert refused.value.message.startswith(message)
    assert hint in str(refused.value.hint)


def test_a_derived_class_keeps_the_translation() -> None:
    """A program's own class has further fields, which are its own."""

    @dataclass(kw_only=True)
    class Ours(SlurmExecutor):
        team: str = "vision"

        def __post_init__(self) -> None:
            self.env_vars["TEAM"] = self.team

        def assign(self, *place: str) -> None:
            super().assign(*place)
            self.mark = place[0]

    executor = Ours(account="mine", packager=Packager())
    executor.assign("title_1", "/x", "t", "t")
    assert executor.mark == "title_1"
    with pytest.raises(UsageError, match="Ours has no field 'partitions'"):
        executor.partitions = "gpu"
    assert executor.translated()[0].options["env"] == {"TEAM": "vision"}
    assert executor.clone() == executor


def test_a_group_knows_its_members() -> None:
    """As in NeMo-Run, the executor of a group holds what each member requests."""
    first, second = slurm(nodes=1), slurm(nodes=2)
    merged = SlurmExecutor.merge([first, second], 2)
    assert [request.nodes for request in merged.resource_group] == [1, 2]
    assert merged.run_as_group
    assert SlurmExecutor.group_keys() == {"together": True}
    of_docker = DockerExecutor.merge([docker()], 2)
    assert len(of_docker.resource_group) == 2


def test_a_program_reads_where_it_runs() -> None:
    """What NeMo-Run's programs ask an executor for is answered."""
    executor = slurm(nodes=2, ntasks_per_node=8, tunnel=TUNNEL)
    executor.assign("title_1", "/home/title/title_1", "train", "train")
    assert (executor.experiment_id, executor.job_dir) == ("title_1", "/home/title/title_1/train")
    assert (executor.nnodes(), executor.nproc_per_node()) == (2, 8)
    assert executor.info() == "SlurmExecutor on alice@login"
    executor.get_launcher().nsys_profile = True
    assert isinstance(executor.launcher, Launcher)
    assert executor.translated()[1]["launcher"]["wrap"][0] == "sh"


def test_a_profile_is_in_the_folder_of_the_task() -> None:
    """Names with blanks and `$` are names, not shell."""
    launcher = Torchrun(nsys_profile=True, nsys_folder="a b", nsys_filename="$(x)", nsys_extra_args=["-x y"])
    wrapped = launcher.translated(nodes=1, processes=2)
    assert list(wrapped) == ["wrap", "torchrun"]
    assert wrapped["wrap"] == [
        "sh",
        "-c",
        r'mkdir -p "$EXP_TASK_DIR/a b" && exec nsys profile -s none -t nvtx,cuda'
        r""" -o "$EXP_TASK_DIR/a b/\$(x)" '-x y' "$@\"""".replace(r"\"", '"'),
        "nsys",
    ]


def test_a_plugin_changes_what_it_gets() -> None:
    """A plugin as NeMo-Run's documents write it: a dataclass whose fields are given by name."""

    @dataclass(kw_only=True)
    class Ours(Plugin):
        level: str = "info"

        def setup(self, task: Any, executor: Executor) -> None:
            self.seen = task
            executor.env_vars["LEVEL"] = self.level
            if isinstance(executor, (SlurmExecutor, DockerExecutor)):
                executor.retries = 1

    plugin = Ours(level="debug")
    plugin.assign("title_1")
    executor = SlurmExecutor(account="x")
    plugin.setup("task", executor)
    assert plugin.seen == "task"
    assert plugin.experiment_id == "title_1"
    assert (executor.env_vars, executor.retries) == ({"LEVEL": "debug"}, 1)
    with pytest.raises(NotImplementedError, match="Plugin has no method setup"):
        Plugin().setup(None, executor)
    with pytest.raises(UsageError, match="Ours has no field 'levels'"):
        Ours(levels="debug")


def test_fields_and_their_types_can_be_asked_for() -> None:
    """As for any dataclass: `Config(SlurmExecutor, …)` and `key=value` arguments need them."""
    for kind in (LocalExecutor, DockerExecutor, SlurmExecutor, SSHTunnel, Torchrun):
        own = {field.name: field for field in fields(kind)}
        assert inspect.signature(kind).parameters.keys() == {
            name for name, field in own.items() if field.init
        }
        assert get_type_hints(kind).keys() >= own.keys()
