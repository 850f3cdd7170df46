from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.executors.launchers import LaunchSetting, launched, normal
from nemorun_cli.executors.launchers.torchrun import Torchrun

if TYPE_CHECKING:
    from pathlib import Path

LISTS = {
    "vm": "vm",
    "a,b": "a",
    "gpu[03-05,9]-ib,login": "gpu03-ib",
    "n[1,3],x": "n1",
    "rack[0-1]node[2-3]s,q": "rack0node2s",
    "a-b[7]": "a-b7",
}


def argv(*command: str, executor: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """What becomes of a command."""
    return list(Torchrun(options).argv(command, LaunchSetting(executor=executor or {})))


def test_one_node_needs_nobody_else() -> None:
    """On one node the rendezvous is torchrun's own, and options are given as they are."""
    assert argv("python", "train.py", "--lr", "0.1", nproc_per_node=8, max_restarts=3) == [
        *("torchrun", "--standalone", "--nproc_per_node=8", "--max_restarts=3"),
        *("train.py", "--lr", "0.1"),
    ]


@pytest.mark.parametrize(
    ("command", "led"),
    [
        (["python3", "-u", "train.py"], ["train.py"]),
        (["python3.11", "-m", "pkg.train", "-x"], ["-m", "pkg.train", "-x"]),
        (["train.py", "-x"], ["train.py", "-x"]),
        (["-m", "pkg.train"], ["-m", "pkg.train"]),
        (["python", "-c", "print()"], ["--no_python", "python", "-c", "print()"]),
        (["/opt/bin/python", "train.py"], ["--no_python", "/opt/bin/python", "train.py"]),
        (["bash", "train.sh"], ["--no_python", "bash", "train.sh"]),
        (["python"], ["--no_python", "python"]),
    ],
)
def test_python_is_torchruns_own(command: list[str], led: list[str]) -> None:
    """Scripts and modules are run by torchrun's own Python; what names another program is run as it is."""
    assert argv(*command) == ["torchrun", "--standalone", *led]


def test_a_rendezvous_can_be_given() -> None:
    """With an endpoint, a rank or a port of one's own nothing is made up."""
    given = argv("x.py", nnodes=2, node_rank=1, rdzv_endpoint="head:29400", rdzv_conf={"timeout": 900})
    assert given[:5] == [
        *("torchrun", "--nnodes=2", "--node_rank=1", "--rdzv_endpoint=head:29400", "--rdzv_conf=timeout=900")
    ]
    assert argv("x.py", rdzv_port=4242)[:2] == ["torchrun", "--rdzv_endpoint=localhost:4242"]


def test_the_executor_says_what_the_spec_does_not() -> None:
    """As many processes as the executor gives GPUs to a node, unless the launcher says otherwise."""
    assert argv("x.py", executor={"gpus_per_node": "a100:8"})[2] == "--nproc_per_node=8"
    assert argv("x.py", executor={"gpus_per_node": 4}, nproc_per_node=2)[2] == "--nproc_per_node=2"
    assert Torchrun({}).argv(("x.py",), LaunchSetting(gpus=2))[2] == "--nproc_per_node=2"


@pytest.mark.parametrize("shell", ["dash", "bash", "bash --posix"])
@pytest.mark.parametrize("nodes", LISTS)
def test_several_nodes_meet_at_slurms_first(tmp_path: Path, shell: str, nodes: str) -> None:
    """On several nodes their number, the rank of each, and the first host come from Slurm's variables."""
    led = argv("x.py", "a b", "$HOME", executor={"nodes": 2}, nproc_per_node=4)
    assert led[:2] == ["sh", "-c"]
    show = tmp_path / "torchrun"
    show.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    show.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.defpath}",
        "SLURM_JOB_ID": "4711",
        "SLURM_NNODES": "2",
        "SLURM_NODEID": "1",
        "SLURM_JOB_NODELIST": nodes,
    }
    done = subprocess.run(
        [*shell.split(), *led[1:]], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        *("--nnodes=2", "--node_rank=1", "--rdzv_id=4711", f"--rdzv_endpoint={LISTS[nodes]}:30211"),
        *("--rdzv_backend=c10d", "--nproc_per_node=4", "x.py", "a b", "$HOME"),
    ]


def test_a_step_counts_for_itself(tmp_path: Path) -> None:
    """In a step on some nodes of a job the step's nodes meet; a number of nodes and a port can be given."""
    led = argv("x.py", executor={"nodes": 4}, nnodes="1:2", rdzv_port=5)
    environment = {"SLURM_JOB_NODELIST": "n[1-4]", "SLURM_STEP_NODELIST": "n[3-4]", "SLURM_NNODES": "4"}
    done = subprocess.run(
        ["sh", "-c", led[2], "echo", *led[4:]],
        env={**environment, "PATH": os.defpath},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--rdzv_endpoint=n3:5 " in done.stdout
    assert done.stdout.count("--nnodes=") == done.stdout.count("--nnodes=1:2") == 1


def test_without_slurm_several_nodes_need_an_endpoint() -> None:
    """Where nothing tells of the other nodes it ends with what to do, and starts nothing."""
    led = argv("x.py", nnodes=2)
    done = subprocess.run(led, env={"PATH": os.defpath}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give rdzv_endpoint" in done.stderr


def test_what_does_not_go_with_it_is_told() -> None:
    """An executor that starts several tasks on a node, or none on the others, does not fit."""
    fits = [{}, {"nodes": 2}, {"nodes": 2, "ntasks": 2}, {"nodes": 2, "ntasks_per_node": 1}]
    for executor in fits:
        assert list(Torchrun({}).problems(LaunchSetting(executor=executor))) == []
    for executor in ({"ntasks_per_node": 8}, {"ntasks": 4}, {"nodes": 2, "srun": False}):
        assert len(list(Torchrun({}).problems(LaunchSetting(executor=executor)))) == 1


def test_the_first_launcher_leads() -> None:
    """Of several launchers the first one of the spec comes first."""
    command = ("python", "x.py")
    outside = normal({"wrap": "nsys profile -o 'a b'", "torchrun": None})
    assert launched(command, outside, LaunchSetting())[:6] == (
        *("nsys", "profile", "-o", "a b"),
        *("torchrun", "--standalone"),
    )
    inside = normal({"torchrun": None, "wrap": ["nsys", "profile"]})
    assert launched(command, inside, LaunchSetting()) == (
        *("torchrun", "--standalone", "--no_python"),
        *("nsys", "profile", "python", "x.py"),
    )
    assert normal("none") == {}
