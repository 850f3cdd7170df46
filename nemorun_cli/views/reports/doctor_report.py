"""The checks of `exp doctor`: engines, the home and its locks, programs, the session, and one experiment."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli import executors
from nemorun_cli.errors import EngineError, ExpError, LedgerError, UsageError
from nemorun_cli.model.resources import cpus_text, gpus_text
from nemorun_cli.model.units import size_text
from nemorun_cli.storage.events import origin_text
from nemorun_cli.system import locks, login_session, trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.storage.paths import Home
    from nemorun_cli.views.snapshot import Snapshot

DOCTOR_FORMAT: Final = "exp.doctor/1"
LITTLE_SPACE: Final = 1 << 30  # free bytes below which a warning is shown
NO_SPACE: Final = 10 << 20  # free bytes below which writes are likely to fail
FEW_FILES: Final = 1000  # free inodes below which a warning is shown
CHILD_WAIT: Final = 10.0  # seconds that a child may take to exit

# File systems on which locks held by another host are not visible, or may not be.
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
    "sleep": "enforces timeouts",
}

State = Literal["well", "warning", "trouble"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check; `remedy` is None if the state is `well`."""

    subject: str
    state: State
    message: str
    remedy: str | None = None
    is_engine: bool = False

    def to_json(self) -> dict[str, Any]:
        """An entry of `checks` in `exp.doctor/1`."""
        return asdict(self)


def exit_code(checks: Sequence[Check]) -> int:
    """7 if the home has trouble, 6 if only engines have, else 0."""
    trouble = [check for check in checks if check.state == "trouble"]
    if not trouble:
        return 0
    return EngineError.exit_code if all(check.is_engine for check in trouble) else LedgerError.exit_code


def of_engines(wanted: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Check]:
    """The checks that executors make of their engines.

    Args:
        wanted: executors by name with their options; None checks every known type.
    """
    for name, options in (wanted or {kind: {"type": kind} for kind in executors.types()}).items():
        subject = f"executor {name}"
        try:
            executor = executors.make(name, options, {})
            try:
                for result in executor.check():
                    yield Check(
                        subject=subject if result.engine == name else f"{subject} ({result.engine})",
                        state="well" if result.is_ok else "trouble",
                        message=result.message,
                        remedy=result.remedy,
                        is_engine=True,
                    )
            finally:
                executor.close()
        except ExpError as error:
            yield _broken(subject, error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - around a plugin, which may raise anything
            yield _broken(subject, f"its check failed: {type(error).__name__}: {error}", None)


def of_unasked(name: str) -> Check:
    """The check that reports an executor whose engine is not asked."""
    return Check(
        subject=f"executor {name}",
        state="warning",
        message="not checked: the experiment was not created by this home",
        remedy="if you trust it, check it with --observe",
        is_engine=True,
    )


def _broken(subject: str, message: str, remedy: str | None) -> Check:
    return Check(subject=subject, state="trouble", message=message, remedy=remedy, is_engine=True)


def of_home(home: Home) -> Iterator[Check]:
    """Whether the home is trusted, is writable, has space, and supports locks."""
    folder = home.directory
    if not folder.is_dir():
        yield _of_missing_home(folder)
        return
    try:
        home.require_trusted()
    except UsageError as error:  # nothing is written to it, not even for a check
        yield Check(subject="owner", state="trouble", message=error.message, remedy=error.hint)
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            yield Check(subject="home", state="well", message=f"{folder} is writable")
            yield _of_locks(Path(probe.name))
    except OSError as error:
        yield Check(
            subject="home",
            state="trouble",
            message=f"{folder} is not writable: {error.strerror}",
            remedy="change its owner to you, or set NEMORUN_HOME to a folder of yours",
        )
    yield _of_space(folder)
    if (kind := file_system(folder)) in SHARED:
        yield Check(
            subject="file system",
            state="warning",
            message=f"{folder} is on {kind}: a lock held on one host is not visible on another",
            remedy="query and resume experiments on the host that runs them",
        )


def _of_missing_home(folder: Path) -> Check:
    above = next(parent for parent in folder.parents if parent.exists())
    if os.access(above, os.W_OK | os.X_OK) and above.is_dir():
        return Check(subject="home", state="well", message=f"the first run creates {folder}")
    return Check(
        subject="home",
        state="trouble",
        message=f"{folder} does not exist, and {above} is not writable",
        remedy="set NEMORUN_HOME to a folder of yours",
    )


def _of_locks(path: Path) -> Check:
    """A lock that a child inherits must be visible to this process, and free after the child has exited."""
    try:
        is_seen, is_freed = _try_lock(path)
    except (OSError, subprocess.SubprocessError) as error:
        return _of_broken_locks(f"cannot test them: {error}")
    if not is_seen:
        return _of_broken_locks("a lock that another process holds is not visible")
    if not is_freed:
        return _of_broken_locks("a lock is still held after its holder has exited")
    return Check(subject="locks", state="well", message="children inherit them, and exiting releases them")


def _of_broken_locks(message: str) -> Check:
    remedy = "set NEMORUN_HOME to a local disk, or mount that file system with locks"
    return Check(subject="locks", state="trouble", message=message, remedy=remedy)


def _try_lock(path: Path) -> tuple[bool, bool]:
    """Whether a lock that only a child holds is visible, and whether it is free after the child exits."""
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
        text = f"only {status.f_favail} more files can be created"
        return Check(subject="space", state="warning", message=text, remedy=remedy)
    return Check(subject="space", state="well", message=text)


def file_system(folder: Path) -> str | None:
    """The type of the file system that contains a folder, as in the mount table; None if unknown."""
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
            text = f"{name} is not on the PATH; it {use}"
            yield Check(
                subject=name, state="warning", message=text, remedy=f"install {name}, or extend the PATH"
            )


def of_environments(home: Home) -> Iterator[Check]:
    """The Python environments in the home, and whether uv is there to make others."""
    from nemorun_cli.packagers.environments import interpreters, store  # noqa: PLC0415 - only for the doctor

    try:
        yield Check(subject="uv", state="well", message=interpreters.installer())
    except interpreters.EnvironmentFault as fault:
        text = "uv is not installed; it makes Python environments for tasks with `python: {uv: …}`"
        yield Check(subject="uv", state="well", message=f"{text} ({fault.hint})")
    try:
        names = store.ids(home)
    except OSError as error:
        yield Check(
            subject="environments",
            state="trouble",
            message=f"{home.environments} cannot be read: {error.strerror}",
            remedy="change its owner to you, or set NEMORUN_HOME to a folder of yours",
        )
        return
    for name in names:
        subject, folder = f"environment {name}", store.place(home, name)
        if (known := store.manifest(home, name)) is not None:
            packages = len(known.get("packages", {}))
            size = size_text(trees.size(folder))
            text = f"{known.get('text')}, {packages} package{'' if packages == 1 else 's'}, {size}"
            yield Check(subject=subject, state="well", message=text)
        elif store.is_busy(home, name):
            yield Check(subject=subject, state="well", message="it is being made")
        else:
            yield Check(
                subject=subject,
                state="warning",
                message=f"{folder} is not complete: its making was interrupted, or its Python was removed",
                remedy="the next task that needs it makes it again; if none does: exp gc",
            )


def of_step_cache(home: Home) -> Iterator[Check]:
    """The results of tasks with `cache` that the home keeps, and whether later tasks can have them."""
    from nemorun_cli.storage.step_cache.content_digests import ContentDigests  # noqa: PLC0415 - only for the doctor
    from nemorun_cli.storage.step_cache.entries import StepCache, UnreadableEntryError  # noqa: PLC0415 - the same

    cache, count = StepCache(home, ContentDigests(None).of), 0
    try:
        if not home.step_cache_entries.is_dir():
            return
        names = sorted(cache.ids())
    except OSError as error:
        yield Check(
            subject="cache",
            state="trouble",
            message=f"{home.step_cache_entries} cannot be read: {error.strerror}",
            remedy="change its owner to you, or set NEMORUN_HOME to a folder of yours",
        )
        return
    for name in names:
        try:
            entry = cache.read(name)
            altered = cache.altered(entry) if entry is not None else None
        except UnreadableEntryError as error:
            yield Check(
                subject="cache",
                state="warning",
                message=str(error),
                remedy="remove this file",
            )
            continue
        count += 1
        if entry is not None and altered is not None:
            yield Check(
                subject="cache",
                state="warning",
                message=f"the result of {origin_text(entry.origin)} is void: {altered} was changed",
                remedy="the next run of the task replaces it",
            )
    size = size_text(trees.size(home.step_cache))
    text = f"{count} result{'' if count == 1 else 's'} of tasks with `cache`, {size}"
    yield Check(subject="cache", state="well", message=text)


def of_machine() -> Check:
    """The local capacity for tasks that request resources."""
    from nemorun_cli.system import hardware  # noqa: PLC0415 - only for the doctor, and for tasks with resources

    machine = hardware.find({}, with_gpus=True)
    memory = f", {size_text(machine.memory)} of memory" if machine.memory else ""
    text = f"{cpus_text(machine.cpus or 0)}{memory}, {gpus_text(len(machine.gpus))} ({machine.origin})"
    return Check(subject="machine", state="well", message=text)


def of_session() -> Check:
    """Whether a detached experiment survives the logout."""
    danger = login_session.danger()
    if danger is None:
        return Check(subject="session", state="well", message="detached processes survive a logout")
    return Check(subject="session", state="warning", message=danger.message, remedy=danger.remedy)


def of_unreadable(subject: str, error: ExpError) -> Check:
    """An experiment that cannot be read."""
    remedy = error.hint or "check it with: exp fsck"
    return Check(subject=subject, state="trouble", message=error.message, remedy=remedy)


def of_experiment(snapshot: Snapshot) -> Check:
    """Whether an unfinished experiment has a supervisor."""
    experiment_id = snapshot.files.id
    subject = f"experiment {experiment_id}"
    where = f"pid {snapshot.holder.pid} on {snapshot.holder.host}" if snapshot.holder else "none yet"
    if snapshot.is_over:
        return Check(subject=subject, state="well", message=f"finished: {snapshot.status}")
    if snapshot.supervisor == "gone":
        rest = f"; {snapshot.live} of its tasks continue without it" if snapshot.live else ""
        return Check(
            subject=subject,
            state="warning",
            message=f"its supervisor has terminated ({where}){rest}",
            remedy=f"continue it: exp resume {experiment_id}",
        )
    if snapshot.supervisor == "elsewhere":
        return Check(
            subject=subject,
            state="warning",
            message=f"its supervisor is on another host ({where}), which cannot be queried from this one",
            remedy=f"query it there; if that host is lost: exp resume {experiment_id} --host-is-gone",
        )
    if snapshot.stall_text:
        return Check(
            subject=subject, state="warning", message=snapshot.stall_text, remedy=snapshot.stall_remedy
        )
    if snapshot.problem is not None:
        return Check(
            subject=subject,
            state="warning",
            message=f"its supervisor ({where}) starts and records nothing: {snapshot.problem}",
            remedy="make that possible, such as by freeing space; it tries again every few seconds",
        )
    return Check(subject=subject, state="well", message=f"{snapshot.status}, supervised ({where})")
