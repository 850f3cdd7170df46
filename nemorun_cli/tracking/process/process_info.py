"""Facts about the tracked program: process, machine, code, packages; gathered in a millisecond."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RANKS: Final = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
SLURM: Final = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")
MAX_ARGV: Final = 32_768  # characters of the command line that are kept

_PACKAGE_ENDINGS: Final = (".dist-info", ".egg-info")
_UNSAFE: Final = r"[^A-Za-z0-9._-]"  # in a part of a prefix


def of_process(environment: Mapping[str, str]) -> dict[str, Any]:
    """The facts of this process: its machine, command and code, and its task in an experiment."""
    from nemorun_cli.tracking.process import git_state  # noqa: PLC0415 - not needed by readers

    folder = _folder()
    return {
        "exp_id": environment.get("EXP_ID") or None,
        "task": environment.get("EXP_TASK") or None,
        "attempt": _whole_number(environment.get("EXP_ATTEMPT")),
        "rank": rank(environment),
        "host": host(),
        "boot": boot(),
        "pid": os.getpid(),
        "process_started": started(os.getpid()),
        "user": user(),
        "argv": _argv(),
        "folder": folder,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "platform": sys.platform,
        "slurm": {name: environment[name] for name in SLURM if name in environment} or None,
        "git": _shipped_commit(environment) or git_state.commit(_code_folder()) or git_state.commit(folder),
    }


def _shipped_commit(environment: Mapping[str, str]) -> dict[str, str | None] | None:
    """The commit of shipped code, which is no longer in its own repository."""
    commit = environment.get("EXP_COMMIT")
    return {"folder": None, "commit": commit, "branch": None} if commit else None


def rank(environment: Mapping[str, str]) -> int | None:
    """The rank of this process among those of its job, as set by the launcher; None if it is not set."""
    for name in RANKS:
        value = _whole_number(environment.get(name))
        if value is not None:
            return value
    return None


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def host() -> str:
    """The host name of this machine."""
    return os.uname().nodename


def is_this_machine(facts: Mapping[str, Any]) -> bool:
    """Whether the process with these facts runs, or ran, on this machine, and since it was started."""
    its_boot, current = facts.get("boot"), boot()
    if its_boot and current:
        return bool(its_boot == current)
    return bool(facts.get("host", host()) == host())


def boot() -> str:
    """An id that changes when the machine restarts; empty where the system provides none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def started(pid: int) -> int | None:
    """The start of a process in ticks since boot, to distinguish processes with the same pid; or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19])  # the 22nd field of proc(5), counted after the name


def _argv() -> list[str]:
    """The command line, cut at the limit."""
    kept: list[str] = []
    remaining = MAX_ARGV
    for argument in getattr(sys, "orig_argv", sys.argv):
        kept.append(argument[:remaining])
        remaining -= len(argument)
        if remaining <= 0:
            break
    return kept


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _code_folder() -> str | None:
    """The folder of the running program, if it is a file."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(os.path.abspath(path)) if isinstance(path, str) else None


def packages() -> dict[str, str]:
    """The importable packages and their versions.

    Both are in the names of the folders that installers create, so no file is read
    (`importlib.metadata` takes hundreds of milliseconds for the same).
    """
    versions: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(_PACKAGE_ENDINGS):
                package, _, version = name.rpartition(".")[0].partition("-")
                versions.setdefault(package, version.partition("-py")[0])
    return dict(sorted(versions.items()))


def user() -> str:
    """The user name, as one plain part of a path."""
    name = os.environ.get("USER") or os.environ.get("LOGNAME")
    if not name:
        import pwd  # noqa: PLC0415 - only if the environment does not contain the name

        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = f"uid-{os.getuid()}"
    return re.sub(_UNSAFE, "_", name).lstrip(".") or "unknown"
