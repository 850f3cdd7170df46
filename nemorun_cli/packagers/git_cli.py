"""Runs read-only git commands in a working tree; none writes into it or into its repository."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers.content import PackagerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE: Final = 120.0  # seconds that a git command may take
GITLINK: Final = "160000"  # the mode of a submodule in an index

# Git must not run programs that the repository configures, and must not write its caches.
_QUIETLY: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.splitIndex=false"),
    *("-c", "diff.autoRefreshIndex=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "color.ui=false"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree, identified by a folder in it; `index` replaces its own index."""

    folder: Path
    index: Path | None = None
    _environment: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Variables set by a git hook would select another repository.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        if self.index is not None:
            environment["GIT_INDEX_FILE"] = str(self.index)
        object.__setattr__(self, "_environment", environment)

    def ask(self, *arguments: str) -> bytes:
        """Run a git command and return its output.

        Raises:
            PackagerError: git is missing, fails or times out.
        """
        try:
            done = subprocess.run(
                ["git", *_QUIETLY, *arguments],  # noqa: S607 - the user's git on the PATH
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=PATIENCE,
            )
        except FileNotFoundError:
            raise PackagerError("there is no program 'git' on the PATH", hint="install git") from None
        except subprocess.TimeoutExpired:
            raise PackagerError(
                f"git {arguments[0]} did not finish within {PATIENCE:g} s in {self.folder}"
            ) from None
        if done.returncode:
            raise _failure(self.folder, done.stderr.decode(errors="replace").strip())
        return done.stdout

    def lines(self, *arguments: str) -> list[str]:
        """The records in the output of a command with `-z`."""
        return [os.fsdecode(record) for record in self.ask(*arguments).split(b"\0") if record]

    def text(self, *arguments: str) -> str | None:
        """The output as one line; None if git fails."""
        try:
            return os.fsdecode(self.ask(*arguments)).removesuffix("\n")
        except PackagerError:
            return None


def _failure(folder: Path, output: str) -> PackagerError:
    """The error for a failed git command, with a hint if one is known."""
    message, *rest = output.removeprefix("fatal: ").splitlines() or ["git failed without a message"]
    if "not a git repository" in message:
        return PackagerError(
            f"{folder} is in no git repository", hint="git init, or use the packager pattern"
        )
    hint = next((line.strip() for line in rest if "git config" in line), None)
    return PackagerError(f"git: {message} (in {folder})", hint=hint)
