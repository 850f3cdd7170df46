"""`exp records import`: take over records of ML-Dash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import tables, terminal
from nemorun_cli.cli.options import DashRoot, Json
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import imports, ml_dash_folder, targets
from nemorun_cli.experiment.records.closing import status as end_named
from nemorun_cli.experiment.records.foreign_records import ImportProblem
from nemorun_cli.experiment.records.imports import ImportChoice, ImportedRecord
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.record_paths import check_prefix

if TYPE_CHECKING:
    from nemorun_cli.experiment.records.foreign_records import ImportSource

LEFT_OUT: Final = 7  # the exit code if something could not be taken over
COLUMNS: Final = (
    Column("PREFIX", is_flexible=True),
    Column("STATUS"),
    Column("NEW"),
    Column("PARAMS", is_number=True, spare=2),
    Column("LOGS", is_number=True, spare=2),
    Column("METRICS", is_number=True, spare=2),
    Column("TRACKS", is_number=True, spare=2),
    Column("FILES", is_number=True, spare=2),
)


def command(
    where: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|URL",
            help="A folder that ML-Dash wrote (its `.dash`), or the address of a server with ML-Dash's API.",
        ),
    ],
    *,
    dash_root: DashRoot = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="PREFIX", help="Put the records below this prefix.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="GLOB", help="Only records whose prefix there matches.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="How the records in a folder ended, which ML-Dash does not record: completed, failed (the"
            " default, with the reason `lost`) or cancelled.",
        ),
    ] = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Only show what would be taken over.")] = False,
    is_json: Json = False,
) -> int:
    """Take over records of ML-Dash, from a folder or a server.

    A second import adds only what is new, and one that was interrupted is completed by the next. What cannot
    be taken over is named, and the exit code is 7 then.

    Examples:
      exp records import .dash --dry-run
      exp records import .dash --only 'alice/vision/*' --status completed
      exp records import https://exp.example.org
    """
    choice = ImportChoice(
        root=str(targets.root(dash_root)),
        below=check_prefix(prefix.strip("/")) if prefix else "",
        only=only or "*",
        status=end_named(status, option="--status") if status is not None else None,
        is_dry=is_dry,
    )
    source = _source(where, only)
    done: list[ImportedRecord] = []
    problems: list[ImportProblem] = []
    for result in imports.run(source, choice):
        if isinstance(result, ImportProblem):
            problems.append(result)
        else:
            done.append(result)
    if is_json:
        document = {
            "schema": imports.IMPORT_FORMAT,
            "source": source.title,
            "dash_root": choice.root,
            "is_dry": is_dry,
            "records": [record.to_json() for record in done],
            "left_out": [problem._asdict() for problem in problems],
        }
        terminal.write_json(document, dump=dump)
    else:
        tables.show(COLUMNS, [_row(record) for record in done])
        terminal.flush()
    all_problems = [*problems, *(problem for record in done for problem in record.problems)]
    if not is_json:
        for problem in all_problems:
            terminal.warn(f"{problem.where}: {problem.reason}")
    return LEFT_OUT if all_problems else 0


def _source(where: str, only: str | None) -> ImportSource:
    if "://" not in where:
        return ml_dash_folder.source(Path(where).expanduser())
    from nemorun_cli.experiment.records import ml_dash_server  # noqa: PLC0415 - only for servers
    from nemorun_cli.replication import address, credentials  # noqa: PLC0415 - the same

    url = address.normalized(where, what="URL")
    credential = credentials.token_for(url)
    if credential is None:
        raise credentials.missing(url)
    owner = only.partition("/")[0] if only else ""
    if only and "/" not in only:
        raise UsageError(
            f"--only {only}: on a server a prefix has its owner first", hint="write it as OWNER/GLOB"
        )
    return ml_dash_server.source(credential, namespace=None if set(owner) & set("*?[") else owner or None)


def _row(record: ImportedRecord) -> list[str]:
    counts = [str(record.added[kind]) for kind in ("params", "logs", "metrics", "tracks", "files")]
    return [record.prefix, record.status or "-", "yes" if record.is_new else "no", *counts]
