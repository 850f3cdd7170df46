"""The engines of the tests neither use nor change what the machine and other checkouts run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from engines import dockerd, slurm_cluster
from engines.dockerd import Dockerd
from engines.folders import CHECKOUT, shared_folder
from engines.slurm_cluster import Slurm

if TYPE_CHECKING:
    from collections.abc import Iterator

Engine = TypeVar("Engine", Dockerd, Slurm)
TIMEOUT = 180.0  # seconds; an engine starts and stops meanwhile
BUSY_MACHINE = """
set -eu
mount -t tmpfs none "$TOP"
mkdir "$TOP/upper" "$TOP/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$TOP/upper,workdir=$TOP/work" none /etc
mkdir -p /etc/docker /etc/slurm
trap '[ ! -e "$FOLDER" ] || "$SCRIPT" down "$FOLDER"' EXIT
"""
"""The beginning of a script in a mount namespace: makes /etc writable without changing the real one."""
OWN_DOCKER = """
mount -t tmpfs none /etc/docker
echo '{"hosts": ["unix:///nowhere/docker.sock"], "bridge": "nowhere"}' >/etc/docker/daemon.json
mount -t tmpfs none /run
mkdir /run/containerd
: >/run/containerd/containerd.sock
ip link add docker0 type bridge
ip link set docker0 up
ip route >before
"$SCRIPT" up "$FOLDER"
"$SCRIPT" busybox "$FOLDER"
docker --host "unix://$FOLDER/docker.sock" run --rm exp-test/busybox echo it runs
"$SCRIPT" down "$FOLDER"
ip link show docker0 >/dev/null
ip route | cmp before -
ls /etc/docker
"""
OWN_SLURM = """
cat >/etc/slurm/slurm.conf <<END
ClusterName=foreign
SlurmctldHost=nowhere.invalid
NodeName=nowhere
END
echo 'required nowhere.so' >/etc/slurm/plugstack.conf
cp -r /etc/slurm before
"$SCRIPT" up "$FOLDER"
SLURM_CONF=$FOLDER/slurm.conf srun echo it runs
"$SCRIPT" down "$FOLDER"
diff -r before /etc/slurm
"""


@contextlib.contextmanager
def running(engine: Engine) -> Iterator[Engine]:
    """An engine in addition to the shared one."""
    try:
        engine.run("up")
        yield engine
    finally:
        engine.run("down")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name short enough for sockets; the `down` of an engine removes it."""
    folder = Path(tempfile.mkdtemp(prefix="exp-own-"))
    yield folder
    assert not folder.exists(), "the engine was not ended"


def on_busy_machine(script: str, tmp_path: Path, *namespaces: str, **env: str | Path) -> list[str]:
    """What a script prints in a mount namespace and in others of its own."""
    (tmp_path / "top").mkdir()
    done = subprocess.run(
        ["unshare", "--mount", *namespaces, "sh", "-c", BUSY_MACHINE + script],
        env={**os.environ, "TOP": str(tmp_path / "top"), **{name: str(it) for name, it in env.items()}},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_engine_ignores_the_docker_of_the_machine(
    docker_engine: Dockerd, folder: Path, tmp_path: Path
) -> None:
    """The machine's bridge docker0 and routes survive; its daemon.json and containerd are not used."""
    del docker_engine  # which has installed what the script needs
    printed = on_busy_machine(OWN_DOCKER, tmp_path, "--net", SCRIPT=dockerd.SCRIPT, FOLDER=folder)
    assert printed == ["it runs", "daemon.json"]


def test_a_cluster_ignores_the_slurm_of_the_machine(slurm: Slurm, folder: Path, tmp_path: Path) -> None:
    """Neither the configuration in /etc/slurm nor that which SLURM_CONF names is used or changed."""
    del slurm  # which has installed what the script needs
    foreign = "/etc/slurm/slurm.conf"
    printed = on_busy_machine(
        OWN_SLURM, tmp_path, SCRIPT=slurm_cluster.SCRIPT, FOLDER=folder, SLURM_CONF=foreign
    )
    assert printed == ["it runs"]


def test_two_docker_engines_run_side_by_side(docker_engine: Dockerd, folder: Path) -> None:
    """The start and the end of one leave the containers of the other running."""
    with contextlib.closing(docker_engine.client) as client:
        container = client.containers.run("exp-test/busybox", ["sleep", "1000"], detach=True)
        try:
            with running(Dockerd(folder)) as other, contextlib.closing(other.client) as others:
                assert others.containers.list(all=True) == []
            container.reload()
            assert container.status == "running"
        finally:
            container.remove(force=True)


def test_two_clusters_run_side_by_side(slurm: Slurm, folder: Path) -> None:
    """Each has its own jobs, nodes and ports, and the end of one leaves the other's jobs running."""
    job = slurm.submit("sleep 1000")
    try:
        with running(Slurm(folder)) as other:
            other.ask("srun", "true")
            assert other.node != slurm.node
        assert slurm.state(job) in {"PENDING", "RUNNING"}
    finally:
        slurm.ask("scancel", job)


def test_each_checkout_has_folders_of_its_own(tmp_path: Path) -> None:
    """Tests of two checkouts share no engine, those of one checkout do."""
    assert shared_folder("docker", checkout=tmp_path) != shared_folder("docker")
    assert shared_folder("docker", checkout=CHECKOUT) == dockerd.SHARED
