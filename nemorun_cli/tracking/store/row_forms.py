"""The forms of the fields in a record's files, which any program may have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.model import forms
from nemorun_cli.model.forms import ANYTHING, COUNT, FLAG, INTEGER, NUMBER, OBJECT, TEXT, TEXTS, TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.model.forms import Form

_OPTIONAL_TEXT: Final = TEXT | None

OPENING: Final[Mapping[str, Form]] = {
    "event": TEXT,
    "format": TEXT,
    "time": TIME,
    "prefix": TEXT,
    "locked": FLAG,
    "supervised": FLAG,
    "description": _OPTIONAL_TEXT,
    "tags": TEXTS | None,
    "bindrs": TEXTS | None,
    "metadata": ANYTHING,
    "dash_url": _OPTIONAL_TEXT,
    "pulled": FLAG,
    "file": ANYTHING,
    "exp_id": _OPTIONAL_TEXT,
    "task": _OPTIONAL_TEXT,
    "attempt": INTEGER | None,
    "host": TEXT,
    "boot": _OPTIONAL_TEXT,
    "pid": INTEGER,
    "process_started": NUMBER | None,
    "user": _OPTIONAL_TEXT,
    "folder": _OPTIONAL_TEXT,
    "home": _OPTIONAL_TEXT,
    "git": OBJECT | None,
    "status": TEXT,
    "reason": _OPTIONAL_TEXT,
    "message": _OPTIONAL_TEXT,
    "exit_code": INTEGER | None,
}
PARAMS: Final[Mapping[str, Form]] = {"_ts": NUMBER, "set": OBJECT, "unset": TEXTS}
LOGS: Final[Mapping[str, Form]] = {"_ts": NUMBER, "level": TEXT, "message": TEXT, "metadata": ANYTHING}
FILES: Final[Mapping[str, Form]] = {
    "_ts": NUMBER,
    "saved": forms.record(
        {
            "id": _OPTIONAL_TEXT,
            "path": TEXT,
            "filename": TEXT,
            "sizeBytes": COUNT | None,
            "checksum": _OPTIONAL_TEXT,
            "contentType": _OPTIONAL_TEXT,
            "description": _OPTIONAL_TEXT,
            "tags": TEXTS | None,
            "metadata": ANYTHING,
        },
        "a saved file",
        required=("path", "filename"),
    ),
    "deleted": TEXTS,
    "updated": forms.record(
        {
            "id": TEXT,
            "description": _OPTIONAL_TEXT,
            "tags": TEXTS | None,
            "bindrs": TEXTS | None,
            "metadata": ANYTHING,
        },
        "an updated file",
        required=("id",),
    ),
}


LABELS: Final[Mapping[str, Form]] = {
    "_ts": NUMBER,
    "by": TEXT,
    "noted": TEXT,
    "tagged": forms.record(
        {"added": TEXTS, "removed": TEXTS}, "a change of tags", required=("added", "removed")
    ),
}


Kind = Literal["opening", "params", "logs", "files", "labels"]

_FORMS: Final[Mapping[Kind, Mapping[str, Form]]] = {
    "opening": OPENING,
    "params": PARAMS,
    "logs": LOGS,
    "files": FILES,
    "labels": LABELS,
}


def check(rows: Iterable[Mapping[str, Any]], kind: Kind, path: str) -> None:
    """Raise LedgerDamagedError if a row has a field that cannot be used; it names the file and the field."""
    for row in rows:
        if (problem := flaw(row, kind)) is not None:
            raise LedgerDamagedError(f"{path}: {problem}")


def flaw(row: Mapping[str, Any], kind: Kind) -> str | None:
    """The first field of a row that cannot be used, and why; None if all can."""
    return next(forms.flaws(row, _FORMS[kind]), None)
