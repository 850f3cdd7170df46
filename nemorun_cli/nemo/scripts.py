"""`Script`: a script file, a module of Python or an inline text, with NeMo-Run's options and defaults."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import parts
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.named_fields import NamedFields

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHELL: Final = re.compile(r"^\w+=|[|&;<>()$`\\*?\[\]#~{}\n]")  # what may mean more to a shell than its text
_WORD: Final = re.compile(r"[^0-9a-zA-Z]+")
_NAMED: Final = 10  # characters of an inline text that name it


@dataclass
class Script(NamedFields):
    """A script: its path, or its text as `inline`, which runs as a file of the entrypoint.

    Args:
        path: the script; with `m` the name of a module. A text of several words that is no file is a command,
            `Script("python train.py --lr 0.1")`.
        inline: the text; all of it runs, also after a command that fails, unless it starts with `set -e`.
        args: the arguments; those of an inline text are its `$1`, `$2`, ….
        env: variables of the task.
        entrypoint: the program that runs it.
        m: whether a Python entrypoint gets the path as a module, by its option `-m`.
        metadata: NeMo-Run knows one key, `use_with_ray_cluster`, which is refused.

    Raises:
        UsageError: there is neither a path nor an inline text, or there are both; or the options contradict,
            or are misspelt, also when one is set later.
    """

    path: str = ""
    inline: str = ""
    args: list[Any] = field(default_factory=list)
    env: dict[str, Any] = field(default_factory=dict)
    entrypoint: str = "bash"
    m: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path:
            self.path = os.fspath(self.path)
        self._require_consistent()

    def translated(self) -> parts.Script | parts.Command:
        """The task for a `Builder`; raises UsageError if it was changed to what does not fit together."""
        self._require_consistent()
        if self.inline:
            return parts.Script(inline=self.inline, args=self.args, env=self.env, entrypoint=self.entrypoint)
        if self.m:
            return self._by_entrypoint("-m")
        if self._is_command():
            return self._command()
        if Path(self.path).is_absolute() and not _exists(self.path):  # of the container or the cluster
            return self._by_entrypoint()
        return parts.Script(self.path, args=self.args, env=self.env, entrypoint=self.entrypoint)

    def default_name(self) -> str:
        """The default name of the task: the name of the file or of the program, or how the text begins."""
        if self.inline:
            return _WORD.sub("_", self.inline.strip()[:_NAMED])
        return Path(_words(self.path)[0] if self._is_command() else self.path).name

    def _by_entrypoint(self, *options: str) -> parts.Command:
        return parts.Command([*shlex.split(self.entrypoint), *options, self.path, *self.args], env=self.env)

    def _is_command(self) -> bool:
        return not self.m and len(_words(self.path)) > 1 and not _exists(self.path)

    def _command(self) -> parts.Script | parts.Command:
        """The task for a path of several words: a file with its arguments, or a command."""
        first, *rest = _words(self.path)
        if _exists(first):
            return parts.Script(first, args=[*rest, *self.args], env=self.env, entrypoint=self.entrypoint)
        if not _SHELL.search(self.path):
            return parts.Command([first, *rest, *self.args], env=self.env)
        text = f'{self.path} "$@"' if self.args else self.path
        return parts.Script(inline=text, args=self.args, env=self.env, entrypoint=self.entrypoint)

    def _require_consistent(self) -> None:
        if bool(self.path) == bool(self.inline):
            problem = "both a path and an inline text" if self.path else "neither a path nor an inline text"
            raise UsageError(f"a Script has {problem}", hint='Script("train.sh"), or Script(inline="echo a")')
        if not self.entrypoint:
            raise UsageError("the entrypoint of a Script is empty", hint='entrypoint="bash"')
        if self.m and (self.inline or "python" not in self.entrypoint):
            raise UsageError(
                "m=True runs a module with Python",
                hint='Script("package.module", m=True, entrypoint="python")',
            )
        if self.metadata.get("use_with_ray_cluster"):
            raise UsageError(
                "metadata use_with_ray_cluster: exp starts no Ray cluster",
                hint="run `ray start` in the script, or use an existing cluster with `ray job submit`",
            )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text) or [text]
    except ValueError:  # an open quote
        return text.split() or [text]


def _exists(path: str) -> bool:
    return any((folder / path).exists() for folder in _folders())


def _folders() -> Iterator[Path]:
    """The folders that a relative path may be relative to: the program's, and the working folder."""
    yield Path.cwd()
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    if program:
        yield Path(program).absolute().parent
