"""`exp note`: add a note to an experiment or record, or show its notes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from nemorun_cli.cli import terminal, times
from nemorun_cli.cli.options import DashRoot, ExperimentOrRecord, Json
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.experiment.run import find
from nemorun_cli.model import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nemorun_cli.json_documents import NoteDocument
    from nemorun_cli.model.labels import Note

NOTE_FORMAT: Final = "exp.note/1"
TAKES_SIGNED_WORDS: Final = True
STDIN: Final = "-"


def command(
    which: ExperimentOrRecord,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The note; - reads it from standard input.", show_default=False),
    ] = None,
    *,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> None:
    """Add a note to an experiment or record, or show the notes.

    Notes are kept in the order in which they were added.

    Examples:
      exp note training 'the data had duplicates'
      git log -3 | exp note training -
      exp note training                  show the notes
      exp note alice/vision/resnet 'for the paper'
    """
    if targets.is_prefix(which, dash_root):
        record = targets.single(which, dash_root)
        if text is not None:
            record.note(_given(text))
        _show({"id": None, "prefix": record.prefix}, lambda: record.latest().notes, text, is_json=is_json)
    else:
        run = find(which)
        if text is not None:
            run.note(_given(text))
        _show({"id": run.id, "prefix": None}, lambda: run.notes, text, is_json=is_json)


def _given(text: str) -> str:
    if text != STDIN:
        return text
    data = sys.stdin.buffer.read(labels.LONGEST_NOTE + 2) if sys.stdin is not None else b""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8, and a note is text") from None


def _show(
    subject: dict[str, str | None], notes: Callable[[], Iterable[Note]], text: str | None, *, is_json: bool
) -> None:
    if is_json:
        listed = [note.to_json() for note in notes()]
        terminal.write_json(cast("NoteDocument", {"schema": NOTE_FORMAT, **subject, "notes": listed}))
    elif text is None:
        for note in notes():
            terminal.write_lines([f"{times.full(note.time)}  {note.by}"])
            terminal.write_lines((f"  {line}" for line in note.text.split("\n")), hang=2)
