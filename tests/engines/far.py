"""A cluster that only ssh leads to, for the tests: that of this machine, with the files of another user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest
from engines.folders import digest, shared_folder
from engines.slurm_cluster import SHARED as CLUSTER
from engines.slurm_cluster import STATES_OF_LIFE, Slurm
from engines.sshd import LOGIN, Sshd, answering, serving

from nemorun_cli.executors.remote_hosts.remote_paths import owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED = shared_folder("far")
USER: Final = f"exp-tests-{digest(str(SHARED))}"
PASSWORD: Final = "known to people"  # noqa: S105 - of a user who is there for the tests only
VARIABLE: Final = f"SLURM_CONF={Slurm(CLUSTER).config}"
COMMAND_WAIT: Final = 60.0  # seconds


@dataclass(frozen=True)
class Far:
    """The far side: its files lie in `folder`, and are another user's; `sshd` leads to it."""

    folder: Path
    sshd: Sshd | None = None

    @property
    def jobs(self) -> Path:
        """The `job_dir` of its tests."""
        return self.folder / "home" / "jobs"

    @property
    def work(self) -> Path:
        """A folder in which both sides may write."""
        return self.folder / "work"

    def options(self, host: str = LOGIN, **others: Any) -> dict[str, Any]:
        """An executor whose cluster is there."""
        return {"type": "slurm", "tunnel": {"host": host, "job_dir": str(self.jobs)}, **others}

    def home(self, home: Path) -> Path:
        """Where the experiments of a home here lie there."""
        return self.jobs / owner(home)

    def left(self, home: Path) -> list[str]:
        """The jobs and processes there of experiments under a home here."""
        return [*self._jobs(home), *map(str, self.processes(home))]

    def _jobs(self, home: Path) -> list[str]:
        listed = Slurm(CLUSTER).ask(
            "squeue", "--noheader", "--array", f"--states={STATES_OF_LIFE}", "--format=%i %T %j %k"
        )
        return [line for line in listed.splitlines() if f" {self.home(home)}/" in line]

    def processes(self, home: Path) -> Iterator[psutil.Process]:
        """The processes there of tasks of experiments under a home here."""
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.environ().get("NEMORUN_HOME") == str(self.home(home)):
                    yield process

    def shown(self, home: Path) -> str:
        """All that Slurm tells of them, and all that lies there of them."""
        slurm = Slurm(CLUSTER)
        texts = [slurm.ask("scontrol", "show", "job", line.split()[0]) for line in self._jobs(home)]
        for path in self.home(home).rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    texts.append(path.read_bytes().decode(errors="replace"))
        return "\n".join(texts)


@contextlib.contextmanager
def shared_user() -> Iterator[Far]:
    """The far user and its files; whoever is the last to leave removes both."""
    if os.geteuid() != 0:
        pytest.skip("SLURM THROUGH SSH IS NOT TESTED: only root can make a user for the far side")
    with _open("starting") as starting, _open("using") as using:
        fcntl.flock(starting, fcntl.LOCK_EX)
        _make_user()
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield Far(SHARED)
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(using, fcntl.LOCK_UN)
        with contextlib.suppress(BlockingIOError):  # others still use it
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for process in psutil.process_iter(["username"]):
                if process.info["username"] == USER:
                    process.kill()
            subprocess.run(["userdel", "--force", USER], check=False, timeout=COMMAND_WAIT)
            shutil.rmtree(SHARED)


def _make_user() -> None:
    (SHARED / "work").mkdir(parents=True, exist_ok=True)
    (SHARED / "work").chmod(0o1777)
    try:
        pwd.getpwnam(USER)
    except KeyError:
        argv = [
            "useradd",
            "--no-create-home",
            "--home-dir",
            str(SHARED / "home"),
            "--shell",
            "/bin/bash",
            USER,
        ]
        subprocess.run(argv, check=True, timeout=COMMAND_WAIT)
        told = f"{USER}:{PASSWORD}".encode()
        subprocess.run(["chpasswd"], input=told, check=True, timeout=COMMAND_WAIT)
    user = pwd.getpwnam(USER)
    (SHARED / "home").mkdir(mode=0o700, exist_ok=True)
    os.chown(SHARED / "home", user.pw_uid, user.pw_gid)


def _open(name: str) -> Any:
    return SHARED.with_name(f"{SHARED.name}.{name}").open("w", encoding="ascii")


@pytest.fixture(scope="session")
def far_session() -> Iterator[Far]:
    """The far side, for as long as this process tests."""
    with shared_user() as far, serving(USER, variable=VARIABLE) as server:
        yield Far(far.folder, server)


@pytest.fixture
def far(far_session: Far, slurm: Slurm) -> Iterator[Far]:
    """A cluster that is reached by ssh."""
    del slurm
    assert far_session.sshd is not None
    with answering(far_session.sshd):
        yield far_session
