"""The packager that ships nothing: tasks use the code in its original folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.packagers.content import Content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class NoPackager:
    """Ships nothing."""

    options_schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}

    def __init__(self, options: Mapping[str, Any]) -> None:
        del options

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """An empty content."""
        del folder, scratch
        return Content(entries=(), root=None, place=None)
