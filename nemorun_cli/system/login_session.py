"""The check whether a detached supervisor would be killed at logout, or at the end of a Slurm job."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nemorun_cli.system import user

ASK_WAIT: Final = 3.0  # seconds that systemd may take to answer
LINGERING: Final = Path("/var/lib/systemd/linger")  # holds a file for each user whose services survive logout
CGROUP: Final = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class SessionRisk:
    """Why a process started here will not survive the logout or its job, and what to do about it."""

    message: str
    remedy: str


def danger(control_group: str | None = None) -> SessionRisk | None:
    """The risk that a supervisor started here is killed at logout or with its job; None if it is not.

    Runs `loginctl` only if this process is in a session of systemd.

    Args:
        control_group: the supervisor's control group, as in proc(5); None means this process's own.
    """
    if job := os.environ.get("SLURM_JOB_ID"):
        return SessionRisk(
            f"this is a process of the Slurm job {job}, which ends the supervisor when it ends",
            "start it on a login node, or wait for it in the job: exp wait EXP",
        )
    group = _control_group() if control_group is None else control_group
    if f"/user@{os.getuid()}.service" in group:
        return None if _lingers() else _user_manager_risk()
    if "/session-" in group and _kills_user_processes():
        return SessionRisk(
            "systemd-logind kills all processes of a session at logout (KillUserProcesses=yes)",
            "start it in a scope of its own: systemd-run --user --scope exp run …"
            + ("" if _lingers() else f", after: loginctl enable-linger {user.name()}"),
        )
    return None


def _user_manager_risk() -> SessionRisk:
    return SessionRisk(
        "this terminal belongs to your systemd user manager, which stops when you log out everywhere",
        f"keep it running after logout: loginctl enable-linger {user.name()}",
    )


def _control_group() -> str:
    try:
        return CGROUP.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not Linux, hence no systemd


def _lingers() -> bool:
    return (LINGERING / user.name()).exists()


def _kills_user_processes() -> bool:
    """Whether logind kills a session's processes at logout; the default, False, if it does not answer."""
    program = shutil.which("loginctl")
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "show-session", "--property=KillUserProcesses"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_WAIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "KillUserProcesses=yes" in done.stdout
