"""The ssh server of the tests: that it lets in, refuses and breaks down as tests of a tunnel need it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from engines.sshd import KEYLESS, LOGIN, STRANGER
from support.patience import eventually

if TYPE_CHECKING:
    from engines.sshd import Sshd


def ssh(host: str, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command there."""
    argv = ["ssh", "-o", "BatchMode=yes", *options, host, command]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_only_its_own_key_opens_it(sshd: Sshd) -> None:
    """The key made for it lets in; without a key, or a host key that is known, there is no way."""
    assert ssh(LOGIN, "echo here").stdout == "here\n"
    assert "Permission denied" in ssh(KEYLESS, "true").stderr
    assert "Host key verification failed" in ssh(STRANGER, "true").stderr
    assert (sshd.folder / "known_hosts").stat().st_size


def test_it_breaks_down_and_comes_back(sshd: Sshd) -> None:
    """Connections drop when a test says so, a server that is down refuses, and comes back at its port."""
    master = ("-S", str(sshd.folder / "master"))
    assert ssh(LOGIN, "true", *master, "-o", "ControlMaster=yes", "-o", "ControlPersist=60").returncode == 0
    sshd.run("drop")
    eventually(lambda: ssh(LOGIN, "", *master, "-O", "check").returncode)
    assert ssh(LOGIN, "true").returncode == 0
    sshd.run("down")
    assert "refused" in ssh(LOGIN, "true").stderr
    sshd.run("up")
    assert ssh(LOGIN, "true").returncode == 0
    sshd.run("freeze")
    assert ssh(LOGIN, "true", "-o", "ConnectTimeout=1").returncode
    sshd.run("thaw")
    assert ssh(LOGIN, "true").returncode == 0
