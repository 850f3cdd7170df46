"""`exp files`: what was saved in records, and where one of the files lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import tables, terminal
from nemorun_cli.cli.options import DashRoot, ExperimentOrPrefix, Json, Quiet, TaskOrNone, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import AmbiguousError, NotFoundError
from nemorun_cli.experiment.records import targets
from nemorun_cli.tracking.store.file_index import full_path
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.experiment.records.targets import Chosen
    from nemorun_cli.tracking.store.file_index import File

    Found = tuple[Chosen, File]

FILES_FORMAT: Final = "exp.files/1"
COLUMNS: Final = (
    Column("RECORD"),
    Column("FILE"),
    Column("VERSION", is_number=True),
    Column("BYTES", is_number=True),
    Column("TYPE", is_spare=True),
    Column("SAVED", is_whole=True),
    Column("TAGS"),
)


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="GLOB", help="Only files of this path, name or glob.")
    ] = None,
    path: Annotated[
        bool, typer.Option("--path/--no-path", help="Print only where the content of the one file lies.")
    ] = False,
    version: Annotated[
        str | None, typer.Option("--version", metavar="N", help="This version instead of the latest.")
    ] = None,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the files that were saved in records."""
    number = whole_number("--version", version) if version is not None else None
    chosen = targets.target(which, task, dash_root=dash_root).choose()
    found = [(one, file) for one in chosen for file in _files(one, name, number)]
    if (name is not None or path) and not found:
        raise NotFoundError(f"there is no file {name or ''}".rstrip(), hint=_known(chosen))
    if path:
        terminal.write_line(_only_path(found))
    elif is_json:
        entries = [{**one.to_json(), **_entry(one, file)} for one, file in found]
        terminal.write_line(dump({"schema": FILES_FORMAT, "files": entries}))
    elif quiet:
        terminal.write_lines(full_path(file) for _, file in found)
    elif found:
        tables.show(COLUMNS, [_row(one, file) for one, file in found])
    else:
        terminal.say('hint: no files were saved; tasks do it with experiment.files("models").save(…)')


def _files(chosen: Chosen, name: str | None, version: int | None) -> Iterator[File]:
    files = chosen.data.files
    listed = files.list(name, openings=chosen.ids)
    if version is None:
        yield from listed
        return
    paths = {full_path(file) for file in listed}
    for file in files.versions(openings=chosen.ids):
        if file["version"] == version and full_path(file) in paths:
            yield file


def _known(chosen: Sequence[Chosen]) -> str:
    names = list(dict.fromkeys(full_path(file) for one in chosen for file in _files(one, None, None)))
    return f"there are: {', '.join(names[:10]) or 'none'}"


def _only_path(found: Sequence[Found]) -> str:
    """Where the one file that was found lies.

    Raises:
        AmbiguousError: there are several; they are listed.
    """
    if len(found) > 1:
        listed = ", ".join(f"{full_path(file)} of {one.label}" for one, file in found[:10])
        raise AmbiguousError(f"{len(found)} files fit: {listed}", hint="name one with a TASK and --name")
    one, file = found[0]
    return one.data.files.content_path(file)


def _entry(one: Chosen, file: File) -> dict[str, Any]:
    return {
        "name": full_path(file),
        "version": file["version"],
        "bytes": file["sizeBytes"],
        "type": file["contentType"],
        "checksum": file["checksum"],
        "saved": file["uploadedAt"],
        "tags": file["tags"],
        "bindrs": file["bindrs"],
        "description": file["description"],
        "metadata": file["metadata"],
        "path": one.data.files.content_path(file),
    }


def _row(one: Chosen, file: File) -> list[str]:
    return [
        one.label,
        full_path(file),
        str(file["version"]),
        str(file["sizeBytes"]),
        file["contentType"],
        file["uploadedAt"],
        ", ".join(file["tags"]),
    ]
