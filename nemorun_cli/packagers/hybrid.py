"""What several packagers ship, each in a folder of its own."""

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
                "description": "Packagers by the folder that each one's content goes to; . is the root.",
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
        """The contents of all parts, later ones over earlier ones.

        Raises:
            PackagerError: as one of them does.
        """
        found = {target: part.look(folder, scratch=scratch) for target, part in self._parts.items()}
        entries: list[Entry] = []
        for target, content in found.items():
            lead = f"{target}/" if target else ""
            entries += [replace(entry, path=lead + entry.path) for entry in content.entries]
        targets = [target or "." for target in found]
        home = next((target for target, content in found.items() if content.place is not None), None)
        content = found[next(iter(found)) if home is None else home]
        return Content(
            entries=checked(entries, what="hybrid"),
            root=content.root if home == "" else None,
            place=None if home is None else str(Path(home, content.place or ".")),
            facts={"parts": {name: one.facts for name, one in zip(targets, found.values(), strict=True)}},
            told="; ".join(
                f"{name}: {one.told}" for name, one in zip(targets, found.values(), strict=True) if one.told
            ),
            left_out=tuple(dict.fromkeys(text for one in found.values() for text in one.left_out)),
            diff=b"".join(one.diff for one in found.values()),
        )
