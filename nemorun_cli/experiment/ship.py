"""Shipping: what the packagers of a spec choose is kept by its hash, and copied for each experiment.

First comes all that reads and can refuse, then the store, then the experiment: when a folder of the
experiment is made, nothing can be wrong with the content any more.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import packagers
from nemorun_cli.errors import SpecError
from nemorun_cli.model import units
from nemorun_cli.model.code_package import Package, within
from nemorun_cli.model.problems import Finding
from nemorun_cli.packagers import content_store
from nemorun_cli.packagers.content import (
    Content,
    Entry,
    Listing,
    PackagerError,
    checked,
    digest_of,
    listing,
)
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import ExperimentFiles, Home

MAX_SIZE: Final = "1G"  # of a content, unless the spec says otherwise
NAMED: Final = 100  # of what is left out, recorded by name
LARGEST: Final = 3  # files that are named where there is too much


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What a packager ships, read and whole.

    `where` is its folder in the store; `scripts` are the paths of tasks' scripts that are among it.
    """

    packager: dict[str, Any]
    content: Content
    listing: Listing
    where: Path
    scripts: tuple[str, ...]

    def package(self, files: ExperimentFiles) -> Package:
        """What an experiment knows of it."""
        left_out = self.content.left_out
        if len(left_out) > NAMED:
            left_out = (*left_out[:NAMED], f"{len(left_out) - NAMED} more")
        return Package(
            packager=self.packager,
            hash=self.listing.hash,
            store=str(self.where),
            folder=str(files.code / self.where.name),
            root=None if self.content.root is None else str(self.content.root),
            place=self.content.place,
            files=self.listing.files,
            bytes=self.listing.bytes,
            facts=self.content.facts,
            told=self.content.told,
            left_out=left_out,
            scripts=self.scripts,
        )


@dataclass(frozen=True, slots=True)
class Shipments:
    """What all packagers of a spec ship."""

    each: tuple[Shipment, ...]

    def packages(self, files: ExperimentFiles) -> tuple[Package, ...]:
        """What an experiment of these files would know of them."""
        return tuple(shipment.package(files) for shipment in self.each)

    def unpack(self, files: ExperimentFiles) -> tuple[Package, ...]:
        """The same, with the experiment's own copy of each content, the list of its files and the changes."""
        make_folder(files.code)
        for shipment in self.each:
            folder = Path(shipment.package(files).folder)
            if not folder.exists():  # two packagers may have chosen the same
                content_store.copy(shipment.where, folder)
                content_store.write(Path(f"{folder}.files"), shipment.listing.text.encode())
            if shipment.content.diff:
                content_store.write(Path(f"{folder}.diff"), shipment.content.diff)
        return self.packages(files)


def look(spec: Spec, document: Document, home: Home) -> Shipments:
    """What would be shipped for the tasks of a spec; nothing of it is written.

    Raises:
        SpecError: with all that forbids it.
    """
    kept = _kept(spec, document, home)
    with tempfile.TemporaryDirectory(prefix="exp-") as scratch:
        contents = _contents(spec, document, home, kept=kept, scratch=Path(scratch))
        found = [
            (options, content, listing(content.entries, digest=digest_of)) for options, content in contents
        ]
    new = [_shipment(spec, *one, where=content_store.place(home, one[-1].hash)) for one in found]
    return Shipments((*kept, *new))


@contextlib.contextmanager
def shipping(spec: Spec, document: Document, home: Home) -> Iterator[Shipments]:
    """What is shipped for the tasks of a spec, put into the store and kept there while this is entered.

    Raises:
        SpecError: with all that forbids it.
    """
    with content_store.used(home):
        found = _kept(spec, document, home)
        with tempfile.TemporaryDirectory(prefix="exp-") as scratch:
            for options, content in _contents(spec, document, home, kept=found, scratch=Path(scratch)):
                where, told = content_store.put(home, content.entries)
                found.append(_shipment(spec, options, content, told, where=where))
        yield Shipments(tuple(found))


def _shipment(
    spec: Spec, options: dict[str, Any], content: Content, told: Listing, *, where: Path
) -> Shipment:
    files = {entry.path for entry in content.entries if entry.kind in ("file", "program")}
    bodies = (str(task.body) for task in spec.tasks if task.kind == "script" and task.packager == options)
    scripts = tuple(body for body in dict.fromkeys(bodies) if _inside(content, body, spec) in files)
    return Shipment(packager=options, content=content, listing=told, where=where, scripts=scripts)


def _inside(content: Content, path: str, spec: Spec) -> str | None:
    root = None if content.root is None else str(content.root)
    return within(path, root=root, place=content.place, folder=spec.folder)


def _kept(spec: Spec, document: Document, home: Home) -> list[Shipment]:
    """What the experiment shipped that is to be run again: its own code is what runs, not that of now."""
    if document.shipped is None:
        return []
    packages = json.loads(document.shipped.resolved.read_bytes()).get("packages", ())
    wanted = _packagers(spec)
    found = [Package.from_json(entry) for entry in packages if entry["packager"] in wanted]
    kept = [_again(package, home) for package in found if content_store.place(home, package.hash).is_dir()]
    if document.copies is not None:
        return kept
    # A changed spec reads its scripts again, and one with another text does not run where the old one lies.
    return [
        replace(one, scripts=tuple(script for script in one.scripts if _is_as_shipped(one, spec, script)))
        for one in kept
    ]


def _is_as_shipped(shipment: Shipment, spec: Spec, script: str) -> bool:
    """Whether a script still holds what was shipped."""
    inside = _inside(shipment.content, script, spec)
    try:
        return inside is not None and Path(script).read_bytes() == (shipment.where / inside).read_bytes()
    except FileNotFoundError:
        return False


def _again(package: Package, home: Home) -> Shipment:
    """A shipment as it was when it was made."""
    diff = Path(f"{package.folder}.diff")
    content = Content(
        entries=(),
        root=None if package.root is None else Path(package.root),
        place=package.place,
        facts=package.facts,
        told=package.told,
        left_out=package.left_out,
        diff=diff.read_bytes() if diff.exists() else b"",
    )
    told = Listing(
        text=Path(f"{package.folder}.files").read_text(encoding="utf-8"),
        hash=package.hash,
        files=package.files,
        bytes=package.bytes,
    )
    where = content_store.place(home, package.hash)
    return Shipment(
        packager=package.packager, content=content, listing=told, where=where, scripts=package.scripts
    )


def _contents(
    spec: Spec, document: Document, home: Home, *, kept: Sequence[Shipment], scratch: Path
) -> list[tuple[dict[str, Any], Content]]:
    """The content of each packager that a task has and of which none is kept."""
    found = []
    findings = []
    present = [shipment.packager for shipment in kept]
    for options in (one for one in _packagers(spec) if one not in present):
        limit = options.get("max_size", MAX_SIZE)
        given = {key: value for key, value in options.items() if key != "max_size"}
        try:
            content = packagers.make(given).look(Path(spec.folder), scratch=scratch)
            content = _without_home(content, home)
            content = replace(content, entries=_with_workdirs(content, spec, options))
            _check_size(content.entries, limit)
            found.append((options, content))
        except PackagerError as error:
            place = _place(document.data, options)
            findings.append(Finding(place=place, message=error.message, hint=error.hint))
        except Exception as error:  # noqa: BLE001 - a packager may be anybody's code
            message = f"the packager {options['type']!r} is at fault: {type(error).__name__}: {error}"
            findings.append(Finding(place=_place(document.data, options), message=message))
    if findings:
        raise SpecError(document.sources.in_order([document.attributed(one) for one in findings]))
    return found


def _without_home(content: Content, home: Home) -> Content:
    """The content without what `exp` itself writes, should its home lie in the user's own tree."""
    own = home.directory.resolve()
    folders = {entry.source.parent for entry in content.entries if entry.source}
    within_it = {folder for folder in folders if folder.resolve().is_relative_to(own)}
    kept = tuple(one for one in content.entries if not one.source or one.source.parent not in within_it)
    if len(kept) == len(content.entries):
        return content
    return replace(content, entries=kept, left_out=(*content.left_out, f"{home.directory} (the home of exp)"))


def _packagers(spec: Spec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for task in spec.tasks:
        if task.packager is not None and task.packager not in found:
            found.append(task.packager)
    return found


def _with_workdirs(content: Content, spec: Spec, options: dict[str, Any]) -> tuple[Entry, ...]:
    """The entries, and the folders that tasks run in should nothing lie in them."""
    taken = {entry.path for entry in content.entries if entry.kind != "folder"}
    folders: dict[str, Entry] = {}
    for workdir in {
        task.workdir for task in spec.tasks if task.packager == options and "/workdir" not in task.late
    }:
        path = _inside(content, workdir, spec)
        if path is None or path == "." or taken & {path, *map(str, Path(path).parents)}:
            continue
        if not any(name.startswith(f"{path}/") for name in taken):
            folders[path] = Entry(path=path, kind="folder")
    return checked([*content.entries, *folders.values()], what=options["type"])


def _check_size(entries: Sequence[Entry], limit: str) -> None:
    total = sum(entry.size for entry in entries)
    if total > units.size(limit):
        largest = sorted(entries, key=lambda entry: entry.size, reverse=True)[:LARGEST]
        named = ", ".join(f"{entry.path} ({units.size_text(entry.size)})" for entry in largest)
        raise PackagerError(
            f"{units.size_text(total)} would be shipped, max_size is {limit}; the largest are {named}",
            hint="exclude what tasks do not need, or raise max_size",
        )


def _place(data: Any, options: Mapping[str, Any]) -> Place:
    """Where the spec says so; the first place of any packager, should an expression have made it."""
    places = list(_places(data, ()))
    fitting = [place for place, value in places if packagers.normal(value) == options]
    return next(iter([*fitting, *(place for place, _ in places)]), ())


def _places(data: Any, above: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "packager" and isinstance(value, (str, dict)):
                yield (*above, key), value
            elif key != "params":
                yield from _places(value, (*above, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _places(value, (*above, index))
