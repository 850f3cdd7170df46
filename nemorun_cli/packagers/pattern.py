"""Files that globs name, without git."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.packagers import globs
from nemorun_cli.packagers.content import Content, Entry, PackagerError, checked, entry_of, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALWAYS_OUT: Final = ".git"  # never shipped: a repository is no content


class PatternPackager:
    """Ships what `include` names and `exclude` does not."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["include"],
        "properties": {
            "include": {
                "description": "Globs of what is shipped; each has to fit something.",
                **globs.LIST,
                "minItems": 1,
            },
            "exclude": {"description": "Globs of what is not shipped after all.", **globs.LIST},
            "root": {
                "description": "The folder that globs begin at, relative to the spec's folder.",
                "title": "a path",
                "type": "string",
                "minLength": 1,
                "default": ".",
            },
        },
    }

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._include: list[str] = list(options["include"])
        self._exclude = [globs.compiled(pattern) for pattern in options.get("exclude", ())]
        self._root: str = options.get("root", ".")

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """The files that fit.

        Raises:
            PackagerError: a glob fits nothing, or a folder cannot be looked into.
        """
        del scratch
        root = Path(os.path.normpath(folder / self._root))
        if not root.is_dir():
            raise PackagerError(f"root: there is no folder {root}")
        entries: list[Entry] = []
        left_out: list[str] = []
        fruitless = []
        for pattern in self._include:
            found = list(self._fitting(root, pattern))
            kept = [entry for entry in found if not self._is_excluded(entry.path)]
            left_out += [f"{entry.path} (excluded)" for entry in found if self._is_excluded(entry.path)]
            entries += kept
            if not found:
                fruitless.append(pattern)
        if fruitless:
            raise PackagerError(
                f"nothing in {root} fits {listed(fruitless)}",
                hint="* stays within a folder and ** does not: src/**/*.py",
            )
        if not entries:
            raise PackagerError(f"everything in {root} that include names is excluded")
        return Content(
            entries=checked(entries, what=f"pattern in {root}"),
            root=root,
            place=str(folder.relative_to(root)) if folder.is_relative_to(root) else None,
            facts={"include": self._include},
            left_out=tuple(dict.fromkeys(map(shown, left_out))),
        )

    def _is_excluded(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._exclude)

    def _fitting(self, root: Path, pattern: str) -> Iterator[Entry]:
        """The files that fit a glob, found without looking into folders where none can be."""
        begin = globs.literal(pattern)
        start = root / begin
        if begin and not start.parent.resolve().is_relative_to(root.resolve()):
            raise PackagerError(f"{pattern} leads out of {root} by a link", hint="name what it leads to")
        compiled = globs.compiled(pattern)
        for path in self._walk(root, begin) if start.is_dir() and not start.is_symlink() else [begin]:
            if compiled.fullmatch(path) and (entry := entry_of(root / path, path)) is not None:
                yield entry

    def _walk(self, root: Path, begin: str) -> Iterator[str]:
        """Every path below a folder that is no folder itself; links are not followed."""
        try:
            entries = sorted(os.scandir(root / begin), key=lambda entry: entry.name)
        except OSError as error:
            raise PackagerError(
                f"{root / begin} cannot be looked into: {error.strerror}",
                hint="make it readable, or exclude it",
            ) from error
        for entry in entries:
            path = f"{begin}/{entry.name}" if begin else entry.name
            if entry.name == ALWAYS_OUT:
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield path
            elif not self._is_excluded(path):
                yield from self._walk(root, path)
