"""`exp close`: end records that are left RUNNING although their writer has terminated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import DashRoot, Json, Quiet
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import closing, targets
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nemorun_cli.json_documents import CloseDocument
    from nemorun_cli.tracking import Record

CLOSE_FORMAT: Final = "exp.close/1"
WAYS: Final = ("failed", "completed", "cancelled")


def command(
    prefixes: Annotated[
        list[str],
        typer.Argument(metavar="PREFIX...", help="Prefixes of records; with --yes also globs."),
    ],
    *,
    end: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="failed|completed|cancelled",
            help="How they ended (default: failed).",
            show_default=False,
            autocompletion=completion.one_of(WAYS),
        ),
    ] = closing.DEFAULT,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Close all that a glob, or a prefix with / at its end, matches."),
    ] = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """End records whose writer has terminated.

    For records left RUNNING by a machine that crashed or cannot be reached. A record whose writer is
    alive here, or whose experiment runs, is refused.

    Examples:
      exp close alice/vision/resnet                  it counts as FAILED then
      exp close alice/vision/resnet --as completed
      exp close 'alice/sweep/*' --yes                all of them that are RUNNING
    """
    status = closing.status(end, option="--as")
    home = Home.from_environment()
    records = list(_chosen(prefixes, dash_root, yes=yes))
    for record in records:
        closing.refuse_written(record, closing.left(record), home)
    closed = {record.prefix: closing.close(record, home, status) for record in records}
    if is_json:
        terminal.write_json(_document(records, closed))
    elif quiet:
        terminal.write_lines(prefix for prefix, openings in closed.items() if openings)
    else:
        for record in records:
            now = record.latest().status
            if closed[record.prefix]:
                terminal.say(f"closed {record.prefix}: {now}")
            else:
                terminal.warn(f"{record.prefix}: nothing to close, already finished ({now})")


def _chosen(prefixes: Sequence[str], dash_root: str | None, *, yes: bool) -> Iterator[Record]:
    """The records, each once; a glob chooses only those that have unfinished openings."""
    seen: set[str] = set()
    for word in prefixes:
        for record in _matching(word, dash_root, yes=yes):
            if record.prefix not in seen:
                seen.add(record.prefix)
                yield record


def _matching(word: str, dash_root: str | None, *, yes: bool) -> Iterable[Record]:
    if not targets.is_several(word, dash_root):
        return [targets.single(word, dash_root)]
    found = [record for record in targets.several(word, dash_root) if closing.left(record)]
    if not found:
        terminal.warn(f"{word}: nothing to close, all records that it matches have finished")
    elif not yes:
        listed = ", ".join(record.prefix for record in found[:10])
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""  # noqa: PLR2004 - as many as are listed
        raise UsageError(
            f"{word} matches {len(found)} unfinished records: {listed}{more}",
            hint="close all of them with --yes, or name them one by one",
        )
    return found


def _document(records: Sequence[Record], closed: dict[str, list[str]]) -> CloseDocument:
    """The document `exp.close/1`."""
    entries = [
        {
            "prefix": record.prefix,
            "dash_root": record.root,
            "status": str(record.latest().status),
            "openings": closed[record.prefix],
        }
        for record in records
    ]
    return cast("CloseDocument", {"schema": CLOSE_FORMAT, "records": entries})
