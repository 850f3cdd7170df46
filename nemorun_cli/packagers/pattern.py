"""Ships the files that match globs, without git."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.model import globs
from nemorun_cli.packagers.content import Content, Entry, PackagerError, checked, entry_of, listed, shown
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALWAYS_OUT: Final = ".git"  # never shipped


class PatternPackager:
    """Ships the files that match `include` and not `exclude`."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["include"],
        "properties": {
            "include": {
                "description": "Globs of what is shipped; each must match a file.",
                **globs.LIST,
                "minItems": 1,
            },
            "exclude": {"description": "Globs of matching files that are not shipped.", **globs.LIST},
            "root": {
                "description": "The folder that globs are relative to, itself relative to the spec's folder.",
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
        """The matching files.

        Raises:
            PackagerError: a glob matches nothing, or a folder cannot be read.
        """
        del scratch
        root = Path(os.path.normpath(folder / expanded(self._root)))
        if not root.is_dir():
            raise PackagerError(f"root: there is no folder {root}")
        entries: list[Entry] = []
        left_out: list[str] = []
        unmatched = []
        for pattern in self._include:
            matches = list(self._matches(root, pattern))
            kept = [entry for entry in matches if not self._is_excluded(entry.path)]
            left_out += [f"{entry.path} (excluded)" for entry in matches if self._is_excluded(entry.path)]
            entries += kept
            if not matches:
                unmatched.append(pattern)
        if unmatched:
            raise PackagerError(
                f"nothing in {root} matches {listed(unmatched)}",
                hint="* stays within a folder and ** does not: src/**/*.py",
            )
        if not entries:
            raise PackagerError(f"all files in {root} that match include are excluded")
        return Content(
            entries=checked(entries, what=f"pattern in {root}"),
            root=root,
            place=str(folder.relative_to(root)) if folder.is_relative_to(root) else None,
            facts={"include": self._include},
            left_out=tuple(dict.fromkeys(map(shown, left_out))),
        )

    def _is_excluded(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._exclude)

    def _matches(self, root: Path, pattern: str) -> Iterator[Entry]:
        """The files that match a glob; reads only folders that can contain matches."""
        prefix = globs.literal(pattern)
        start = root / prefix
        if prefix and not start.parent.resolve().is_relative_to(root.resolve()):
            raise PackagerError(
                f"{pattern} points outside of {root} through a link", hint="name the link's target"
            )
        compiled = globs.compiled(pattern)
        for path in self._walk(root, prefix) if start.is_dir() and not start.is_symlink() else [prefix]:
            if compiled.fullmatch(path) and (entry := entry_of(root / path, path)) is not None:
                yield entry

    def _walk(self, root: Path, prefix: str) -> Iterator[str]:
        """Every path below a folder except folders; links are not followed."""
        found = [(prefix, True)]
        while found:
            path, is_folder = found.pop()
            if is_folder:
                found += reversed([*self._inner(root, path)])
            else:
                yield path

    def _inner(self, root: Path, prefix: str) -> Iterator[tuple[str, bool]]:
        """The paths in a folder, sorted, and whether each is a folder; not those that are excluded."""
        try:
            entries = sorted(os.scandir(root / prefix), key=lambda entry: entry.name)
        except OSError as error:
            raise PackagerError(
                f"{root / prefix} cannot be read: {error.strerror}",
                hint="make it readable, or exclude it",
            ) from error
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.name == ALWAYS_OUT:
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if not (is_folder and self._is_excluded(path)):
                yield path, is_folder
