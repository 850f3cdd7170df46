"""Combines the contents of several packagers, each in its own folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli import packagers
from nemorun_cli.packagers import globs
from nemorun_cli.packagers.content import Content, Entry, checked

if TYPE_CHECKING:
    from collections.abc import Mapping


class HybridPackager:
    """Ships the contents of several packagers as one."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["parts"],
        "properties": {
            "parts": {
                "description": "Packagers by the target folder of their contents; . is the root.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": globs.FOLDER,
                "additionalProperties": {
                    "title": "a packager's name, or a mapping with its type and options",
                    "type": ["string", "object"],
                },
            },
        },
    }

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._parts = {
            "/".join(globs.names(target)): packagers.make(part) for target, part in options["parts"].items()
        }

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """The contents of all parts; later parts replace files of earlier ones.

        Raises:
            PackagerError: a part cannot be shipped.
        """
        contents = {target: part.look(folder, scratch=scratch) for target, part in self._parts.items()}
        entries: list[Entry] = []
        for target, content in contents.items():
            lead = f"{target}/" if target else ""
            entries += [replace(entry, path=lead + entry.path) for entry in content.entries]
        parts = {target or ".": content for target, content in contents.items()}
        home = next((target for target, content in contents.items() if content.place is not None), None)
        content = contents[next(iter(contents)) if home is None else home]
        return Content(
            entries=checked(entries, what="hybrid"),
            root=content.root if home == "" else None,
            place=None if home is None else str(Path(home, content.place or ".")),
            facts={"parts": {name: part.facts for name, part in parts.items()}},
            summary="; ".join(f"{name}: {part.summary}" for name, part in parts.items() if part.summary),
            left_out=tuple(dict.fromkeys(text for part in parts.values() for text in part.left_out)),
            diff=b"".join(part.diff for part in parts.values()),
        )
