"""A real Docker engine for the tests of this session: one for all its workers, started where root can."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engines.folders import shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("docker.sh")
SHARED = shared_folder("docker")
START_WAIT = 600.0  # seconds; the first start installs the engine
CHOICES = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION")
"""Variables by which the caller of the tests may have chosen another engine."""


@dataclass(frozen=True)
class Dockerd:
    """An engine in a folder of its own; never the machine's."""

    folder: Path

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for it."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def client(self) -> Any:
        """The SDK's client, for a look at what `exp` did."""
        import docker  # noqa: PLC0415 - only where there is an engine

        return docker.DockerClient(base_url=self.host, version="auto")

    def listen(self) -> socket.socket:
        """A server at the engine's loopback address, which is in a network namespace of its own."""
        with ThreadPoolExecutor(1) as thread:  # only this thread enters the namespace
            return thread.submit(self._listen).result()

    def _listen(self) -> socket.socket:
        with (self.folder / "net").open(encoding="ascii") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_server(("127.0.0.1", 0))

    def run(self, verb: str, *options: str) -> None:
        """Call the script that installs, starts and ends engines."""
        # An engine is no part of a test's experiments.
        env = {name: value for name, value in os.environ.items() if name != "NEMORUN_HOME"}
        argv = [str(SCRIPT), verb, str(self.folder), *options]
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

    def networks(self, home: Path) -> list[str]:
        """The names of the networks that belong to experiments under a home."""
        with contextlib.closing(self.client) as client:
            found = client.api.networks(filters={"label": f"nemorun.home={home}"})
            return [network["Name"] for network in found]


def missing() -> str | None:
    """Why no engine can be had here; None if one can."""
    if os.geteuid() == 0 and (shutil.which("dockerd") or shutil.which("apt-get")):
        return None
    return "DOCKER IS NOT TESTED: the tests start their own engine, which only root on a Debian can do"


def of_this_session() -> Dockerd:
    """The engine that all workers of a session share, whether it is running yet or not."""
    return Dockerd(SHARED)


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
        engine.run("up")
        engine.run("images")
        fcntl.flock(using, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield engine
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(using, fcntl.LOCK_UN)
        with contextlib.suppress(BlockingIOError):  # others still use it
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            engine.run("down")


def _open(path: Path) -> Any:
    return path.open("w", encoding="ascii")


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Dockerd]:
    """An engine that this process and what it starts use by DOCKER_HOST."""
    with shared_engine() as engine, pytest.MonkeyPatch.context() as patch:
        for name in CHOICES:
            patch.delenv(name, raising=False)
        patch.setenv("DOCKER_HOST", engine.host)
        yield engine
