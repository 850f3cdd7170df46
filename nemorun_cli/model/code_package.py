"""What was shipped for an experiment: which files, from where, and where they lie now.

An executor that runs tasks elsewhere finds all it needs in `Plan.package`. `store` is the content as it
was taken, a folder of this machine in which nothing ever runs: it is what has to be sent. Its name is
made of `hash`, so a far side that has a whole folder of that name has all of it. A task's `workdir` lies
in `folder`, the experiment's own copy, in which tasks may write: whoever maps the experiment's directory to
a far one makes that copy over there, from the far store.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model import units

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT: Final = 12  # digits of a hash that people are told
NAMED: Final = 10  # paths left out that they are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What one packager shipped when the experiment was created.

    Attributes:
        packager: its options, `type` included.
        hash: SHA-256 of the list of its files, with their own hashes, in hexadecimal.
        store: a folder of this machine with the content, which is never changed.
        folder: the experiment's own copy, in which its tasks run.
        root: the folder that the content was taken from; None if that is not one folder.
        place: where in the content the spec's folder lies; None if it is not among it.
        files: how many there are, links included.
        bytes: their size.
        facts: what the packager says of it, such as the commit.
        told: the same for people, in a few words.
        left_out: what lies beside it and was not shipped, each with the reason.
        scripts: the paths, on this machine, of those scripts of tasks that are among it.
    """

    packager: dict[str, Any]
    hash: str
    store: str
    folder: str
    root: str | None
    place: str | None
    files: int
    bytes: int
    facts: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    left_out: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()

    def shipped(self, path: str, *, folder: str) -> str:
        """Where a path of this machine is in the experiment's copy; one that was not shipped stays.

        `folder` is the spec's own. A task that runs in it runs in the root of the content where the
        content is taken from elsewhere.
        """
        inside = within(path, root=self.root, place=self.place, folder=folder)
        return path if inside is None else str(Path(self.folder, inside))

    def stored(self, path: str, *, folder: str) -> Path | None:
        """The same in the store; None for what was not shipped."""
        inside = within(path, root=self.root, place=self.place, folder=folder)
        return None if inside is None else Path(self.store, inside)

    @property
    def commit(self) -> str | None:
        """The commit that the code was taken at, if git was asked; of several parts the first one's."""
        parts = self.facts.get("parts", {}).values()
        return next((one["commit"] for one in (self.facts, *parts) if one.get("commit")), None)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """A package as `to_json` wrote it; unknown fields of a later version are passed over."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        lists = {key: tuple(values.get(key, ())) for key in ("left_out", "scripts")}
        return cls(**{**values, **lists})


def lines(package: Package) -> list[str]:
    """What was shipped and what was not, for people."""
    told = f", {package.told}" if package.told else ""
    size = units.size_text(package.bytes)
    found = [f"{package.packager['type']}: {package.files} file(s), {size}{told} ({package.hash[:SHORT]})"]
    if package.left_out:
        more = f" and {len(package.left_out) - NAMED} more" if len(package.left_out) > NAMED else ""
        found.append(f"left out: {', '.join(package.left_out[:NAMED])}{more}")
    return found


def code(several: Iterable[Package]) -> dict[str, str]:
    """What was shipped, for comparing: the commit, and each file with its hash, or where a link leads.

    Of several packages each is led by its number.
    """
    found: dict[str, str] = {}
    packages = list(several)
    for number, package in enumerate(packages):
        lead = f"{number}: " if len(packages) > 1 else ""
        if package.commit:
            found[f"{lead}commit"] = package.commit
        listing = Path(f"{package.folder}.files")
        for line in listing.read_text(encoding="utf-8").splitlines() if listing.exists() else ():
            entry = json.loads(line)
            found[lead + entry["path"]] = entry.get("sha256") or f"-> {entry.get('target', '')}"
    return found


def within(path: str, *, root: str | None, place: str | None, folder: str) -> str | None:
    """Where in a content a path of this machine lies, or None where it is not among it."""
    wanted = Path(path)
    wanted = Path(*_normal(wanted.parts))
    if place is not None and wanted.is_relative_to(folder):
        return str(Path(place, wanted.relative_to(folder)))
    if root is not None and wanted.is_relative_to(root):
        return str(wanted.relative_to(root))
    return "." if wanted == Path(folder) else None


def _normal(parts: tuple[str, ...]) -> list[str]:
    """The parts of a path without `..`, each of which takes away the one before it."""
    found: list[str] = []
    for part in parts:
        if part != "..":
            found.append(part)
        elif len(found) > 1:
            found.pop()
    return found
