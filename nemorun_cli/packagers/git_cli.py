"""Runs read-only git commands in a working tree; none writes into it or into its repository."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers.content import PackagerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE: Final = 120.0  # seconds that a git command may take

# Git must not run programs except the user's own filters, and must not write its caches. A relative
# core.hooksPath of the user would be a folder of the repository.
_QUIETLY: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.splitIndex=false"),
    *("-c", "diff.autoRefreshIndex=false"),
    *("-c", "submodule.recurse=false"),
    *("-c", "lfs.url=file:///dev/null/none"),  # has precedence over the address in .lfsconfig
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "core.quotePath=false"),
    *("-c", "color.ui=false"),
)
# Other variables that a git hook sets would select another repository.
_USERS_CONFIGURATION: Final = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_OFFLINE: Final = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LFS_SKIP_DOWNLOAD_ERRORS": "1",  # a pointer stays as it is if its file is not in the repository
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def run(folder: Path, *arguments: str, variables: Mapping[str, str]) -> bytes:
    """The output of a git command in a folder; `variables` are added to its environment.

    Raises:
        PackagerError: git is missing, fails or times out.
    """
    try:
        done = subprocess.run(
            ["git", *_QUIETLY, *arguments],  # noqa: S607 - the user's git on the PATH
            cwd=folder,
            env={**_environment(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
    except FileNotFoundError:
        raise PackagerError("there is no program 'git' on the PATH", hint="install git") from None
    except subprocess.TimeoutExpired:
        raise PackagerError(f"git {arguments[0]} did not finish within {PATIENCE:g} s in {folder}") from None
    if done.returncode:
        raise _failure(folder, done.stderr.decode(errors="replace").strip())
    return done.stdout


def records(output: bytes) -> list[str]:
    """The records in the output of a command with `-z`."""
    return [os.fsdecode(record) for record in output.split(b"\0") if record]


def line(output: bytes) -> str:
    """The output as one line, which may be a path with line breaks."""
    return os.fsdecode(output).removesuffix("\n")


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _USERS_CONFIGURATION
    }
    return {**kept, **_OFFLINE}


def _failure(folder: Path, output: str) -> PackagerError:
    """The error for a failed git command, with a hint if one is known."""
    message, *rest = output.removeprefix("fatal: ").splitlines() or ["git failed without a message"]
    if "not a git repository" in message or "cannot use bare repository" in message:
        return no_repository(folder)
    if "show-scope" in message:
        return PackagerError("the packager git needs git 2.26 or later", hint="use the packager pattern")
    hint = next((line.strip() for line in rest if "git config" in line), None)
    return PackagerError(f"git: {message} (in {folder})", hint=hint)


def no_repository(folder: Path) -> PackagerError:
    """The error for a folder that is not in the working tree of a repository."""
    return PackagerError(f"{folder} is in no git repository", hint="git init, or use the packager pattern")
