"""What a packager is, and where the core finds one by the name of its type.

A packager says which files are shipped to where tasks run; copying and recording them is the core's.
A new one is added by its file and a line in `REGISTRY`, or by a package of its own that names its
class under the entry-point group `nemorun_cli.packagers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.packagers.content import Content

NONE: Final = "none"  # the packager of who ships nothing
HYBRID: Final = "hybrid"  # the one that is made of others

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
    """What chooses the files; made with its options, checked against `options_schema`, without `type`."""

    options_schema: ClassVar[Mapping[str, Any]]

    def __init__(self, options: Mapping[str, Any]) -> None: ...

    def look(self, folder: Path, *, scratch: Path) -> Content:
        """What would be shipped for a spec of this folder.

        Nothing is written but into `scratch`, an empty folder that is gone soon.

        Raises:
            PackagerError: something forbids it; the message names that and the remedy.
        """
        ...


def normal(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """The options that a spec gives for a packager, with the `type`: a name is short for a mapping."""
    return {"type": value} if isinstance(value, str) else dict(value)


def make(value: str | Mapping[str, Any]) -> Packager:
    """The packager that a spec describes."""
    options = normal(value)
    packager: Packager = REGISTRY.find(options.pop("type"))(options)
    return packager
