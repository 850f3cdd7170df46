"""Checks whether a remote host can be reached by ssh, and suggests remedies; may prompt at a terminal."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.remote_hosts import protocol, ssh_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.executors.remote_hosts.connection import Connection
    from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel

ENGINE: Final = "ssh"
LOGIN_TIMEOUT: Final = 30.0  # seconds for a login without a person
INTERACTIVE_TIMEOUT: Final = 300.0  # the same with a person, who may need a second factor
TIMEOUT: Final = 20.0  # seconds for each check on the host
TOOLS: Final = ("awk", "xargs", "stat", "head", "tail")


def diagnose(tunnel: Tunnel, connection: Connection) -> Iterator[Diagnosis]:
    """Check the local tools, the login, the remote host and rsync; stops at the first failure."""
    for name in ("ssh", "rsync"):
        if shutil.which(name) is None:
            yield _failed(
                f"there is no {name} on the PATH of this machine", f"install {name} on this machine"
            )
            return
    diagnosis = login(tunnel, asks=_has_person())
    yield diagnosis
    if not diagnosis.is_ok:
        return
    diagnosis = _host(tunnel, connection)
    yield diagnosis
    if diagnosis.is_ok and (failure := _rsync_failure(tunnel, connection)):
        yield failure


def login(tunnel: Tunnel, *, asks: bool, is_repeated: bool = False) -> Diagnosis:
    """Open the shared connection, unless it is open.

    Args:
        tunnel: how the host is reached.
        asks: whether ssh may prompt at the terminal.
        is_repeated: whether this is the second try, because the shared connection had broken.
    """
    with tempfile.TemporaryFile() as stderr:  # a pipe would stay open with the connection, and block
        try:
            done = subprocess.run(
                [*tunnel.ssh(asks=asks), "--", tunnel.host, "exit 0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=ssh_client.environment(),
                timeout=INTERACTIVE_TIMEOUT if asks else LOGIN_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return _failed(
                f"the login to {tunnel.host} did not finish within {expired.timeout:g} s",
                f"find out where it hangs: ssh -v {tunnel.host}",
            )
        stderr.seek(0)
        complaint = stderr.read().decode(errors="replace").strip()
    if ssh_client.was_not_sent(complaint) and not is_repeated:
        return login(tunnel, asks=asks, is_repeated=True)
    if done.returncode == 0:
        return _ok(f"{tunnel.host} accepts the login")
    return _refused(tunnel, complaint, code=done.returncode)


def _refused(tunnel: Tunnel, complaint: str, *, code: int) -> Diagnosis:
    host, reason = tunnel.host, " ".join(complaint.split()[-40:])
    if "IDENTIFICATION HAS CHANGED" in complaint:
        return _failed(
            f"the host key of {host} has changed: it may be another machine",
            f"ask its administrator; if the new key is correct, remove the old one: ssh-keygen -R {host}",
        )
    if "Host key verification failed" in complaint or re.search("host key is known", complaint):
        return _failed(
            f"the host key of {host} is unknown",
            f"log in once at a terminal, and verify the key that ssh shows: ssh {host}",
        )
    if denied := re.search(r"Permission denied \(([^)]*)\)", complaint):
        methods = denied[1].split(",")
        if any(method in ("password", "keyboard-interactive") for method in methods):
            return _failed(
                f"{host} accepts none of your keys, and requires a password or a second factor",
                "run exp doctor at a terminal: the connection stays open for processes without one; or"
                " unlock your key with ssh-add, or install it on the host with ssh-copy-id",
            )
        return _failed(
            f"{host} refuses your key ({reason})",
            f"set {tunnel.key}identity to another key, install yours with ssh-copy-id,"
            " or unlock it with ssh-add",
        )
    if code != ssh_client.FAILED:
        return _failed(
            f"{host} accepts the login, but runs no command: exit code {code} {reason}".rstrip(),
            f"check its login files: ssh {host} exit 0",
        )
    return _failed(
        f"{host} cannot be reached: {reason or 'ssh reports no reason'}",
        f"check that it is up, and that host, port and network are correct: ssh -v {host}",
    )


def _host(tunnel: Tunnel, connection: Connection) -> Diagnosis:
    """Whether the host has the tools that are needed, and a writable job_dir."""
    checks = (
        '[ -n "$exp_rsync" ] || echo "lacks rsync"\n'  # on the PATH before login files are read
        f"for exp_tool in {' '.join(TOOLS)}; do"
        ' command -v "$exp_tool" >/dev/null 2>&1 || echo "lacks $exp_tool"; done\n'
        f"exp_folder={shlex.quote(tunnel.job_dir)}\n"
        'until [ -e "$exp_folder" ]; do exp_folder=${exp_folder%/*}; exp_folder=${exp_folder:-/}; done\n'
        '{ [ -d "$exp_folder" ] && [ -w "$exp_folder" ]; } || echo "unwritable $exp_folder"\n'
        'df -P -k -- "$exp_folder" 2>/dev/null | awk \'NR == 2 && $4 < 1024 { print "full " $4 }\''
    )
    answer = connection.send(checks, name="sh").wait(TIMEOUT)
    if answer is None or answer.connection_failed:
        reason = answer.complaint if answer else f"no answer within {TIMEOUT:g} s"
        if protocol.REFUSED in reason:
            return _failed(reason, f"correct {tunnel.key}pre_command, which {tunnel.host} runs in sh")
        return _failed(
            f"{tunnel.host} accepts the login, but does not answer: {reason}", f"try: ssh {tunnel.host} true"
        )
    problems = dict(line.split(" ", 1) for line in answer.output.splitlines() if " " in line)
    if missing := [line.split(" ", 1)[1] for line in answer.output.splitlines() if line.startswith("lacks ")]:
        return _failed(
            f"{tunnel.host} has no {', '.join(missing)}", f"install on that host: {' '.join(missing)}"
        )
    if folder := problems.get("unwritable"):
        return _failed(
            f"job_dir {tunnel.job_dir} cannot be created: you may not write to {folder} on {tunnel.host}",
            f"set {tunnel.key}job_dir to a folder that you may write to",
        )
    if "full" in problems:
        return _failed(
            f"the disk of job_dir {tunnel.job_dir} on {tunnel.host} is full", "free some space on it"
        )
    return _ok(f"{tunnel.host} has the required tools, and {tunnel.job_dir} is writable")


def _rsync_failure(tunnel: Tunnel, connection: Connection) -> Diagnosis | None:
    """Why rsync to the host fails; None if it works."""
    argv = tunnel.rsync("--dirs", "--list-only", "--", f"{tunnel.remote}:/")
    answer = connection.processes.start(argv, ssh_client.environment()).wait(TIMEOUT)
    if answer is not None and answer.is_good:
        return None
    reason = answer.complaint if answer else f"it did not end within {TIMEOUT:g} s"
    if re.search("shell clean|version mismatch", reason):
        return _failed(
            f"login files on {tunnel.host} print text in sessions without a terminal, which breaks rsync",
            "make them print only at a terminal: put [ -t 1 ] && before each command that prints",
        )
    return _failed(f"rsync to {tunnel.host} fails: {reason}", f"try: rsync -d {tunnel.remote}:/")


def _has_person() -> bool:
    """Whether there is a terminal at which ssh can prompt a person."""
    if not sys.stderr.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _ok(message: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=True, message=message)


def _failed(message: str, remedy: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=False, message=message, remedy=remedy)
