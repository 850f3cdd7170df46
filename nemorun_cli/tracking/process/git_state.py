"""The code a program was started from: its commit, read from `.git`, and its changes, from `git diff`.

Reading `.git` takes a tenth of a millisecond, starting git takes ten. `git diff` therefore runs in the
background, bounded in time and size, and its output is kept only if it succeeds.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from nemorun_cli.system.files import read_bytes

LARGEST: Final = 1 << 26  # bytes of a file of git; some repositories have a million references
MAX_DIFF: Final = 10 * 1024  # kilobytes
MAX_SECONDS: Final = 20  # of processor time
_HEXADECIMAL: Final = frozenset("0123456789abcdef")

# $1: the target file of the changes; the rest: the command. It runs in the background, so that the
# program does not wait for it, and is not reached by the terminal's signals.
_TAKE: Final = f"""umask 077
( ulimit -t {MAX_SECONDS}; ulimit -f {MAX_DIFF * 2}
  target=$1; shift
  if "$@" >"$target.part" 2>/dev/null; then mv -f "$target.part" "$target"; else rm -f "$target.part"; fi
) </dev/null >/dev/null 2>&1 &
"""


class _Repository(NamedTuple):
    top: str  # the folder of the working files
    git: str  # the folder of HEAD
    common: str  # the folder of references; differs from `git` only in a linked working tree


def commit(folder: str | None) -> dict[str, str | None] | None:
    """The commit and branch checked out in the repository around a folder; None outside of git."""
    repository = _find(folder)
    if repository is None:
        return None
    head = _text(f"{repository.git}/HEAD")
    if head is None:
        return None
    if not head.startswith("ref: "):
        return {"folder": repository.top, "commit": head, "branch": None}
    reference = head.removeprefix("ref: ")
    return {
        "folder": repository.top,
        "commit": _resolve(repository, reference),
        "branch": reference.removeprefix("refs/heads/"),
    }


def _find(folder: str | None) -> _Repository | None:
    while folder:
        git = f"{folder}/.git"
        if os.path.isdir(git):
            return _Repository(folder, git, git)
        if os.path.isfile(git):  # a linked working tree or a submodule
            target = (_text(git) or "").removeprefix("gitdir: ")
            target = os.path.normpath(os.path.join(folder, target))
            common = _text(f"{target}/commondir")
            return _Repository(folder, target, os.path.join(target, common) if common else target)
        parent = os.path.dirname(folder)
        folder = parent if parent != folder else None
    return None


def _resolve(repository: _Repository, reference: str) -> str | None:
    """The commit of a reference, from its own file or the packed references."""
    if ".." in reference.split("/"):
        return None
    for folder in (repository.git, repository.common):
        commit = _text(f"{folder}/{reference}")
        if commit and set(commit) <= _HEXADECIMAL:
            return commit
    for line in (_text(f"{repository.common}/packed-refs") or "").splitlines():
        if line.endswith(f" {reference}"):
            return line.partition(" ")[0]
    return None


def _text(path: str) -> str | None:
    try:
        return read_bytes(path, limit=LARGEST).decode(errors="replace").strip()
    except OSError:
        return None


def take_diff(folder: str, target: str) -> None:
    """Start writing the uncommitted changes of tracked files to `target`, and return without waiting.

    External diff programs, text converters and file system monitors configured in the repository are not
    run.
    """
    command = (
        *("git", "-C", folder, "-c", "core.fsmonitor=false", "-c", "diff.autoRefreshIndex=false", "diff"),
        *("--no-ext-diff", "--no-textconv", "--no-color", "HEAD"),
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    shell = os.posix_spawn("/bin/sh", ("sh", "-c", _TAKE, "sh", target, *command), environment)
    os.waitpid(shell, 0)
