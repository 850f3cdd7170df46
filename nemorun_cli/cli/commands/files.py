"""`exp files`: the files saved in records, and the path of one file's content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import tables, terminal, times
from nemorun_cli.cli.options import (
    DashRoot,
    ExperimentOrPrefix,
    Json,
    Quiet,
    RawTexts,
    TableFormat,
    TaskOrNone,
    table_format,
    whole_number,
)
from nemorun_cli.cli.tables import Column
from nemorun_cli.cli.text_formats import cell, require_csv, write_csv
from nemorun_cli.errors import AmbiguousError, NotFoundError, UsageError
from nemorun_cli.experiment.records import record_documents, targets
from nemorun_cli.tracking.store import file_copies
from nemorun_cli.tracking.store.file_index import full_path
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.cli.text_formats import Cell
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.tracking.store.file_index import File

    FileOfRecord = tuple[TargetRecord, File]

COLUMNS: Final = (
    Column("RECORD"),
    Column("FILE"),
    Column("VERSION", is_number=True, spare=1),
    Column("BYTES", is_number=True, spare=2),
    Column("TYPE", spare=5),
    Column("SAVED", spare=3),
    Column("TAGS", is_flexible=True, spare=4),
)
FIELDS: Final = (  # of an entry in JSON, in CSV
    *("name", "version", "bytes", "type", "checksum", "saved"),
    *("tags", "bindrs", "description", "metadata", "path"),
)


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="GLOB", help="Only files with this path or name; else with this glob."
        ),
    ] = None,
    path: Annotated[
        bool, typer.Option("--path", help="Print only the path of the one matching file's content.")
    ] = False,
    download: Annotated[
        str | None,
        typer.Option(
            "--download",
            metavar="FOLDER",
            help="Copy the files to their paths in this folder, in one folder for each of several records.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="N", help="Show this version instead of the latest."),
    ] = None,
    format_: TableFormat = "table",
    raw: RawTexts = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the files saved in records, or copy them out.

    Examples:
      exp files                          files of the latest experiment
      exp files training train --name '*.pt'
      exp files --name best.pt --path    print where the content is stored
      exp files training train --download out
    """
    form = table_format(format_, is_json=is_json)
    require_csv(form, raw=raw)
    if download is not None and path:
        raise UsageError("--download cannot be combined with --path")
    number = whole_number("--version", version) if version is not None else None
    chosen = targets.target(which, task, dash_root=dash_root).choose()
    files = _matching(chosen, name, number)
    if (name is not None or path or download is not None) and not files:
        raise NotFoundError(f"there is no file {name or ''}".rstrip(), hint=_known(chosen))
    if download is not None:
        _download(files, download)
    elif path:
        terminal.write_line(_only_path(files))
    elif form == "json":
        entries = [{**record.to_json(), **record_documents.of_file(record, file)} for record, file in files]
        terminal.write_json({"schema": record_documents.FILES_FORMAT, "files": entries}, dump=dump)
    elif form == "csv":
        write_csv(("prefix", "task", *FIELDS), [_cells(record, file) for record, file in files], raw=raw)
    elif quiet:
        terminal.write_lines(full_path(file) for _, file in files)
    elif files:
        tables.show(COLUMNS, [_row(record, file) for record, file in files])
    else:
        terminal.say('hint: no files were saved; tasks save them with experiment.files("models").save(…)')


def _matching(chosen: Sequence[TargetRecord], name: str | None, version: int | None) -> list[FileOfRecord]:
    """The files with exactly this path or name in any of the records; without one, the name is a glob."""
    files = [(record, file) for record in chosen for file in _files(record, name, version)]
    exact = [pair for pair in files if name is not None and name.lstrip("/") in _names(pair[1])]
    return exact or files


def _names(file: File) -> tuple[str, str]:
    return file["filename"], full_path(file)


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


def _download(files: Sequence[FileOfRecord], folder: str) -> None:
    """Copy files to a folder, and print the paths.

    Raises:
        UsageError: a path has another content; or a file has the path of a folder, and the rest was copied.
    """
    by_record: dict[str, list[FileOfRecord]] = {}
    for record, file in files:
        by_record.setdefault(record.label, []).append((record, file))
    hidden: list[str] = []
    for label, pairs in by_record.items():
        target = folder if len(by_record) == 1 else f"{folder}/{label}"
        copied, left_out = file_copies.apart(file for _, file in pairs)
        terminal.write_lines(pairs[0][0].data.files.copy_all(copied, target))
        hidden += [f"{full_path(file)} of {label}" for file in left_out]
    if hidden:
        raise UsageError(
            f"not copied, because a folder has its name: {', '.join(hidden)}",
            hint="copy it alone to another folder: --name FILE --download FOLDER",
        )


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


def _cells(record: TargetRecord, file: File) -> list[Cell]:
    entry = record_documents.of_file(record, file)
    return [record.record.prefix, record.task or "", *(cell(entry[name]) for name in FIELDS)]


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
