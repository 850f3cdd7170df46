"""What an experiment's spec was made of, kept with it: enough to make another one without the files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError

if TYPE_CHECKING:
    from nemorun_cli.storage.paths import ExperimentFiles

ORIGIN_FORMAT: Final = "exp.source/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a spec came from.

    Attributes:
        file: the spec's own path; its folder is where relative paths begin.
        is_file: whether there was such a file, rather than values of a program.
        params: what `-p` gave.
        sets: what `--set` changed, the options of `run` among them.
        only: the tasks that were chosen.
        others: the texts of the files that it takes in, by their names.
        whole: the spec together with them, before `sets`; None if the spec itself is all.
    """

    file: str
    is_file: bool = True
    params: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    others: dict[str, str] = field(default_factory=dict)
    whole: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The form that `read` reads back."""
        return {"schema": ORIGIN_FORMAT, **asdict(self)}


def read(files: ExperimentFiles) -> Origin:
    """The origin of an experiment's spec; raises LedgerError where it is not known."""
    try:
        found = json.loads(files.source.read_bytes())
        return Origin(
            file=found["file"],
            is_file=found["is_file"],
            params=tuple(found["params"]),
            sets=tuple(found["sets"]),
            only=tuple(found["only"]),
            others=found["others"],
            whole=found["whole"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{files.source} cannot be read: {error}") from error
