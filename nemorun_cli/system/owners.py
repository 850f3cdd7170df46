"""Whose files `exp` uses: those of this user, of root, and of the owners that EXP_TRUST_OWNER lists.

Another owner could change what `exp` runs as this user, and so could everybody if all may write. The members
of a file's group may write: sharing with a group is a decision. Parents of a checked folder are not checked:
who can rename it can only put a folder of their own in its place, which is refused.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "EXP_TRUST_OWNER"
ROOT: Final = 0
UNMAPPED: Final = 65534  # the owner of files whose real owner has no uid here, and of those of nobody
_UID: Final = re.compile(r"[0-9]{1,10}")
_SHARED: Final = stat.S_IWGRP | stat.S_IWOTH


class Distrust(NamedTuple):
    """Why a file or folder is not used, and the remedy."""

    message: str
    remedy: str


def trusted() -> frozenset[int]:
    """The uids of the owners whose files are used.

    Raises:
        UsageError: EXP_TRUST_OWNER is not a list of uids.
    """
    return _trusted(os.geteuid(), os.environ.get(VARIABLE, ""))


@cache
def _trusted(own: int, listed: str) -> frozenset[int]:
    words = [word.strip() for word in listed.split(",") if word.strip()]
    if wrong := [word for word in words if not _UID.fullmatch(word)]:
        raise UsageError(
            f"{VARIABLE} contains {wrong[0][:40]!r}, which is not a uid",
            hint=f"list the numbers of users: {VARIABLE}=1000 or {VARIABLE}=1000,1001",
        )
    return frozenset([own, ROOT, *map(int, words)])


def is_trusted(status: os.stat_result, uids: frozenset[int]) -> bool:
    """Whether a file with this status is used, if these owners are trusted."""
    return status.st_uid in uids and not status.st_mode & stat.S_IWOTH


def is_unshared(status: os.stat_result, uids: frozenset[int]) -> bool:
    """Whether only these owners can create files in a folder with this status."""
    return status.st_uid in uids and not status.st_mode & _SHARED


def distrust(*paths: Path | str) -> Distrust | None:
    """Why one of these is not used; None if all that exist are trusted. Links are followed.

    Raises:
        OSError: one of them cannot be examined.
        UsageError: EXP_TRUST_OWNER is not a list of uids.
    """
    uids = trusted()
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - takes text, too
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not is_trusted(status, uids):
            return _reason(path, status, uids)
    return None


def is_own(path: Path | str) -> bool:
    """Whether a file belongs to this user, so that what is written next to it belongs to its owner."""
    return os.stat(path).st_uid == os.geteuid()  # noqa: PTH116 - takes text, too


def _reason(path: Path | str, status: os.stat_result, uids: frozenset[int]) -> Distrust:
    uid = status.st_uid
    if uid in uids:
        who, remedy = "everybody may write to it, and so", _remedy_of_mode(path, status)
    else:
        who, remedy = f"it belongs to {shown(uid)}, who could", _remedy_of_owner(uid, uids)
    return Distrust(f"{path} is not used: {who} change what exp runs as you", remedy)


def _remedy_of_owner(uid: int, uids: frozenset[int]) -> str:
    listed = ",".join(map(str, sorted({*uids, uid} - {ROOT, os.geteuid()})))
    if uid == UNMAPPED:
        return f"if a container or a network file system hides that it is yours: {VARIABLE}={listed}"
    if os.geteuid() != ROOT:
        return f"use it as its owner, or trust that owner with all that you can do: {VARIABLE}={listed}"
    name = name_of(uid) or f"'#{uid}'"
    return f"run exp as its owner: sudo -u {name} exp …; or trust that owner as root: {VARIABLE}={listed}"


def _remedy_of_mode(path: Path | str, status: os.stat_result) -> str:
    if status.st_mode & stat.S_ISVTX:  # such as /tmp, whose mode is right
        return "use a folder of yours inside of it"
    command = f"chmod o-w {shlex.quote(str(path))}"
    may_change = os.geteuid() in (ROOT, status.st_uid)
    return command if may_change else f"ask its owner, {shown(status.st_uid)}, for: {command}"


def shown(uid: int) -> str:
    """A user in a message."""
    name = name_of(uid)
    return f"{name} (uid {uid})" if name else f"uid {uid}"


def barrier(path: Path) -> Path:
    """The folder that keeps this user from a path: the first one from the top that may not be entered."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK):
            return folder
    return path


def name_of(uid: int) -> str | None:
    """The name of a user; None for a uid without an entry, as in some containers."""
    import pwd  # noqa: PLC0415 - only for messages

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def writing_group(status: os.stat_result) -> str | None:
    """The name or number of the group whose members may write to a file; None if no other user is in it."""
    if not status.st_mode & stat.S_IWGRP:
        return None
    import grp  # noqa: PLC0415 - only for the doctor

    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return f"gid {status.st_gid}"
    own = name_of(os.geteuid())
    is_private = group.gr_name == own and set(group.gr_mem) <= {own}
    return None if is_private else group.gr_name
