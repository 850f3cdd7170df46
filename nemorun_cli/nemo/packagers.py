"""NeMo-Run's packagers, translated to the `packager` of an executor and the `workdir` of its tasks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.field_rules import BY_ANOTHER, Change, Rules, Translated, WithoutMeaning, change, option
from nemorun_cli.nemo.named_fields import NamedFields

HEAD: Final = "HEAD"
ROOT: Final = "."  # the folder in which NeMo-Run starts tasks


class Shipped(NamedTuple):
    """What is shipped, as the options of a packager, and the folder that is its root on this machine.

    `packager` is None if nothing is shipped; `root` is None if the content comes from several folders.
    """

    packager: dict[str, Any] | None
    root: str | None = None


@dataclass(kw_only=True)
class Packager(NamedFields):
    """Ships nothing."""

    debug: bool = False
    symlink_from_remote_dir: str | None = None

    def change(self) -> Change:
        """What an executor and its tasks get: `packager`, and as `workdir` the root of the content."""
        if self.symlink_from_remote_dir is not None:  # code that is already there
            return Change(keys={"workdir": self.symlink_from_remote_dir})
        shipped = self.shipped()
        return Change(
            options={} if shipped.packager is None else {"packager": shipped.packager},
            keys={} if shipped.root is None else {"workdir": shipped.root},
        )

    def shipped(self) -> Shipped:
        """What is shipped."""
        return Shipped(None)


@dataclass(kw_only=True)
class GitArchivePackager(Packager):
    """Ships a commit of the repository, without changes and new files."""

    basepath: str = ""
    subpath: str = ""
    ref: str = HEAD
    include_submodules: bool = True
    include_pattern: str | list[str] = ""
    include_pattern_relative_path: str | list[str] = ""
    check_uncommitted_changes: bool = False
    check_untracked_files: bool = False

    def shipped(self) -> Shipped:
        """The repository, and the further files that `include_pattern` names."""
        start = Path(self.basepath).absolute() if self.basepath else Path.cwd()
        top = _repository(start) or (start if self.basepath else None)
        git = {"type": "git", **({} if top is None else {"root": str(top)}), **change(self, GIT).options}
        further = _patterns(self.include_pattern, self.include_pattern_relative_path, top or Path.cwd())
        return Shipped(_together([git, *further]), None if top is None else str(top / self.subpath))


@dataclass(kw_only=True)
class PatternPackager(Packager):
    """Ships the files that match patterns."""

    include_pattern: str | list[str]
    relative_path: str | list[str]

    def shipped(self) -> Shipped:
        """The matching files."""
        parts = _patterns(self.include_pattern, self.relative_path, Path.cwd())
        if not parts:
            raise UsageError("PatternPackager.include_pattern is empty", hint="name the files to ship")
        return Shipped(_together(parts), parts[0]["root"])


@dataclass(kw_only=True)
class HybridPackager(Packager):
    """Ships the content of several packagers, each in a folder of its own or all in one."""

    sub_packagers: dict[str, Packager] = field(default_factory=dict)
    extract_at_root: bool = False

    def shipped(self) -> Shipped:
        """The content of all."""
        each = {name: packager.shipped() for name, packager in self.sub_packagers.items()}
        parts = {name: shipped.packager for name, shipped in each.items() if shipped.packager is not None}
        if not parts:
            raise UsageError("HybridPackager.sub_packagers ships nothing", hint="use Packager()")
        if self.extract_at_root:
            return Shipped(_together(list(parts.values())), next(iter(each.values())).root)
        return Shipped({"type": "hybrid", "start": ROOT, "parts": parts})


def _together(packagers: list[dict[str, Any]]) -> dict[str, Any]:
    """One packager that ships the content of all into one folder."""
    return packagers[0] if len(packagers) == 1 else {"type": "hybrid", "parts": {ROOT: packagers}}


def _patterns(include: str | list[str], roots: str | list[str], default: Path) -> list[dict[str, Any]]:
    """The packagers of files that match patterns, one for each folder that the paths are relative to."""
    patterns = [include] if isinstance(include, str) else include
    folders = [roots] if isinstance(roots, str) else roots
    if len(patterns) != len(folders):
        raise UsageError(
            f"there are {len(patterns)} patterns, and {len(folders)} folders that they are relative to",
            hint="give one folder for each pattern",
        )
    globs: dict[str, list[str]] = {}
    for pattern, folder in zip(patterns, folders, strict=True):
        if pattern:
            root = os.path.abspath(folder or default)  # noqa: PTH100 - keeps links
            globs.setdefault(root, []).append(_glob(pattern, root))
    return [{"type": "pattern", "include": names, "root": root} for root, names in globs.items()]


def _glob(pattern: str, root: str) -> str:
    """A pattern relative to a folder; one that names the folder means all files in it."""
    inside = os.path.relpath(pattern, root)
    if inside.startswith(".."):
        raise UsageError(
            f"the pattern {pattern!r} is not in {root}", hint="give a folder that contains the files"
        )
    return "**" if inside == "." else inside


def _repository(here: Path) -> Path | None:
    """The working tree that a folder is in; None outside of one."""
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)


def _dirty(packager: GitArchivePackager, _: Any) -> Change:
    checks = packager.check_uncommitted_changes or packager.check_untracked_files
    if packager.ref != HEAD:  # that commit is shipped, whatever is checked out
        return Change()
    return Change(options={"dirty": "refuse" if checks else "ignore"})


_BASE: Final[Rules] = {
    "debug": WithoutMeaning("it concerns what torchx prints"),
    "symlink_from_remote_dir": BY_ANOTHER,
}

GIT: Final[Rules] = {
    **_BASE,
    "subpath": option("subpath"),
    "include_submodules": Translated(lambda _, value: Change(options={"submodules": value})),
    "check_uncommitted_changes": Translated(_dirty, is_always=True),
    "check_untracked_files": Translated(_dirty),
    "include_pattern": BY_ANOTHER,
    "include_pattern_relative_path": BY_ANOTHER,
    "ref": option("ref"),
    "basepath": BY_ANOTHER,
}
PATTERN: Final[Rules] = {
    **_BASE,
    "include_pattern": BY_ANOTHER,
    "relative_path": BY_ANOTHER,
}
HYBRID: Final[Rules] = {
    **_BASE,
    "sub_packagers": BY_ANOTHER,
    "extract_at_root": BY_ANOTHER,
}
RULES: Final[dict[type[Packager], Rules]] = {
    Packager: _BASE,
    GitArchivePackager: GIT,
    PatternPackager: PATTERN,
    HybridPackager: HYBRID,
}
