"""`exp files`: the files saved in records, and the path of one file's content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import tables, terminal, times
from nemorun_cli.cli.options import DashRoot, ExperimentOrPrefix, Json, Quiet, TaskOrNone, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import AmbiguousError, NotFoundError
from nemorun_cli.experiment.records import targets
from nemorun_cli.tracking.store.file_index import full_path
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.tracking.store.file_index import File

    FileOfRecord = tuple[TargetRecord, File]

FILES_FORMAT: Final = "exp.files/1"
COLUMNS: Final = (
    Column("RECORD"),
    Column("FILE"),
    Column("VERSION", is_number=True, spare=1),
    Column("BYTES", is_number=True, spare=2),
    Column("TYPE", spare=5),
    Column("SAVED", spare=3),
    Column("TAGS", is_flexible=True, spare=4),
)


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="GLOB", help="Only files with this path, name or glob.")
    ] = None,
    path: Annotated[
        bool, typer.Option("--path", help="Print only the path of the one matching file's content.")
    ] = False,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="N", help="Show this version instead of the latest."),
    ] = None,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the files saved in records.

    Examples:
      exp files                          files of the latest experiment
      exp files training train --name '*.pt'
      exp files --name best.pt --path    print where the content is stored
    """
    number = whole_number("--version", version) if version is not None else None
    chosen = targets.target(which, task, dash_root=dash_root).choose()
    files = [(record, file) for record in chosen for file in _files(record, name, number)]
    if (name is not None or path) and not files:
        raise NotFoundError(f"there is no file {name or ''}".rstrip(), hint=_known(chosen))
    if path:
        terminal.write_line(_only_path(files))
    elif is_json:
        entries = [{**record.to_json(), **_entry(record, file)} for record, file in files]
        terminal.write_json({"schema": FILES_FORMAT, "files": entries}, dump=dump)
    elif quiet:
        terminal.write_lines(full_path(file) for _, file in files)
    elif files:
        tables.show(COLUMNS, [_row(record, file) for record, file in files])
    else:
        terminal.say('hint: no files were saved; tasks save them with experiment.files("models").save(…)')


def _files(chosen: TargetRecord, name: str | None, version: int | None) -> Iterator[File]:
    files = chosen.data.files
    listed = files.list(name, openings=chosen.ids)
    if version is None:
        yield from listed
        return
    paths = {full_path(file) for file in listed}
    for file in files.versions(openings=chosen.ids):
        if file["version"] == version and full_path(file) in paths:
            yield file


def _known(chosen: Sequence[TargetRecord]) -> str:
    names = list(dict.fromkeys(full_path(file) for record in chosen for file in _files(record, None, None)))
    return f"there are: {', '.join(names[:10]) or 'none'}"


def _only_path(files: Sequence[FileOfRecord]) -> str:
    """The path of the content of the only file.

    Raises:
        AmbiguousError: there are several files; the message lists them.
    """
    if len(files) > 1:
        listed = ", ".join(f"{full_path(file)} of {record.label}" for record, file in files[:10])
        raise AmbiguousError(f"{len(files)} files match: {listed}", hint="choose one with a TASK and --name")
    record, file = files[0]
    return record.data.files.content_path(file)


def _entry(record: TargetRecord, file: File) -> dict[str, Any]:
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
        "path": record.data.files.content_path(file),
    }


def _row(record: TargetRecord, file: File) -> list[str]:
    return [
        record.label,
        full_path(file),
        str(file["version"]),
        str(file["sizeBytes"]),
        file["contentType"],
        times.brief(file["uploadedAt"]),
        ", ".join(file["tags"]),
    ]
