"""The origin of an experiment's spec, stored with it, so that it can run again without the original files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError
from nemorun_cli.model import forms
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.storage.paths import ExperimentFiles

LARGEST_SPEC: Final = 1 << 26  # bytes of a spec and of its copy
ORIGIN_FORMAT: Final = "exp.source/1"
_FORMS: Final[Mapping[str, forms.Form]] = {
    "file": forms.PATH,
    "is_file": forms.FLAG,
    "params": forms.TEXTS,
    "sets": forms.TEXTS,
    "sweeps": forms.TEXTS,
    "only": forms.TEXTS,
    "others": forms.NAMED_TEXTS,
    "whole": forms.OBJECT | None,
    "whole_text": forms.TEXT | None,
}
_ADDED: Final = frozenset({"whole_text", "sweeps"})  # fields that experiments of earlier versions lack


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The sources of a spec.

    Attributes:
        file: the spec's path; relative paths start at its folder.
        is_file: whether the spec was read from that file, rather than built by a program.
        params: the values of `-p`.
        sets: the changes of `--set`, including the options of `run`.
        sweeps: the values of `--sweep`.
        only: the selected tasks.
        others: the texts of the files that the spec includes, by name.
        whole: the spec merged with them, before `sets`; None if it includes no files.
        whole_text: the same as YAML, in which numbers keep their written form: `3.10`, `0x1F`.
    """

    file: str
    is_file: bool = True
    params: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    others: dict[str, str] = field(default_factory=dict)
    whole: dict[str, Any] | None = None
    whole_text: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form that `read` reads back."""
        return {"schema": ORIGIN_FORMAT, **asdict(self)}


def read(files: ExperimentFiles) -> Origin:
    """The origin of an experiment's spec; raises LedgerError if it cannot be read."""
    try:
        document = json.loads(files.read(files.source))
        for flaw in forms.flaws(document, _FORMS, required=tuple(_FORMS.keys() - _ADDED)):
            raise LedgerError(f"{files.source} cannot be read: {flaw}")
        return Origin(
            file=document["file"],
            is_file=document["is_file"],
            params=tuple(document["params"]),
            sets=tuple(document["sets"]),
            sweeps=tuple(document.get("sweeps", ())),
            only=tuple(document["only"]),
            others=document["others"],
            whole=document["whole"],
            whole_text=document.get("whole_text"),
        )
    except OSError as error:
        raise LedgerError(f"cannot read {files.source}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise LedgerError(f"{files.source} cannot be read: {error}") from error


def edited_file(files: ExperimentFiles) -> str | None:
    """The path of the spec if that file now differs from the experiment's copy of it.

    None if it is unchanged, missing or unreadable, or if the spec was built by a program.
    """
    try:
        origin = read(files)
        if not origin.is_file:
            return None
        present = read_bytes(origin.file, limit=LARGEST_SPEC).decode("utf-8-sig")
        copy = files.read(files.spec, limit=LARGEST_SPEC).decode("utf-8-sig")
    except (LedgerError, OSError, ValueError):
        return None  # there is nothing to compare; what needs the copies reports their damage
    return origin.file if present != copy else None
