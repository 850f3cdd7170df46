"""The environments in the home: one folder for each content, complete once it has its manifest.

An environment cannot be moved, because its programs name its path: so it is made in its place, and the
manifest is written last. The process that makes or removes it holds its lock, and so does the installer.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.python_environment import ID_PATTERN
from nemorun_cli.system import locks, trees
from nemorun_cli.system.files import descriptor_to_change, make_folder, read_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from nemorun_cli.storage.paths import Home

MANIFEST: Final = "exp-environment.json"  # in an environment's folder; it is complete if it has this
LARGEST: Final = 1 << 22  # bytes of a manifest
BUSY: Final = "it is being made"
CREATING: Final = "an experiment is being created"


def place(home: Home, environment: str) -> Path:
    """The folder of an environment, which need not exist."""
    return home.environments / environment


def lock_of(home: Home, environment: str) -> Path:
    """The file that is locked while an environment is made or removed."""
    return home.environments / f"{environment}.lock"


def log_of(home: Home, environment: str) -> Path:
    """What the installer printed when the environment was made last."""
    return home.environments / f"{environment}.log"


def manifest(home: Home, environment: str) -> dict[str, Any] | None:
    """What is known of an environment; None if it is not complete, was moved, or has lost its Python."""
    folder = place(home, environment)
    try:
        values = json.loads(read_bytes(folder / MANIFEST, limit=LARGEST, follows_link=False))
    except (OSError, ValueError, RecursionError):
        return None
    has_python = os.access(folder / "bin" / "python", os.X_OK)
    return values if isinstance(values, dict) and values.get("folder") == str(folder) and has_python else None


def complete(home: Home, environment: str, values: dict[str, Any]) -> None:
    """Write the manifest of an environment, once all of it has reached the disk."""
    os.sync()  # its files are many, and none was synced when the installer wrote it
    folder = place(home, environment)
    data = json.dumps({**values, "folder": str(folder)}).encode()
    write_whole(folder / MANIFEST, data, is_durable=True)


def clear(home: Home, environment: str) -> None:
    """Remove an environment, beginning with its manifest; its lock must be held."""
    folder = place(home, environment)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (folder / MANIFEST).unlink()
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        trees.remove(folder)


@contextlib.contextmanager
def used(home: Home) -> Iterator[None]:
    """A context in which no environment is removed, so that an experiment can start to refer to one."""
    make_folder(home.environments)
    with locks.sharing(home.environments_lock):
        yield


def ids(home: Home) -> list[str]:
    """The ids of the environments that have a folder, complete or not."""
    try:
        names = [path.name for path in home.environments.iterdir() if path.is_dir() and not path.is_symlink()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if re.match(ID_PATTERN, name))


def is_busy(home: Home, environment: str) -> bool:
    """Whether a process makes or removes an environment now."""
    return locks.is_held(lock_of(home, environment))


def discard(home: Home, environment: str, referred: Callable[[], Collection[str]]) -> str | None:
    """Remove an environment that no experiment refers to; returns why it stays, if it does.

    Args:
        home: that contains it.
        environment: its id.
        referred: returns the ids that experiments refer to, now that none is being created.
    """
    try:
        with none_created(home):
            if environment in referred():
                return "an experiment refers to it"
            lock = locks.take(lock_of(home, environment))
            if lock is None:
                return BUSY
            try:
                clear(home, environment)
                log_of(home, environment).unlink(missing_ok=True)
                lock_of(home, environment).unlink(missing_ok=True)
            finally:
                os.close(lock)
    except BlockingIOError:
        return CREATING
    return None


@contextlib.contextmanager
def none_created(home: Home) -> Iterator[None]:
    """A block in which no experiment is created that refers to an environment.

    Raises:
        BlockingIOError: one is being created.
    """
    make_folder(home.environments)
    creating = descriptor_to_change(home.environments_lock)
    try:
        fcntl.flock(creating, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(creating)
