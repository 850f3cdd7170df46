"""Marks experiments as created by their home; a copied or unpacked folder has no valid mark.

It is a keyed hash of the experiment's id, its executors with their options and the sources of its secrets,
under a key of the home. The network and the backends are asked, and files of secrets are read, only for
experiments with a valid mark. Experiments that began before there were marks have none: owner, host
and age decide.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.system import files as private
from nemorun_cli.system import owners

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.system.locks import Holder

NOT_OBSERVED: Final = "not observed: it was not created by this home (--observe)"
LOCAL: Final = "local"  # the executor type that asks only this machine's processes and the experiment's files
KEY_SIZE: Final = 32  # bytes
MARK_SIZE: Final = 64  # hexadecimal digits
MOST_MARKS: Final = 1000  # of one experiment: a revision of its spec may have other executors


def backends(spec: Spec) -> dict[str, str]:
    """The types of the executors, by their names in the spec, that ask something other than this machine."""
    names = dict.fromkeys(task.executor for task in spec.possible_tasks)
    types = {name: str(spec.executors.get(name, {}).get("type", name)) for name in names}
    return {name: kind for name, kind in types.items() if kind != LOCAL}


def write(home: Home, files: ExperimentFiles, spec: Spec) -> None:
    """Mark an experiment that this home creates or resumes, with its executors; earlier marks stay valid."""
    with contextlib.suppress(OSError):  # a read-only or full disk: it is not observed without being asked
        if (key := _key(home)) is None:
            return
        mark = _mark(key, files.id, spec, files.directory)
        if mark not in (marks := _marks(files)):
            private.write_whole(files.mark, "".join(f"{line}\n" for line in [*marks, mark]).encode())


def is_own(home: Home, files: ExperimentFiles, spec: Spec, supervisor: Holder | None) -> bool:
    """Whether this home created or resumed an experiment, so that its backends may be asked about it.

    Args:
        home: which the experiment is in.
        files: of the experiment.
        spec: which it runs.
        supervisor: the last one that its ledger names.
    """
    try:
        key = _key(home)
        if not os.path.lexists(files.mark):
            return _is_older(home, files, supervisor)
        return key is not None and _mark(key, files.id, spec, files.directory) in _marks(files)
    except OSError:
        return False


def _is_older(home: Home, files: ExperimentFiles, supervisor: Holder | None) -> bool:
    """Whether an experiment without a mark was created here before homes had keys.

    The kernel sets the times that are compared: an unpacked file cannot have one of the past.
    """
    if supervisor is None or not supervisor.is_this_host:
        return False
    resolved = files.resolved.stat()
    if resolved.st_uid not in owners.trusted():
        return False
    keys = [path.stat().st_ctime_ns for path in _key_paths(home) if path.exists()]
    return not keys or resolved.st_ctime_ns <= min(keys)


def key_of(home: Home) -> bytes | None:
    """The key of a home, made if it is missing; None if it cannot be read or made."""
    try:
        return _key(home)
    except OSError:
        return None


def _mark(key: bytes, experiment_id: str, spec: Spec, folder: Path) -> str:
    """The keyed hash of what may be asked and read for an experiment; the same wherever its home is."""
    try:
        from _blake2 import blake2b  # noqa: PLC0415 - `hashlib` would load OpenSSL, for 3 ms of each `exp run`
    except ImportError:
        from hashlib import blake2b  # noqa: PLC0415 - the same

    names = sorted({*spec.executors, *(task.executor for task in spec.possible_tasks)})
    used = {name: spec.executors.get(name, {"type": name}) for name in names}
    text = json.dumps([experiment_id, used, spec.secrets, spec.folder], sort_keys=True).replace(
        json.dumps(str(folder))[1:-1], ""
    )
    return blake2b(text.encode(), key=key, digest_size=MARK_SIZE // 2).hexdigest()


def _marks(files: ExperimentFiles) -> list[str]:
    try:
        with private.open_to_read(files.mark) as stream:
            text = stream.read((MARK_SIZE + 1) * MOST_MARKS).decode("ascii", errors="replace")
    except FileNotFoundError:
        return []
    return text.split()


def _key_paths(home: Home) -> tuple[Path, Path]:
    """The key of the home, and that of this user, for a home whose key is another user's."""
    return home.key, home.user_key(os.geteuid())


def _key(home: Home) -> bytes | None:
    """The key under which this user's experiments are marked, made if it is missing; None if it cannot be.

    A server's copies have none: no experiment is created there.
    """
    if home.is_replica:
        return None
    for path in _key_paths(home):
        with contextlib.suppress(PermissionError):
            if (key := _read_key(path)) is not None:
                return key
            if path != home.key or owners.is_own(home.directory):
                return _make_key(path)
    return None


def _read_key(path: Path) -> bytes | None:
    """The key in a file of this user, or of another trusted owner; None if there is no such file."""
    try:
        descriptor = private.descriptor_to_read(path)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(descriptor)
        if status.st_uid not in owners.trusted():
            raise PermissionError  # what another user made is no secret from them
        if status.st_mode & 0o077 and status.st_uid == os.geteuid():
            os.fchmod(descriptor, private.FILE_MODE)
        if len(key := os.read(descriptor, KEY_SIZE)) < KEY_SIZE:
            raise PermissionError  # cut short by a crash of the machine: another key is made
        return key
    finally:
        os.close(descriptor)


def _make_key(path: Path) -> bytes | None:
    """A new key, or the one that another process has made meanwhile; None if the home does not exist."""
    temporary = path.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        private.write_whole(temporary, os.urandom(KEY_SIZE))
    except OSError:
        return None
    try:
        os.link(temporary, path)  # unlike a renaming, it replaces no key
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return _read_key(path)
