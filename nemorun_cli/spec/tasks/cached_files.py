"""What tasks with `cache` run and read, as far as their texts name it: what is not declared, or not there."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.problems import Finding
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.spec.tasks import callables
from nemorun_cli.storage.step_cache import declared_files
from nemorun_cli.storage.step_cache.declared_files import SHARED, Folders, Glob, UnreadableFolderError
from nemorun_cli.system.files import open_to_read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Task

LARGEST_TEXT: Final = 1 << 20  # bytes of a script that is searched for the programs it names
MOST_WORDS: Final = 2_000  # words of a text that are looked up as files
_CODE: Final = frozenset(  # endings of programs: a text that names such a file most likely runs it
    (
        *(".py", ".ipynb", ".sh", ".bash", ".zsh", ".awk", ".sed", ".R", ".r"),
        *(".jl", ".pl", ".rb", ".js", ".mjs", ".ts", ".lua"),
    )
)
_WORD: Final = re.compile(r"[^\s'\"`;|&()<>=${}\\,]+")
_MODULE: Final = re.compile(r"(?:^|[/\s;&|(])python[0-9.]*\s+(?:-\S+\s+)*-m\s+([A-Za-z_][\w.]*)")
_OF_OTHERS: Final = ("site-packages", "dist-packages")  # parts of paths of installed modules
_NOWHERE: Final = Path("/nonexistent")  # where nothing is searched


class CachedFiles:
    """Looks files up once for all tasks of a spec: a sweep may have ten thousand members."""

    def __init__(self) -> None:
        self._programs: dict[tuple[str, str], bool] = {}  # by workdir and word
        self._searches: dict[tuple[str, str], str | None] = {}  # by workdir and glob: what is wrong with it
        self._texts: dict[str, str] = {}  # of scripts, by path

    def unmatched(self, task: Task, place: Place) -> Iterator[Finding]:
        """The globs of inputs that match nothing, where no task runs before that could make a match."""
        if task.cache is None or task.dependencies or task.external or task.packager is not None:
            return
        for text in task.cache.inputs:
            if OPENING in text:
                continue
            if Glob.of(text).start == SHARED:
                message = f"no task runs before {task.id} that could write {text}"
                hint = "add the task that writes it to dependencies"
                yield Finding(place=(*place, "inputs"), message=message, hint=hint)
            elif (fault := self._searched(task.workdir, text)) is not None:
                hint = "* stays within a folder and ** does not: data/**/*.csv"
                yield Finding(place=(*place, "inputs"), message=fault, hint=hint)

    def _searched(self, workdir: str, text: str) -> str | None:
        """What is wrong with a glob; None if a file matches it."""
        if (workdir, text) not in self._searches:
            folders = Folders(Path(workdir), _NOWHERE)
            try:
                has_match = any(True for _ in declared_files.files(text, folders))
                message = f"no file in {Glob.of(text).root(folders)} matches {Glob.of(text).rest}"
            except UnreadableFolderError as fault:
                has_match, message = False, str(fault)
            self._searches[workdir, text] = None if has_match else message
        return self._searches[workdir, text]

    def undeclared(self, task: Task, place: Place) -> Iterator[Finding]:
        """The programs of its folder that a task runs and nothing declares: a change would go unnoticed."""
        if task.cache is None or task.packager is not None:
            return
        declared = [glob for glob in (*task.cache.inputs, *task.cache.outputs) if OPENING not in glob]
        missing = [
            name
            for name in dict.fromkeys(self._named_programs(task))
            if not any(declared_files.matches(name, glob) for glob in declared)
        ]
        if missing:
            message = f"the task runs {', '.join(missing)}, whose changes would go unnoticed"
            hint = f"add it to inputs: cache: {{inputs: [{', '.join(missing)}]}}; or ship it with a packager"
            yield Finding(place=place, message=message, hint=hint)

    def _named_programs(self, task: Task) -> Iterator[str]:
        """The files of the workdir that a task seems to run, by its text alone."""
        if task.kind == "partial":
            return
        words = [str(word) for word in (*(task.body if isinstance(task.body, tuple) else ()), *task.args)]
        text = " ".join(words)
        if isinstance(task.body, str):
            text += "\n" + _without_comments(task.body if task.kind == "inline" else self._text(task.body))
        for word in itertools.islice(dict.fromkeys(_WORD.findall(text)), MOST_WORDS):
            if self._is_program(task.workdir, word):
                yield os.path.normpath(word)
        for module in _MODULE.findall(text):
            path = module.replace(".", "/")
            for name in (f"{path}.py", f"{path}/__main__.py"):
                if self._is_program(task.workdir, name):
                    yield name

    def _text(self, path: str) -> str:
        """The text of a script, which is reported elsewhere if it cannot be read."""
        if path not in self._texts:
            try:
                with open_to_read(Path(path)) as file:
                    self._texts[path] = file.read(LARGEST_TEXT).decode(errors="replace")
            except OSError:
                self._texts[path] = ""
        return self._texts[path]

    def _is_program(self, workdir: str, word: str) -> bool:
        key = (workdir, word)
        if key not in self._programs:
            self._programs[key] = _is_program(Path(workdir), word)
        return self._programs[key]


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _is_program(workdir: Path, word: str) -> bool:
    if word.startswith(("-", "~")) or OPENING in word:
        return False
    is_code = Path(word).suffix in _CODE
    try:
        path = workdir / word
        if not (is_code or ("/" in word and not word.startswith("/"))) or not path.is_file():
            return False
        return is_code or os.access(path, os.X_OK)
    except (OSError, ValueError):  # no path
        return False


def modules(task: Task, folder: Path, folders: tuple[str, ...], names: Iterable[str]) -> Iterator[str]:
    """The globs of the modules that a partial names, except installed ones and those that are shipped.

    Args:
        task: the partial.
        folder: the folder of the spec.
        folders: where its interpreter finds modules.
        names: of its callables.
    """
    for name in names:
        path = callables.module_file(name, folders)
        if path is None or any(part in _OF_OTHERS for part in path.parts):
            continue
        if not any(path.is_relative_to(own) for own in (folder, task.workdir)):
            if not path.is_relative_to(callables.STANDARD_LIBRARY):
                yield declared_files.escaped(str(path))
        elif task.packager is None:
            yield declared_files.escaped(os.path.relpath(path, task.workdir))
