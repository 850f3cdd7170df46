"""What `exp doctor` looks at: engines, the home and its locks, programs, the session, and one experiment."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli import executors
from nemorun_cli.errors import EngineError, ExpError, LedgerError
from nemorun_cli.model.resources import cpus_text, gpus_text
from nemorun_cli.model.units import size_text
from nemorun_cli.system import locks, login_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.storage.paths import Home
    from nemorun_cli.views.snapshot import Snapshot

DOCTOR_FORMAT: Final = "exp.doctor/1"
LITTLE_SPACE: Final = 1 << 30  # bytes free below which it is said
NO_SPACE: Final = 10 << 20  # bytes free below which nothing can be relied on
FEW_FILES: Final = 1000  # free inodes below which it is said
CHILD_WAIT: Final = 10.0  # seconds that a child may take to end
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

# File systems on which locks of another host are not seen, or may not be.
SHARED: Final = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "9p",
        "afs",
        "fuse.sshfs",
        "fuse.glusterfs",
    ]
)
TOOLS: Final = {
    "bash": "runs `script` and `inline` tasks unless they name another entrypoint",
    "python3": "runs partials unless they name another entrypoint",
    "env": "starts tasks",
    "sleep": "watches over timeouts",
}

State = Literal["well", "warning", "trouble"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at; `remedy` is there unless it is well."""

    subject: str
    state: State
    message: str
    remedy: str | None = None
    is_engine: bool = False

    def to_json(self) -> dict[str, Any]:
        """An entry of `checks` in `exp.doctor/1`."""
        return asdict(self)


def exit_code(checks: Sequence[Check]) -> int:
    """7 if the home is in trouble, 6 if engines alone are, else 0."""
    trouble = [check for check in checks if check.state == "trouble"]
    if not trouble:
        return 0
    return EngineError.exit_code if all(check.is_engine for check in trouble) else LedgerError.exit_code


def of_engines(wanted: Mapping[str, Mapping[str, Any]] | None) -> Iterator[Check]:
    """What executors say of their engines.

    Args:
        wanted: executors by name with their options; None asks every type that there is.
    """
    for name, options in (wanted or {kind: {"type": kind} for kind in executors.types()}).items():
        subject = f"executor {name}"
        try:
            executor = executors.make(name, options, {})
            try:
                for found in executor.check():
                    yield Check(
                        subject=subject if found.engine == name else f"{subject} ({found.engine})",
                        state="well" if found.is_ok else "trouble",
                        message=found.message,
                        remedy=found.remedy,
                        is_engine=True,
                    )
            finally:
                executor.close()
        except ExpError as error:
            yield _broken(subject, error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - around a plugin, which may raise anything
            yield _broken(subject, f"its check failed: {type(error).__name__}: {error}", None)


def _broken(subject: str, message: str, remedy: str | None) -> Check:
    return Check(subject=subject, state="trouble", message=message, remedy=remedy, is_engine=True)


def of_home(home: Home) -> Iterator[Check]:
    """Whether the home can be written, is private, has space, and keeps locks."""
    folder = home.directory
    if not folder.is_dir():
        yield _of_missing_home(folder)
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            yield Check(subject="home", state="well", message=f"{folder} can be written")
            yield _of_locks(Path(probe.name))
    except OSError as error:
        yield Check(
            subject="home",
            state="trouble",
            message=f"{folder} cannot be written: {error.strerror}",
            remedy="make it yours, or point NEMORUN_HOME to a folder that is",
        )
    yield _of_privacy(home)
    yield _of_space(folder)
    if (kind := file_system(folder)) in SHARED:
        yield Check(
            subject="file system",
            state="warning",
            message=f"{folder} is on {kind}: what runs on one host is not seen by the locks of another",
            remedy="ask and resume experiments on the host that runs them",
        )


def _of_missing_home(folder: Path) -> Check:
    above = next(parent for parent in folder.parents if parent.exists())
    if os.access(above, os.W_OK | os.X_OK) and above.is_dir():
        return Check(subject="home", state="well", message=f"{folder} is made by the first run")
    return Check(
        subject="home",
        state="trouble",
        message=f"{folder} is not there, and {above} cannot be written",
        remedy="point NEMORUN_HOME to a folder of yours",
    )


def _of_locks(path: Path) -> Check:
    """A lock that a child inherits has to be seen from here, and to be free when the child is gone."""
    try:
        is_seen, is_freed = _try_lock(path)
    except (OSError, subprocess.SubprocessError) as error:
        return _of_broken_locks(f"they cannot be tried: {error}")
    if not is_seen:
        return _of_broken_locks("a lock that another process holds is not seen")
    if not is_freed:
        return _of_broken_locks("a lock stays although its holder is gone")
    return Check(subject="locks", state="well", message="they pass to children, are seen, and end with them")


def _of_broken_locks(message: str) -> Check:
    remedy = "point NEMORUN_HOME to a local disk, or mount that file system with locks"
    return Check(subject="locks", state="trouble", message=message, remedy=remedy)


def _try_lock(path: Path) -> tuple[bool, bool]:
    """Whether a lock that only a child holds is seen, and whether it is free after the child."""
    lock = locks.take(path)
    if lock is None:
        return False, False
    with subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, pass_fds=[lock]) as child:
        os.close(lock)
        try:
            is_seen = locks.is_held(path)
        finally:
            child.communicate(timeout=CHILD_WAIT)
    return is_seen, not locks.is_held(path)


def _of_privacy(home: Home) -> Check:
    folder = home.experiments if home.experiments.is_dir() else home.directory
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & OTHERS and stat.S_IMODE(home.directory.stat().st_mode) & OTHERS:
        return Check(
            subject="privacy",
            state="warning",
            message=f"others may look into {folder} (mode {mode:03o}), where logs and outputs are",
            remedy=f"chmod 700 {folder}",
        )
    return Check(subject="privacy", state="well", message=f"only you may look into {folder}")


def _of_space(folder: Path) -> Check:
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    text = f"{free / (1 << 30):.1f} GiB are free"
    remedy = "remove old experiments: exp gc --older 30d"
    if free < NO_SPACE:
        return Check(subject="space", state="trouble", message=text, remedy=remedy)
    if free < LITTLE_SPACE:
        return Check(subject="space", state="warning", message=text, remedy=remedy)
    if status.f_files and status.f_favail < FEW_FILES:
        text = f"only {status.f_favail} more files can be made"
        return Check(subject="space", state="warning", message=text, remedy=remedy)
    return Check(subject="space", state="well", message=text)


def file_system(folder: Path) -> str | None:
    """The kind of the file system that a folder is on, as the system's table of mounts names it."""
    import psutil  # noqa: PLC0415 - heavy, and only for the doctor

    resolved, kind, longest = folder.resolve(), None, -1
    with contextlib.suppress(OSError, psutil.Error):
        for part in psutil.disk_partitions(all=True):
            mount = Path(part.mountpoint)
            if resolved.is_relative_to(mount) and len(mount.parts) >= longest:
                kind, longest = part.fstype, len(mount.parts)
    return kind


def of_tools() -> Iterator[Check]:
    """Python, and the programs that tasks need."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check(subject="python", state="well", message=f"{version}, {sys.executable}")
    for name, use in TOOLS.items():
        path = shutil.which(name)
        if path is not None:
            yield Check(subject=name, state="well", message=path)
        else:
            text = f"there is no {name} on the PATH; it {use}"
            yield Check(
                subject=name, state="warning", message=text, remedy=f"install {name}, or extend the PATH"
            )


def of_machine() -> Check:
    """What there is for tasks that ask for resources."""
    from nemorun_cli.system import hardware  # noqa: PLC0415 - only for the doctor, and for who asks for resources

    found = hardware.find({}, with_gpus=True)
    memory = f", {size_text(found.memory)} of memory" if found.memory else ""
    text = f"{cpus_text(found.cpus or 0)}{memory}, {gpus_text(len(found.gpus))} ({found.origin})"
    return Check(subject="machine", state="well", message=text)


def of_session() -> Check:
    """Whether a detached experiment outlives the login."""
    found = login_session.danger()
    if found is None:
        return Check(subject="session", state="well", message="nothing here ends what outlives a login")
    return Check(subject="session", state="warning", message=found.message, remedy=found.remedy)


def of_experiment(snapshot: Snapshot) -> Check:
    """Whether an experiment that is not over has a supervisor."""
    subject, which = f"experiment {snapshot.files.id}", snapshot.files.id
    where = f"pid {snapshot.holder.pid} on {snapshot.holder.host}" if snapshot.holder else "none yet"
    if snapshot.is_over:
        return Check(subject=subject, state="well", message=f"it is over: {snapshot.status}")
    if snapshot.supervisor == "gone":
        rest = f"; {snapshot.live} of its tasks go on by themselves" if snapshot.live else ""
        return Check(
            subject=subject,
            state="warning",
            message=f"its supervisor is gone ({where}){rest}",
            remedy=f"continue it: exp resume {which}",
        )
    if snapshot.supervisor == "elsewhere":
        return Check(
            subject=subject,
            state="warning",
            message=f"its supervisor is on another host ({where}), which is not asked from here",
            remedy=f"ask there; if that host will not come back: exp resume {which} --host-is-gone",
        )
    return Check(subject=subject, state="well", message=f"{snapshot.status}, supervised ({where})")
