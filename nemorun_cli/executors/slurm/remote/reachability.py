"""Whether a cluster can be reached by ssh, and what to do if not; asks a person where there is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import Diagnosis
from nemorun_cli.executors.slurm import ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.executors.slurm.remote.connection import Connection
    from nemorun_cli.executors.slurm.ssh import Tunnel

ENGINE: Final = "ssh"
CONNECT: Final = 30.0  # seconds that a login may take without a person
ASKING: Final = 300.0  # the same with one, who may have to find a second factor
PATIENCE: Final = 20.0  # seconds for a look around there
TOOLS: Final = ("awk", "xargs", "stat", "head", "tail")


def diagnose(tunnel: Tunnel, trips: Connection) -> Iterator[Diagnosis]:
    """What is well and what is not, up to the folder for jobs; what rests on a fault is not asked."""
    for name in ("ssh", "rsync"):
        if shutil.which(name) is None:
            yield _ill(f"there is no {name} on the PATH here", f"install {name} on this machine")
            return
    found = login(tunnel, asks=_has_person())
    yield found
    if not found.is_ok:
        return
    found = _there(tunnel, trips)
    yield found
    if found.is_ok and (trouble := _files(tunnel, trips)):
        yield trouble


def login(tunnel: Tunnel, *, asks: bool) -> Diagnosis:
    """Open the connection that all share, unless it is open; a person may be asked at the terminal."""
    with tempfile.TemporaryFile() as said:  # not a pipe: the connection stays open, and keeps it
        try:
            done = subprocess.run(
                [*tunnel.ssh(asks=asks), "--", tunnel.host, "exit 0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=ssh.environment(),
                timeout=ASKING if asks else CONNECT,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return _ill(
                f"{tunnel.host} did not let us in within {expired.timeout:g} s",
                f"see where it hangs: ssh -v {tunnel.host}",
            )
        said.seek(0)
        complaint = said.read().decode(errors="replace").strip()
    if done.returncode == 0:
        return _well(f"{tunnel.host} lets us in")
    return _refused(tunnel, complaint, code=done.returncode)


def _refused(tunnel: Tunnel, complaint: str, *, code: int) -> Diagnosis:
    host, told = tunnel.host, " ".join(complaint.split()[-40:])
    if "IDENTIFICATION HAS CHANGED" in complaint:
        return _ill(
            f"{host} shows another host key than before: it may be another machine",
            f"ask who runs it; if the new key is right, forget the old one: ssh-keygen -R {host}",
        )
    if "Host key verification failed" in complaint or re.search("host key is known", complaint):
        return _ill(
            f"the host key of {host} is not known here",
            f"log in once at a terminal, and compare what ssh shows: ssh {host}",
        )
    if denied := re.search(r"Permission denied \(([^)]*)\)", complaint):
        ways = denied[1].split(",")
        if any(way in ("password", "keyboard-interactive") for way in ways):
            return _ill(
                f"{host} takes no key of ours, and wants a password or a second factor from a person",
                "run exp doctor at a terminal: the connection stays open for what runs without one; or"
                " unlock your key by ssh-add, or bring it there by ssh-copy-id",
            )
        return _ill(
            f"{host} refuses our key ({told})",
            "name another one by tunnel.identity, bring yours there by ssh-copy-id, or unlock it by ssh-add",
        )
    if code != ssh.FAILED:
        return _ill(
            f"{host} lets us in, and runs no command: it ends with {code} {told}".rstrip(),
            f"see what its login files do: ssh {host} exit 0",
        )
    return _ill(
        f"{host} cannot be reached: {told or 'ssh does not say why'}",
        f"see that it is up, and that host, port and network are right: ssh -v {host}",
    )


def _there(tunnel: Tunnel, trips: Connection) -> Diagnosis:
    """Whether what is needed is there, and files can be brought."""
    look = (
        '[ -n "$exp_rsync" ] || echo "lacks rsync"\n'  # which is not started by a login
        f"for exp_tool in {' '.join(TOOLS)}; do"
        ' command -v "$exp_tool" >/dev/null 2>&1 || echo "lacks $exp_tool"; done\n'
        f"exp_folder={tunnel.job_dir}\n"
        'until [ -e "$exp_folder" ]; do exp_folder=${exp_folder%/*}; exp_folder=${exp_folder:-/}; done\n'
        '{ [ -d "$exp_folder" ] && [ -w "$exp_folder" ]; } || echo "unwritable $exp_folder"\n'
        'df -P -k -- "$exp_folder" 2>/dev/null | awk \'NR == 2 && $4 < 1024 { print "full " $4 }\''
    )
    answer = trips.send(look, name="sh").wait(PATIENCE)
    if answer is None or answer.is_lost:
        said = answer.complaint if answer else f"no answer within {PATIENCE:g} s"
        return _ill(f"{tunnel.host} lets us in, and does not answer: {said}", f"try: ssh {tunnel.host} true")
    told = dict(line.split(" ", 1) for line in answer.output.splitlines() if " " in line)
    if lacking := [line.split(" ", 1)[1] for line in answer.output.splitlines() if line.startswith("lacks ")]:
        return _ill(
            f"{tunnel.host} has no {', '.join(lacking)}", f"have it installed there: {' '.join(lacking)}"
        )
    if folder := told.get("unwritable"):
        return _ill(
            f"job_dir {tunnel.job_dir} cannot be made: {folder} is not yours to write to on {tunnel.host}",
            "give a tunnel.job_dir that you may write to",
        )
    if "full" in told:
        return _ill(f"the disk of job_dir {tunnel.job_dir} on {tunnel.host} is full", "make room there")
    return _well(f"{tunnel.host} has what is needed, and {tunnel.job_dir} can be written")


def _files(tunnel: Tunnel, trips: Connection) -> Diagnosis | None:
    """What is wrong with bringing files, if anything is."""
    argv = tunnel.rsync("--dirs", "--list-only", "--", f"{tunnel.remote}:/")
    answer = trips.processes.start(argv, ssh.environment()).wait(PATIENCE)
    if answer is not None and answer.is_good:
        return None
    said = answer.complaint if answer else f"it did not end within {PATIENCE:g} s"
    if re.search("shell clean|version mismatch", said):
        return _ill(
            f"login files on {tunnel.host} print something where nobody looks, which rsync cannot have",
            "let them print at a terminal only: begin what prints by [ -t 1 ] &&",
        )
    return _ill(f"rsync to {tunnel.host} fails: {said}", f"see what it says: rsync -d {tunnel.remote}:/")


def _has_person() -> bool:
    """Whether somebody sits at a terminal, where ssh can ask."""
    if not sys.stderr.isatty():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _well(message: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=True, message=message)


def _ill(message: str, remedy: str) -> Diagnosis:
    return Diagnosis(engine=ENGINE, is_ok=False, message=message, remedy=remedy)
