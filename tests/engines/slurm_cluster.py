"""A real Slurm cluster of this machine for the tests of this session, started where root can."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engines.folders import shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("slurm.sh")
SHARED = shared_folder("slurm")
PATH = "/usr/local/bin:/usr/bin:/bin"  # whatever a test makes of the real one
START_WAIT = 600.0  # seconds; the first start installs Slurm
COMMAND_WAIT = 60.0
LOG_LINES = 60  # of each daemon, that a failed test shows
# Not COMPLETING: the job script has exited, and Slurm clears up after it. Processes are sought separately.
STATES_OF_LIFE = "PENDING,RUNNING,SUSPENDED,CONFIGURING"


@dataclass(frozen=True)
class Slurm:
    """A cluster in a folder of its own; never the machine's.

    Attributes:
        folder: all that it has.
        timeout: seconds for which its daemons and commands wait for an answer: long, as a machine full of
            tests may stop for seconds, but short where a test stops a daemon.
    """

    folder: Path
    timeout: int = 60

    @property
    def config(self) -> Path:
        """What SLURM_CONF is for it."""
        return self.folder / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which Slurm's commands reach it."""
        return {**os.environ, "SLURM_CONF": str(self.config)}

    def run(self, verb: str, **env: str) -> None:
        """Call the script that installs, starts and ends it."""
        argv = [str(SCRIPT), verb, str(self.folder)]
        kept = {name: value for name, value in os.environ.items() if name != "NEMORUN_HOME"}
        done = subprocess.run(
            argv,
            env={
                **kept,
                "SLURM_TIMEOUT": str(self.timeout),
                **env,
            },  # a cluster is no part of a test's experiments
            text=True,
            stderr=subprocess.PIPE,
            timeout=START_WAIT,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"slurm.sh {verb} failed:\n{done.stderr}")

    def ask(self, *argv: str) -> str:
        """What one of Slurm's commands prints; it must not fail."""
        program = shutil.which(argv[0], path=PATH) or argv[0]
        done = subprocess.run(
            [program, *argv[1:]],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=COMMAND_WAIT,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def submit(self, command: str, *options: str) -> str:
        """The id of a job that is none of ours."""
        return self.ask("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={command}").strip()

    def state(self, job_id: str) -> str:
        """A job's state."""
        return self.ask("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T").strip()

    def forgot(self, job_id: str) -> bool:
        """Whether the controller no longer has a job that is over."""
        listed = self.ask("squeue", "--noheader", "--array", "--me", "--states=all", "--format=%i")
        return job_id not in listed.split()

    @property
    def node(self) -> str:
        """The name of the node whose jobs are those of the default partition."""
        return self.ask("sinfo", "--noheader", "--partition=main", "--format=%N").strip()

    def resume(self, node: str) -> None:
        """Let a node take jobs again; one that came back by itself is left as it is."""
        argv = ["scontrol", "update", f"nodename={node}", "state=resume"]
        subprocess.run(argv, env=self.env, capture_output=True, check=False)

    @property
    def account(self) -> str:
        """What it is doing, and what its daemons said last: for whoever reads why a test failed."""
        listed = "%i %T %r %S %k"
        argvs = (["sinfo", "--Node", "--long"], ["squeue", "--states=all", f"--format={listed}"])
        texts = []
        for argv in argvs:
            done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False, cwd="/")
            texts.append(done.stdout + done.stderr)
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            texts.append("\n".join([f"{log.name}:", *lines[-LOG_LINES:]]))
        return "\n".join(texts)

    def limit(self, *, submitted: int) -> None:
        """Let accounting accept only so many jobs at a time of this user; -1 for no limit."""
        change = ["modify", "user", "root", "set", f"MaxSubmitJobs={submitted}"]
        self.ask("sacctmgr", "--immediate", "--quiet", *change)

    def jobs(self, place: Path, *, states: str = STATES_OF_LIFE) -> list[str]:
        """The jobs of experiments under a home, one a line; theirs is what their comment begins with."""
        found = self.ask(
            "squeue", "--noheader", "--array", "--me", f"--states={states}", "--format=%i %T %j %k"
        )
        return [line for line in found.splitlines() if f" {place}/" in line]

    def shown(self, place: Path) -> str:
        """All that Slurm tells of them, their scripts included, and what its daemons keep."""
        texts = [self.ask("scontrol", "show", "job", line.split()[0]) for line in self.jobs(place)]
        for folder in ("spool", "state"):
            kept = (path for path in (self.folder / folder).rglob("*") if path.is_file())
            for path in kept:
                with contextlib.suppress(FileNotFoundError):
                    texts.append(path.read_bytes().decode(errors="replace"))
        return "\n".join(texts)


def missing() -> str | None:
    """Why no cluster can be had here; None if one can."""
    if os.geteuid() == 0 and (shutil.which("slurmctld") or shutil.which("apt-get")):
        return None
    return "SLURM IS NOT TESTED: the tests start their own cluster, which only root on a Debian can do"


@contextlib.contextmanager
def shared_cluster(cluster: Slurm | None = None) -> Iterator[Slurm]:
    """A cluster of this session; whoever is the last to leave ends what was started."""
    if reason := missing():
        pytest.skip(reason)
    cluster = cluster or Slurm(SHARED)
    with _open(cluster.folder, "starting") as starting, _open(cluster.folder, "using") as using:
        fcntl.flock(starting, fcntl.LOCK_EX)
        with contextlib.suppress(BlockingIOError):  # others use it
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cluster.run("down")  # what a session left that was killed
            cluster.run("up")
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield cluster
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(using, fcntl.LOCK_UN)
        with contextlib.suppress(BlockingIOError):  # others still use it
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cluster.run("down")


def _open(folder: Path, name: str) -> Any:
    return folder.with_name(f"{folder.name}.{name}").open("w", encoding="ascii")


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[Slurm]:
    """The cluster, which this process and what it starts use by SLURM_CONF, for as long as it tests."""
    with shared_cluster() as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.config))
        yield cluster


@pytest.fixture
def slurm(slurm_session: Slurm) -> Slurm:
    """The cluster, shared with other tests."""
    return slurm_session


@pytest.fixture(scope="session")
def slurm_alone_session() -> Iterator[Slurm]:
    """A cluster beside the shared one, for tests that stop it or change how it works, one after the other."""
    with shared_cluster(Slurm(shared_folder("slurm-alone"), timeout=4)) as cluster:
        yield cluster


@pytest.fixture
def slurm_alone(slurm_alone_session: Slurm) -> Iterator[Slurm]:
    """That cluster, which this test has for itself; it is as at first afterwards."""
    with _open(slurm_alone_session.folder, "turn") as turn, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(turn, fcntl.LOCK_EX)
        patch.setenv("SLURM_CONF", str(slurm_alone_session.config))
        yield slurm_alone_session
        slurm_alone_session.run("stop-controller")
        slurm_alone_session.run("start-controller")


@pytest.fixture
def slurm_accounting(slurm_alone: Slurm) -> Slurm:
    """The cluster with accounting, and a memory of its own so short that only accounting remembers jobs."""
    slurm_alone.run("accounting")
    slurm_alone.run("stop-controller")
    slurm_alone.run("start-controller", SLURM_ACCOUNTING="slurmdbd", SLURM_MIN_JOB_AGE="2")
    return slurm_alone


@pytest.fixture
def slurm_limits(slurm_alone: Slurm) -> Iterator[Slurm]:
    """The cluster with accounting that enforces the limits of users; at first there are none."""
    slurm_alone.run("accounting")
    slurm_alone.run("stop-controller")
    slurm_alone.run("start-controller", SLURM_ACCOUNTING="slurmdbd", SLURM_ENFORCE="limits")
    yield slurm_alone
    slurm_alone.limit(submitted=-1)
