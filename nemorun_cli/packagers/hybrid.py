"""Combines the contents of several packagers, each in its own folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli import packagers
from nemorun_cli.model import globs
from nemorun_cli.packagers.content import Content, Entry, PackagerError, checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PART: Final = {
    "title": "a packager's name, or a mapping with its type and options",
    "type": ["string", "object"],
    "format": "packager",
}


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
                    "title": "a packager's name, a mapping with its type and options, or a list of these",
                    "anyOf": [_PART, {"type": "array", "minItems": 1, "items": _PART}],
                },
            },
            "start": {
                "description": "The folder of the content in which tasks run that have the spec's workdir.",
                **globs.FOLDER,
            },
        },
    }

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._parts = [
            ("/".join(globs.names(target)), packagers.make(part))
            for target, listed in options["parts"].items()
            for part in (listed if isinstance(listed, list) else [listed])
        ]
        self._start: str | None = options.get("start")

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """The contents of all parts; later parts replace files of earlier ones.

        Raises:
            PackagerError: a part cannot be shipped.
        """
        contents = [(target, part.look(folder, scratch=scratch)) for target, part in self._parts]
        entries: list[Entry] = []
        for target, content in contents:
            lead = f"{target}/" if target else ""
            entries += [replace(entry, path=lead + entry.path) for entry in content.entries]
        start = None if self._start is None else "/".join(globs.names(self._start)) or "."
        if start not in (None, ".") and not any(entry.path.startswith(f"{start}/") for entry in entries):
            raise PackagerError(f"start: no part ships a folder {start}", hint="name the folder of a part")
        parts = _by_name(contents)
        first = (None, contents[0][1])
        home, content = next((found for found in contents if found[1].place is not None), first)
        return Content(
            entries=checked(entries, what="hybrid"),
            root=content.root if home == "" else None,
            place=None if home is None else str(Path(home, content.place or ".")),
            start=start,
            facts={"parts": {name: part.facts for name, part in parts.items()}},
            summary="; ".join(f"{name}: {part.summary}" for name, part in parts.items() if part.summary),
            left_out=tuple(dict.fromkeys(text for part in parts.values() for text in part.left_out)),
            diff=b"".join(part.diff for part in parts.values()),
        )


def _by_name(contents: Iterable[tuple[str, Content]]) -> dict[str, Content]:
    """The contents by their folders; those after the first one of a folder have a number, too."""
    parts: dict[str, Content] = {}
    for target, content in contents:
        name, number = target or ".", 2
        while name in parts:
            name, number = f"{target or '.'} ({number})", number + 1
        parts[name] = content
    return parts
