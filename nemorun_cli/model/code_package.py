"""The files shipped for an experiment: their source, their list, and their location now.

An executor that runs tasks on another host finds all it needs in `Plan.package`. `store` is the content as
shipped, a local folder in which no task runs: this folder is uploaded. Its name contains `hash`, so a remote
host with a complete folder of that name has the whole content. A task's `workdir` is in `folder`, the
experiment's own copy, in which tasks may write: an executor that maps the experiment's directory to a remote
one makes that copy on the remote host, from the remote store.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

from nemorun_cli.model import units

SHORT: Final = 12  # digits of a hash that are shown
NAMED: Final = 10  # paths in `left_out` that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What one packager shipped when the experiment was created.

    Attributes:
        packager: the packager's options, including `type`.
        hash: SHA-256 of the list of files with their own hashes, in hexadecimal.
        store: the local folder with the content, which is never changed.
        folder: the experiment's own copy, in which its tasks run.
        root: the folder that the content was taken from; None if it came from several folders.
        place: the spec's folder, relative to the content; None if the content does not include it.
        start: where in the content tasks run that have the spec's folder as workdir; None for `place`.
        files: the number of files, including links.
        bytes: their total size.
        facts: details from the packager, such as the commit.
        told: the same details in a few words, for messages.
        left_out: the paths next to the content that were not shipped, each with the reason.
        scripts: the local paths of the tasks' scripts that were shipped.
    """

    packager: dict[str, Any]
    hash: str
    store: str
    folder: str
    root: str | None
    place: str | None
    files: int
    bytes: int
    start: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    left_out: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    def shipped(self, path: str, *, folder: str) -> str:
        """A local path mapped into the experiment's copy; a path that was not shipped is returned unchanged.

        `folder` is the spec's own. If the content does not include it, it is mapped to the content's root.
        """
        inside = within(path, root=self.root, place=self.place, folder=folder)
        return path if inside is None else str(Path(self.folder, inside))

    def workdir(self, path: str, *, folder: str) -> str:
        """The workdir of a task mapped into the experiment's copy; see `shipped`."""
        if self.start is not None and path == folder:
            return str(Path(self.folder, self.start))
        return self.shipped(path, folder=folder)

    def stored(self, path: str, *, folder: str) -> Path | None:
        """A local path mapped into the store; None if it was not shipped."""
        inside = within(path, root=self.root, place=self.place, folder=folder)
        return None if inside is None else Path(self.store, inside)

    @property
    def commit(self) -> str | None:
        """The commit that was shipped, if the packager uses git; of several parts the first one's."""
        parts = self.facts.get("parts", {}).values()
        return next((facts["commit"] for facts in (self.facts, *parts) if facts.get("commit")), None)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A package from the output of `to_json`; unknown fields of a later version are ignored."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        lists = {key: tuple(values.get(key, ())) for key in ("left_out", "scripts")}
        return cls(**{**values, **lists})


def lines(package: Package) -> list[str]:
    """The lines that show what was shipped and what was not."""
    details = f", {package.told}" if package.told else ""
    size = units.size_text(package.bytes)
    shown = [f"{package.packager['type']}: {package.files} file(s), {size}{details} ({package.hash[:SHORT]})"]
    if package.left_out:
        more = f" and {len(package.left_out) - NAMED} more" if len(package.left_out) > NAMED else ""
        shown.append(f"left out: {', '.join(package.left_out[:NAMED])}{more}")
    return shown


def within(path: str, *, root: str | None, place: str | None, folder: str) -> str | None:
    """A local path relative to the content, or None if the content does not include it."""
    wanted = Path(path)
    wanted = Path(*_normal(wanted.parts))
    if place is not None and wanted.is_relative_to(folder):
        return str(Path(place, wanted.relative_to(folder)))
    if root is not None and wanted.is_relative_to(root):
        return str(wanted.relative_to(root))
    return "." if wanted == Path(folder) else None


def _normal(parts: tuple[str, ...]) -> list[str]:
    """The parts of a path with each `..` resolved against the part before it."""
    normal: list[str] = []
    for part in parts:
        if part != "..":
            normal.append(part)
        elif len(normal) > 1:
            normal.pop()
    return normal
