"""The folder of a server's replicas, and the server's own files in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeVar

from nemorun_cli.errors import UsageError
from nemorun_cli.system import owners
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN: Final = ".server"
INCOMING: Final = "incoming"  # contents and files that are not complete yet
LOCKS: Final = "locks"
TRASH: Final = "trash"
_Used = TypeVar("_Used")


def prepare(root: Path) -> None:
    """Create the folder and those of the server in it.

    Raises:
        UsageError: it, or a folder of the server in it, belongs to another user, others may write to it, or
            it cannot be created.
    """
    try:
        make_folder(root)
        require_private(root)
        for part in (OWN, f"{OWN}/{INCOMING}", f"{OWN}/{LOCKS}", f"{OWN}/{TRASH}"):
            folder = root / part
            if folder.is_symlink():
                raise UsageError(
                    f"{folder} is a symbolic link, which a server does not use", hint=f"rm {folder}"
                )
            make_folder(folder)
            require_private(folder)
    except OSError as error:
        raise UsageError(f"{root} cannot hold replicas: {error.strerror}") from error


def used(folder: Path, use: Callable[[], _Used]) -> _Used:
    """What `use` returns in a folder of the server; one that was removed while it runs is created again."""
    try:
        return use()
    except FileNotFoundError:
        make_folder(folder)
        return use()


def require_private(folder: Path) -> None:
    """Refuse a folder in which another user could put, change or remove files.

    Raises:
        UsageError: another user owns it, or its group or everybody may write to it.
        OSError: it cannot be examined.
    """
    if (distrust := owners.distrust(folder)) is not None:
        raise UsageError(distrust.message, hint=distrust.remedy)
    if not owners.is_unshared(os.stat(folder), owners.trusted()):  # noqa: PTH116 - a plain stat
        raise UsageError(
            f"{folder} is not used: its group may change what users have sent", hint=f"chmod g-w {folder}"
        )
