"""Who logged a row: the opening, with its attempt and rank."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.tracking.store import json_values, row_files
from nemorun_cli.tracking.store.row_files import generation_of
from nemorun_cli.tracking.store.row_selection import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.tracking.store.row_files import Row

Task = tuple[str, str]  # the ids of an experiment and of a task of it


class RowOrigin(NamedTuple):
    """The writer of a row: an opening, with its attempt and rank.

    Outside of a task the attempt is the generation. `task` has the ids of the experiment and of the task. It
    is supervised if a supervisor created the opening, for what it records of the attempt.
    """

    opening: str
    attempt: int
    rank: int | None = None
    task: Task | None = None
    is_supervised: bool = False


def origin_of(opening: str, facts: Mapping[str, Any]) -> RowOrigin:
    """The origin of an opening's rows, given the first line of its file."""
    experiment, task, attempt = (facts.get(name) for name in ("exp_id", "task", "attempt"))
    rank = facts["rank"] if type(facts.get("rank")) is int else None
    is_supervised = facts.get("supervised") is True
    if not (isinstance(experiment, str) and isinstance(task, str) and type(attempt) is int):
        return RowOrigin(opening, generation_of(opening), rank, is_supervised=is_supervised)
    return RowOrigin(opening, attempt, rank, (experiment, task), is_supervised)


class Origins(dict[str, RowOrigin]):
    """The origin of each opening of a record, read from the first line of its file when it is needed.

    Of an opening that cannot be read, only the generation is known.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, opening: str) -> RowOrigin:
        path = f"{self.folder}/{opening}{row_files.SUFFIX}"
        try:
            with row_files.open_rows(path) as stream:
                facts = json_values.load(stream.readline(row_files.LARGEST).decode("utf-8"))
        except (FileNotFoundError, LedgerDamagedError, ValueError, RecursionError):
            facts = None
        if not isinstance(facts, dict):
            return RowOrigin(opening, generation_of(opening))
        self[opening] = origin = origin_of(opening, facts)
        return origin


def marked(row: Row, origin: RowOrigin) -> Row:
    """A row with its origin as `_attempt` and `_rank`; its own field of such a name gets one more `_`."""
    fields = {_beside_origin(name): value for name, value in row.items()}
    return {**fields, **dict(zip(ORIGIN, (origin.attempt, origin.rank), strict=True))}


@lru_cache(maxsize=1024)
def _beside_origin(name: str) -> str:
    return f"_{name}" if name[:1] == "_" and name.lstrip("_") in {"attempt", "rank"} else name
