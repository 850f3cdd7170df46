"""A real ssh server of this machine for the tests, one for each worker, with keys made for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from engines.folders import shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("sshd.sh")
STARTING = shared_folder("sshd.starting")
START_WAIT = 600.0  # seconds; the first start installs it
GREETING_WAIT: Final = 2.0  # seconds; a frozen server accepts connections and says nothing
LOGIN: Final = "login"
"""The name under which ssh gets there."""
STRANGER: Final = "stranger"
"""The name under which nobody knows the server's host key."""
KEYLESS: Final = "keyless"
"""The name under which ssh has no key, and would have to ask for a password."""


@dataclass(frozen=True)
class Sshd:
    """A server that lets `user` in (default: this one), by the key `folder / "user_key"`.

    Its sessions get `variable`, a NAME=VALUE.
    """

    folder: Path
    port: int
    user: str | None = None
    variable: str | None = None

    @property
    def config(self) -> Path:
        """OpenSSH's client configuration, which knows the names above."""
        return self.folder / "ssh_config"

    @property
    def path(self) -> str:
        """A PATH on which `ssh`, also rsync's, is the client with that configuration."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def greets(self) -> bool:
        """Whether it answers who connects, which costs a tenth of logging in."""
        try:
            address = (self.folder / "address").read_text(encoding="ascii").strip()
            with socket.create_connection((address, self.port), GREETING_WAIT) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def run(self, verb: str) -> None:
        """Call the script: `down` and `up` again, `drop` the connections, `freeze` and `thaw`."""
        argv = [str(SCRIPT), verb, str(self.folder), str(self.port)]
        given = {"SSHD_USER": self.user, "SSHD_VARIABLE": self.variable}
        env = {**os.environ, **{name: value for name, value in given.items() if value}}
        done = subprocess.run(
            argv, env=env, text=True, stderr=subprocess.PIPE, timeout=START_WAIT, check=False
        )
        if done.returncode:
            pytest.fail(f"sshd.sh {verb} failed:\n{done.stderr}")


def missing() -> str | None:
    """Why no server can be had here; None if one can."""
    if Path("/usr/sbin/sshd").exists() and shutil.which("ssh") and shutil.which("rsync"):
        return None
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return None
    return "SSH IS NOT TESTED: there is no sshd and rsync here, and only root on a Debian can install them"


@contextlib.contextmanager
def serving(user: str | None = None, *, variable: str | None = None) -> Iterator[Sshd]:
    """A server of this process's own."""
    if reason := missing():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="exp-sshd-"))  # short, for sockets lie in such folders
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Sshd(folder, free.getsockname()[1], user, variable)
    with STARTING.open("w", encoding="ascii") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        server.run("up")
    yield server
    server.run("down")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sshd_session() -> Iterator[Sshd]:
    """The server of this worker."""
    with serving() as server:
        yield server


@pytest.fixture
def sshd(sshd_session: Sshd) -> Iterator[Sshd]:
    """The server, which answers; for the test and what it starts, `ssh` knows how to get there."""
    with answering(sshd_session):
        yield sshd_session


@contextlib.contextmanager
def answering(server: Sshd) -> Iterator[None]:
    """A server that answers, and that `ssh` knows."""
    if not server.greets():
        server.run("up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", server.path)
        yield
