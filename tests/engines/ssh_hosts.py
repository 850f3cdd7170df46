"""Two real hosts behind ssh, for the tests: each with its own network, host name, boot and sshd."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest
from engines.folders import shared_folder
from engines.sshd import missing
from support.patience import eventually
from support.two_machines import machines

from nemorun_cli.executors.remote_hosts.remote_paths import owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.two_machines import Machine

NAMES: Final = ("box1", "box2")
JOBS: Final = shared_folder(f"boxes-{os.getpid()}")
"""Their `job_dir`: they share the file system of this machine."""
# Login files of this machine's user may take long, and belong to no host.
SERVE: Final = '[ ! -e "$3" ] || mount --bind "$1" "$3"; exec /usr/sbin/sshd -D -e -f "$2"'
COMMAND_WAIT: Final = 60.0  # seconds


@dataclass(frozen=True)
class SshHosts:
    """The hosts, whose keys and configuration are in `folder`."""

    folder: Path
    machines: dict[str, Machine]

    @property
    def path(self) -> str:
        """A PATH on which `ssh`, also rsync's, is the client that knows them."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def address(self, name: str) -> str:
        """The address of a host."""
        return self.machines[name].near.removesuffix(".1") + ".2"

    def serve(self, name: str) -> None:
        """Start the sshd of a host, and wait until it lets a client in."""
        config = self.folder / f"sshd_config-{name}"
        machine = self.machines[name]
        login_file = str(Path(pwd.getpwuid(os.geteuid()).pw_dir, ".bashrc"))
        with (self.folder / f"sshd-{name}.log").open("ab") as log:
            machine.start(
                ["sh", "-c", SERVE, "sh", str(self.folder / "empty"), str(config), login_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
                cwd="/",
            )
        eventually(lambda: self.run(name, "true").returncode == 0)

    def run(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on a host, over a connection of its own."""
        argv = [
            str(self.folder / "bin" / "ssh"),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=5",
            name,
            command,
        ]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_WAIT, check=False
        )

    def restart(self, name: str) -> None:
        """Restart a host, as after a power failure: all that runs there is killed, and its boot differs."""
        self.machines[name].restart()
        self.serve(name)


def options(*hosts: Any, **others: Any) -> dict[str, Any]:
    """An executor with these hosts."""
    return {"type": "ssh", "hosts": list(hosts), "job_dir": str(JOBS), **others}


def home_of(home: Path) -> Path:
    """Where the experiments of a home of this machine are on the hosts."""
    return JOBS / owner(home)


def left(home: Path) -> list[str]:
    """The processes of tasks of experiments of a home on the hosts."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.environ().get("NEMORUN_HOME") == str(home_of(home)):
                found.append(str(process))
    return found


def shown(home: Path) -> str:
    """All that the folder of a home on the hosts contains."""
    texts = []
    for path in home_of(home).rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                texts.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(texts)


def _key(path: Path) -> str:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(path)]
    subprocess.run(argv, check=True, timeout=COMMAND_WAIT)
    return " ".join(path.with_suffix(".pub").read_text(encoding="ascii").split()[:2])


def _configure(hosts: SshHosts) -> None:
    folder = hosts.folder
    (folder / "bin").mkdir()
    (folder / "empty").touch()
    (folder / "authorized_keys").write_text(_key(folder / "user") + "\n", encoding="ascii")
    host_key = _key(folder / "host")
    client = shutil.which("ssh", path="/usr/bin:/bin")
    text, known = "", ""
    for name in hosts.machines:
        address = hosts.address(name)
        known += f"{address} {host_key}\n"
        text += f"Host {name}\n  HostName {address}\n"
        (folder / f"sshd_config-{name}").write_text(
            f"ListenAddress {address}\nPort 22\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
            f"UsePAM no\nAuthorizedKeysFile {folder}/authorized_keys\nPrintMotd no\n"
            # Not the login files of root, which may take longer than most commands.
            f"PermitRootLogin prohibit-password\nSetEnv HOME={folder}\n",
            encoding="ascii",
        )
    (folder / "known_hosts").write_text(known, encoding="ascii")
    (folder / "ssh_config").write_text(
        f"{text}Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n",
        encoding="ascii",
    )
    program = folder / "bin" / "ssh"
    program.write_text(f'#!/bin/sh\nexec {client} -F {shlex.quote(f"{folder}/ssh_config")} "$@"\n')
    program.chmod(0o755)


@pytest.fixture(scope="session")
def ssh_hosts_session() -> Iterator[SshHosts]:
    """The hosts of this worker."""
    if reason := missing():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="exp-boxes-"))
    Path("/run/sshd").mkdir(exist_ok=True)
    try:
        with machines(folder, *NAMES) as made:
            hosts = SshHosts(folder, dict(zip(NAMES, made, strict=True)))
            _configure(hosts)
            for name in NAMES:
                hosts.serve(name)
            yield hosts
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(JOBS, ignore_errors=True)  # no test may have run there


@pytest.fixture
def ssh_hosts(ssh_hosts_session: SshHosts) -> Iterator[SshHosts]:
    """The hosts; for the test and what it starts, `ssh` knows how to reach them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", ssh_hosts_session.path)
        yield ssh_hosts_session
