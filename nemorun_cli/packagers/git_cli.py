"""Questions to git about a working tree; none of them writes anything into it or into its repository."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers.content import PackagerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE: Final = 120.0  # seconds that git may take for an answer
GITLINK: Final = "160000"  # the mode under which an index holds a submodule

# Nothing that the repository itself names is run to answer, and what git would cache stays unwritten.
_QUIETLY: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.splitIndex=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "color.ui=false"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree by a folder in it; `index` stands in for its own."""

    folder: Path
    index: Path | None = None
    _environment: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # A hook's variables would lead to another repository than the folder's own.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        if self.index is not None:
            environment["GIT_INDEX_FILE"] = str(self.index)
        object.__setattr__(self, "_environment", environment)

    def ask(self, *arguments: str) -> bytes:
        """What git answers.

        Raises:
            PackagerError: git is absent, refuses, or does not end.
        """
        try:
            done = subprocess.run(
                ["git", *_QUIETLY, *arguments],  # noqa: S607 - the user's own git, as PATH finds it
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
                f"git {arguments[0]} did not end within {PATIENCE:g} s in {self.folder}"
            ) from None
        if done.returncode:
            raise _refusal(self.folder, done.stderr.decode(errors="replace").strip())
        return done.stdout

    def lines(self, *arguments: str) -> list[str]:
        """The records of an answer that was asked for with `-z`."""
        return [os.fsdecode(record) for record in self.ask(*arguments).split(b"\0") if record]

    def text(self, *arguments: str) -> str | None:
        """An answer of one line; None where git says no."""
        try:
            return os.fsdecode(self.ask(*arguments)).removesuffix("\n")
        except PackagerError:
            return None


def _refusal(folder: Path, said: str) -> PackagerError:
    """What git refuses, in words that help."""
    message, *rest = said.removeprefix("fatal: ").splitlines() or ["git failed and did not say why"]
    if "not a git repository" in message:
        return PackagerError(
            f"{folder} is in no git repository", hint="git init, or use the packager pattern"
        )
    hint = next((line.strip() for line in rest if "git config" in line), None)
    return PackagerError(f"git: {message} (in {folder})", hint=hint)
