"""Shipping: content chosen by the packagers of a spec is stored by its hash and copied for each experiment.

All steps that read or can refuse come first, then the store, then the experiment: once the experiment's
folder exists, the content has no problems.
"""

from __future__ import annotations

import contextlib
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
from nemorun_cli.storage import spec_copies
from nemorun_cli.system.files import make_folder, read_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import ExperimentFiles, Home

MAX_SIZE: Final = "1G"  # of one content, unless the spec sets a limit
NAMED: Final = 100  # left-out paths that are recorded by name
LARGEST: Final = 3  # files named in the message about too large a content


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """The complete content that a packager ships.

    `where` is its folder in the store; `scripts` are the paths of tasks' scripts that it contains.
    """

    packager: dict[str, Any]
    content: Content
    listing: Listing
    where: Path
    scripts: tuple[str, ...]

    def package(self, files: ExperimentFiles) -> Package:
        """The package as an experiment records it."""
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
            start=self.content.start,
            files=self.listing.files,
            bytes=self.listing.bytes,
            facts=self.content.facts,
            told=self.content.summary,
            left_out=left_out,
            scripts=self.scripts,
        )


@dataclass(frozen=True, slots=True)
class Shipments:
    """The shipments of all packagers of a spec."""

    each: tuple[Shipment, ...]

    def packages(self, files: ExperimentFiles) -> tuple[Package, ...]:
        """The packages as an experiment with these files would record them."""
        return tuple(shipment.package(files) for shipment in self.each)

    def unpack(self, files: ExperimentFiles) -> tuple[Package, ...]:
        """Copy each content, its file list and its diff to the experiment; returns the packages."""
        make_folder(files.code)
        for shipment in self.each:
            folder = Path(shipment.package(files).folder)
            if not folder.exists():  # two packagers may have chosen the same content
                content_store.copy(shipment.where, folder)
                write_whole(Path(f"{folder}.files"), shipment.listing.text.encode())
            if shipment.content.diff:
                write_whole(Path(f"{folder}.diff"), shipment.content.diff)
        return self.packages(files)


def look(spec: Spec, document: Document, home: Home) -> Shipments:
    """Determine what would be shipped for the tasks of a spec; nothing is written.

    Raises:
        SpecError: with all problems that prevent it.
    """
    kept = _kept(spec, document, home)
    with tempfile.TemporaryDirectory(prefix="exp-") as scratch:
        contents = _contents(spec, document, home, kept=kept, scratch=Path(scratch))
        listed = [
            (options, content, listing(content.entries, digest=digest_of)) for options, content in contents
        ]
    new = [_shipment(spec, *parts, where=content_store.place(home, parts[-1].hash)) for parts in listed]
    return Shipments((*kept, *new))


@contextlib.contextmanager
def shipping(spec: Spec, document: Document, home: Home) -> Iterator[Shipments]:
    """Put what the tasks of a spec need into the store, and keep it there inside the block.

    Raises:
        SpecError: with all problems that prevent it.
    """
    with content_store.used(home):
        shipments = _kept(spec, document, home)
        with tempfile.TemporaryDirectory(prefix="exp-") as scratch:
            for options, content in _contents(spec, document, home, kept=shipments, scratch=Path(scratch)):
                where, stored = content_store.put(home, content.entries)
                shipments.append(_shipment(spec, options, content, stored, where=where))
        yield Shipments(tuple(shipments))


def _shipment(
    spec: Spec, options: dict[str, Any], content: Content, stored: Listing, *, where: Path
) -> Shipment:
    paths = {entry.path for entry in content.entries if entry.kind in ("file", "program")}
    bodies = (
        str(task.body) for task in spec.possible_tasks if task.kind == "script" and task.packager == options
    )
    scripts = tuple(body for body in dict.fromkeys(bodies) if _inside(content, body, spec) in paths)
    return Shipment(packager=options, content=content, listing=stored, where=where, scripts=scripts)


def _inside(content: Content, path: str, spec: Spec) -> str | None:
    root = None if content.root is None else str(content.root)
    return within(path, root=root, place=content.place, folder=spec.folder)


def _kept(spec: Spec, document: Document, home: Home) -> list[Shipment]:
    """Shipments of the experiment to be rerun: it runs its original code, not the current one."""
    if document.shipped is None:
        return []
    packages = spec_copies.read_document(document.shipped).get("packages", ())
    wanted = _packagers(spec)
    reused = [Package.from_json(entry) for entry in packages if entry["packager"] in wanted]
    kept = [_restored(package, home) for package in reused if content_store.has(home, package.hash)]
    if document.copies is not None:
        return kept
    # A changed spec reads its scripts again; a script with a new text must not run from the old copy.
    return [
        replace(
            shipment,
            scripts=tuple(script for script in shipment.scripts if _is_as_shipped(shipment, spec, script)),
        )
        for shipment in kept
    ]


def _is_as_shipped(shipment: Shipment, spec: Spec, script: str) -> bool:
    """Whether a script is unchanged since it was shipped."""
    inside = _inside(shipment.content, script, spec)
    try:
        return inside is not None and read_bytes(script) == read_bytes(shipment.where / inside)
    except FileNotFoundError:
        return False


def _restored(package: Package, home: Home) -> Shipment:
    """The shipment that a recorded package came from."""
    diff = Path(f"{package.folder}.diff")
    content = Content(
        entries=(),
        root=None if package.root is None else Path(package.root),
        place=package.place,
        start=package.start,
        facts=package.facts,
        summary=package.told,
        left_out=package.left_out,
        diff=read_bytes(diff) if diff.exists() else b"",
    )
    listed = Listing(
        text=read_bytes(f"{package.folder}.files").decode(),
        hash=package.hash,
        files=package.files,
        bytes=package.bytes,
    )
    where = content_store.place(home, package.hash)
    return Shipment(
        packager=package.packager, content=content, listing=listed, where=where, scripts=package.scripts
    )


def _contents(
    spec: Spec, document: Document, home: Home, *, kept: Sequence[Shipment], scratch: Path
) -> list[tuple[dict[str, Any], Content]]:
    """The content of each packager that tasks use and that has no kept shipment."""
    contents = []
    findings = []
    present = [shipment.packager for shipment in kept]
    for options in (entry for entry in _packagers(spec) if entry not in present):
        limit = options.get("max_size", MAX_SIZE)
        given = {key: value for key, value in options.items() if key != "max_size"}
        try:
            content = packagers.make(given).look(Path(spec.folder), scratch=scratch)
            content = _without_home(content, home)
            content = replace(content, entries=_with_workdirs(content, spec, options))
            _check_size(content.entries, limit)
            contents.append((options, content))
        except PackagerError as error:
            place = _place(document.data, options)
            findings.append(Finding(place=place, message=error.message, hint=error.hint))
        except Exception as error:  # noqa: BLE001 - a packager may be third-party code
            message = f"the packager {options['type']!r} is at fault: {type(error).__name__}: {error}"
            findings.append(Finding(place=_place(document.data, options), message=message))
    if findings:
        raise SpecError(document.sources.in_order([document.attributed(finding) for finding in findings]))
    return contents


def _without_home(content: Content, home: Home) -> Content:
    """The content without the files of `exp` itself, in case its home is inside the user's tree."""
    own = home.directory.resolve()
    folders = {entry.source.parent for entry in content.entries if entry.source}
    in_home = {folder for folder in folders if folder.resolve().is_relative_to(own)}
    kept = tuple(entry for entry in content.entries if not entry.source or entry.source.parent not in in_home)
    if len(kept) == len(content.entries):
        return content
    return replace(content, entries=kept, left_out=(*content.left_out, f"{home.directory} (the home of exp)"))


def _packagers(spec: Spec) -> list[dict[str, Any]]:
    packagers_used: list[dict[str, Any]] = []
    for task in spec.possible_tasks:
        if task.packager is not None and task.packager not in packagers_used:
            packagers_used.append(task.packager)
    return packagers_used


def _with_workdirs(content: Content, spec: Spec, options: dict[str, Any]) -> tuple[Entry, ...]:
    """The entries, plus the workdirs of tasks that would otherwise be missing because they are empty."""
    taken = {entry.path for entry in content.entries if entry.kind != "folder"}
    folders: dict[str, Entry] = {}
    for workdir in {
        task.workdir
        for task in spec.possible_tasks
        if task.packager == options and "/workdir" not in task.late
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
    """The place of a packager in the spec; if an expression made it, the first place of any packager."""
    places = list(_places(data, ()))
    matching = [place for place, value in places if packagers.normal(value) == options]
    return next(iter([*matching, *(place for place, _ in places)]), ())


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
