"""The packager protocol, and the registry that finds a packager class by its type.

A packager selects the files that are shipped with the tasks; the core copies and records them. To add one,
write the module and add a line to `REGISTRY`, or register the class of another package under the
entry-point group `nemorun_cli.packagers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.packagers.content import Content

NONE: Final = "none"  # the packager that ships nothing
HYBRID: Final = "hybrid"  # the packager that combines others

REGISTRY: Final = Registry(
    kind="packager",
    group="nemorun_cli.packagers",
    built_in={
        "git": "nemorun_cli.packagers.git:GitPackager",
        HYBRID: "nemorun_cli.packagers.hybrid:HybridPackager",
        "pattern": "nemorun_cli.packagers.pattern:PatternPackager",
        NONE: "nemorun_cli.packagers.none:NoPackager",
    },
)


class Packager(Protocol):
    """Selects files; created with its options without `type`, validated against `options_schema`."""

    options_schema: ClassVar[Mapping[str, Any]]

    def __init__(self, options: Mapping[str, Any]) -> None: ...

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """The content to ship for a spec in this folder.

        Writes only into `scratch`, an empty temporary folder.

        Raises:
            PackagerError: the files cannot be shipped; the message has the reason and the remedy.
        """
        ...


def normal(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """The options of a packager with their `type`; a name alone means a mapping with that type."""
    return {"type": value} if isinstance(value, str) else dict(value)


def make(value: str | Mapping[str, Any]) -> Packager:
    """The packager that a spec configures."""
    options = normal(value)
    packager: Packager = REGISTRY.find(options.pop("type"))(options)
    return packager
