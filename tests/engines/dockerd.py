"""A real Docker engine for the tests of this session: one for all its workers, started where root can."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("docker.sh")
SHARED = Path(tempfile.gettempdir()) / f"exp-tests-docker-{os.geteuid()}"  # short, for it holds a socket
START_WAIT = 600.0  # seconds; the first start installs the engine
MACHINES_OWN = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Dockerd:
    """An engine in a folder of its own, or the machine's (`folder` None), which is left as it is."""

    folder: Path | None

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for it."""
        return f"unix://{self.folder}/docker.sock" if self.folder else MACHINES_OWN

    @property
    def client(self) -> Any:
        """The SDK's client, for a look at what `exp` did."""
        import docker  # noqa: PLC0415 - only where there is an engine

        return docker.DockerClient(base_url=self.host, version="auto")

    def run(self, verb: str, *options: str) -> None:
        """Call the script that installs, starts and ends engines."""
        kept = {name: value for name, value in os.environ.items() if name != "NEMORUN_HOME"}
        env = {**kept, "DOCKER_HOST": self.host}  # an engine is no part of a test's experiments
        argv = [str(SCRIPT), verb, str(self.folder or SHARED), *options]
        done = subprocess.run(
            argv, env=env, text=True, stderr=subprocess.PIPE, timeout=START_WAIT, check=False
        )
        if done.returncode:
            pytest.fail(f"docker.sh {verb} failed:\n{done.stderr}")

    def containers(self, home: Path) -> list[str]:
        """The names of the containers that belong to experiments under a home."""
        with contextlib.closing(self.client) as client:
            # Not `client.containers`, which asks for each by itself, and fails where one has gone meanwhile.
            found = client.api.containers(all=True, filters={"label": f"nemorun.home={home}"})
            return [container["Names"][0].removeprefix("/") for container in found]


def missing() -> str | None:
    """Why no engine can be had here; None if one can."""
    if os.geteuid() == 0 and (shutil.which("dockerd") or shutil.which("apt-get")):
        return None
    if os.access(MACHINES_OWN.removeprefix("unix://"), os.R_OK | os.W_OK):
        return None
    return "DOCKER IS NOT TESTED: no engine is running here, and only root on a Debian can start one"


def of_this_session() -> Dockerd:
    """The engine that all workers of a session share, whether it is running yet or not."""
    return Dockerd(SHARED if os.geteuid() == 0 else None)


@contextlib.contextmanager
def shared_engine() -> Iterator[Dockerd]:
    """The engine of this session; whoever is the last to leave ends what was started."""
    if reason := missing():
        pytest.skip(reason)
    engine = of_this_session()
    starting = _open(SHARED.with_name(SHARED.name + ".starting"))
    using = _open(SHARED.with_name(SHARED.name + ".using"))
    with starting, using:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if engine.folder:
            engine.run("up")
        engine.run("images")
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield engine
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(using, fcntl.LOCK_UN)
        with contextlib.suppress(BlockingIOError):  # others still use it
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if engine.folder:
                engine.run("down")


def _open(path: Path) -> Any:
    return path.open("w", encoding="ascii")


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Dockerd]:
    """An engine that this process and what it starts use by DOCKER_HOST."""
    before = os.environ.get("DOCKER_HOST")
    with shared_engine() as engine:
        os.environ["DOCKER_HOST"] = engine.host
        try:
            yield engine
        finally:
            if before is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = before
