"""What the program on a host does, tried on this machine without ssh."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually

from nemorun_cli.executors.shim_call import SHIM
from nemorun_cli.executors.ssh import ssh_host
from nemorun_cli.executors.ssh.placement import HostCapacity

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(ssh_host.__file__).with_name("host.sh")
LIMITS = "2:4:1000:-"
GPU_PROGRAM = """\
#!/bin/sh
case $1 in
--query-gpu=*) printf '0, GPU-a\\n1, GPU-b\\n2, GPU-c\\n' ;;
*) cat "$0.others" 2>/dev/null ;;
esac
"""


@dataclass
class Host:
    """A folder for the files of a host."""

    folder: Path

    def call(self, *arguments: object, stdin: str = "") -> str:
        """What the program prints."""
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", str(PROGRAM), *map(str, arguments)],
            input=stdin,
            env={"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def attempt(self, name: str, text: str) -> Path:
        """The folder of an attempt that runs a shell text, as it is uploaded."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "ticket-1").touch()
        line = ["sh", str(SHIM), str(folder), str(folder), "022", "0", "TERM", "10", "/bin/sh", "-c", text]
        (folder / "launch").write_text(
            "EXP_SSH_PROGRAM=/bin/sh EXP_SSH_ERROR= EXP_SSH_NO_GPUS=\n"
            f'exp_launch() {{ exec env EXP_OUTPUT={folder}/outputs "$@" {shlex.join(line)}; }}\n'
        )
        return folder

    def start(self, folder: Path, wanted: str = "0:0:0", *, limits: str = LIMITS) -> str:
        """Start an attempt; returns the answer."""
        slots = self.folder / "slots"
        return self.call("start", slots, limits, folder, "ticket-1", "TERM", 5, wanted, f"e/{folder.name}")

    def look(self, *folders: Path) -> list[str]:
        """The states of attempts."""
        return self.call("look", stdin="".join(f"{folder}\n" for folder in folders)).split()

    def capacity(self, limits: str = LIMITS) -> HostCapacity:
        """The capacity of the host, and its use."""
        found = HostCapacity.of(self.call("capacity", self.folder / "slots", limits, 1))
        assert found is not None
        return found


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose tasks are ended after the test."""
    (tmp_path / "bin").mkdir()
    made = Host(tmp_path)
    yield made
    for folder in tmp_path.glob("a-*"):
        made.call("stopping", folder, "KILL", 0)
        eventually(lambda folder=folder: made.look(folder)[0] not in ("held", "stray"))


def test_an_attempt_starts_once_and_its_end_is_known(host: Host) -> None:
    """A second start finds the lock, a later one no ticket; the record of the shim is the result."""
    folder = host.attempt("a-1", "until [ -e go ]; do sleep 0.05; done; exit 3")
    assert host.start(folder).split()[0] == "started"
    assert host.look(folder) == ["held"]
    (folder / "go").touch()
    eventually(lambda: host.look(folder) == ["ended"])
    assert (folder / "exit.json").read_text() == '{"exit_code":3}\n'
    (folder / "ticket-1").unlink(missing_ok=True)
    assert host.start(folder) == "withdrawn"


def test_who_finds_no_start_prevents_it(host: Host) -> None:
    """After an attempt was reported as absent, a start that was on its way does nothing."""
    folder = host.attempt("a-1", "touch ran")
    (folder / "secrets").write_text("export TOKEN=x\n")
    assert host.look(folder, host.folder / "nowhere") == ["absent", "missing"]
    assert host.start(folder) == "withdrawn"
    assert not (folder / "secrets").exists()
    assert not (folder / "ran").exists()


def test_tasks_share_the_host(host: Host) -> None:
    """What running tasks use is taken, and free again when they have ended."""
    first, second, third = (host.attempt(f"a-{n}", "until [ -e go ]; do sleep 0.05; done") for n in range(3))
    assert host.start(first, "3:600:0").split()[0] == "started"
    assert host.start(second, "2:0:0") == "full cpus"
    (second / "ticket-1").touch()
    assert host.start(second, "1:500:0") == "full memory"
    (second / "ticket-1").touch()
    assert host.start(second, "1:400:0").split()[0] == "started"
    found = host.capacity()
    assert (found.slots, found.tasks, found.used_cpus, found.used_memory) == (2, 2, 4.0, 1000)
    assert sorted(found.users) == ["e/a-0", "e/a-1"]
    assert host.start(third) == "full slots"
    for folder in (first, second):
        (folder / "go").touch()
    eventually(lambda: host.look(first, second) == ["ended", "ended"])
    assert host.capacity().tasks == 0


def test_gpus_of_others_are_taken(host: Host) -> None:
    """A task gets GPUs that no task has and no process uses, as `CUDA_VISIBLE_DEVICES`."""
    program = host.folder / "bin" / "nvidia-smi"
    program.write_text(GPU_PROGRAM)
    program.chmod(0o755)
    program.with_name("nvidia-smi.others").write_text("GPU-b\n")
    text = 'echo "$CUDA_VISIBLE_DEVICES" >seen; until [ -e go ]; do sleep 0.05; done'
    first, second = (host.attempt(f"a-{n}", text) for n in range(2))
    assert (host.capacity().gpus, host.capacity().free_gpus) == (3, 2)
    assert (host.capacity("2:4:1000:1").gpus, host.capacity("2:4:1000:1,2,").gpus) == (1, 2)
    assert host.start(first, "0:0:1").split()[-1] == "0"
    assert host.start(second, "0:0:2") == "full gpus"
    (second / "ticket-1").touch()
    assert host.start(second, "0:0:1").split()[-1] == "2"
    eventually(lambda: all((folder / "seen").exists() for folder in (first, second)))
    eventually(lambda: [(folder / "seen").read_text() for folder in (first, second)] == ["0\n", "2\n"])


def test_a_stop_reaches_all_processes(host: Host) -> None:
    """Those in sessions of their own, too; what ignores the signal is killed after the grace period."""
    text = (
        "setsid sh -c 'trap \"\" TERM; touch up; while :; do sleep 0.1; done' & while :; do sleep 0.1; done"
    )
    folder = host.attempt("a-1", text)
    host.start(folder)
    eventually((folder / "up").exists)
    host.call("stop", folder, "TERM", 5)
    eventually(lambda: host.look(folder) == ["ended"])


def test_a_shim_that_is_killed_has_an_end(host: Host) -> None:
    """Its guard records the signal, once nothing of the task runs."""
    folder = host.attempt("a-1", "touch up; while :; do sleep 0.1; done")
    pid = int(host.start(folder).split()[1])
    eventually((folder / "up").exists)
    os.kill(pid, 9)
    assert host.look(folder)[0] in ("held", "stray")
    host.call("stop", folder, "KILL", 0)
    eventually(lambda: host.look(folder) == ["ended"])
    assert (folder / "exit.json").read_text() == '{"exit_code":137}\n'
