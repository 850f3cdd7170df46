"""Whether the session manager ends what outlives a login, as a detached supervisor should."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ASK_WAIT: Final = 3.0  # seconds that systemd may take to answer
LINGERING: Final = Path("/var/lib/systemd/linger")  # a file a user whose services outlive logins
CGROUP: Final = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class SessionRisk:
    """Why what is started here will not outlive the login, and what to do about it."""

    message: str
    remedy: str


def danger(control_group: str | None = None) -> SessionRisk | None:
    """What threatens a supervisor that is started from here; None outside of a login, or if nothing does.

    Cheap where this process is in no session of systemd; else it asks `loginctl`.

    Args:
        control_group: that of the supervisor, as in proc(5); None is this process's own.
    """
    group = _control_group() if control_group is None else control_group
    if f"/user@{os.getuid()}.service" in group:
        return None if _lingers() else _of_user_manager()
    if "/session-" in group and _kills_sessions():
        return SessionRisk(
            "systemd-logind ends everything of a session at logout (KillUserProcesses=yes)",
            "start it in a scope of its own: systemd-run --user --scope exp run …"
            + ("" if _lingers() else f", after: loginctl enable-linger {_user()}"),
        )
    return None


def _of_user_manager() -> SessionRisk:
    return SessionRisk(
        "this terminal belongs to your systemd user manager, which ends with your last login",
        f"let it outlive logins: loginctl enable-linger {_user()}",
    )


def _control_group() -> str:
    try:
        return CGROUP.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # no Linux, no systemd


def _lingers() -> bool:
    return (LINGERING / _user()).exists()


def _kills_sessions() -> bool:
    """Whether logind says so; what does not answer is taken to spare them, as most systems are set up."""
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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())
