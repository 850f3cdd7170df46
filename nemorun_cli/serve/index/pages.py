"""Pages of a list: conditions, an order, and a cursor that stays valid when entries are added."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.serve.index.cache_file import is_storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.serve.index.cache_file import CacheFile

MOST: Final = 10_000  # entries of a page
DEFAULT: Final = 100


@dataclass(slots=True)
class Conditions:
    """Conditions of SQL that all have to be met, with the values of their parameters."""

    texts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, text: str, *values: Any) -> None:
        """Add a condition."""
        self.texts.append(f"({text})")
        self.values += values

    @property
    def where(self) -> str:
        """The clause."""
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list.

    Attributes:
        entries: each as JSON.
        counts: how many entries of the whole list have each status.
        next: the cursor of the following part; None for the last one.
    """

    entries: list[str]
    counts: dict[str, int]
    next: str | None

    @property
    def total(self) -> int:
        """How many entries the whole list has."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedTable:
    """How a table is listed: the columns by the words for them, and those that identify an entry."""

    table: str
    orders: Mapping[str, str]
    identity: Sequence[str]

    def page(
        self,
        cache: CacheFile,
        conditions: Conditions,
        *,
        sort: str,
        limit: int = DEFAULT,
        cursor: str | None = None,
        judge: Callable[[str], bool] | None = None,
    ) -> Page:
        """A page.

        Args:
            cache: with the table.
            conditions: of the entries.
            sort: a word, with `-` in front for the largest first.
            limit: of the entries.
            cursor: the `next` of the page before.
            judge: see `CacheFile.read`.

        Raises:
            UsageError: the word, the limit or the cursor is none.
            CacheLostError: the cache is empty now.
        """
        word = sort.removeprefix("-")
        if word not in self.orders:
            raise UsageError(f"sort={sort}: must be one of {', '.join(self.orders)}")
        if not 1 <= limit <= MOST:
            raise UsageError(f"limit={limit}: must be between 1 and {MOST}")
        columns = [self.orders[word], *self.identity]
        direction, sign = ("DESC", "<") if sort.startswith("-") else ("ASC", ">")
        counts = cache.read(
            f"SELECT status, count(*) FROM {self.table} {conditions.where} GROUP BY status",  # noqa: S608 - only texts of this package
            conditions.values,
            judge=judge,
        )
        part = Conditions([*conditions.texts], [*conditions.values])
        if cursor is not None:
            values = _decoded(cursor, sort, len(columns))
            part.add(f"({', '.join(columns)}) {sign} ({', '.join('?' * len(columns))})", *values)
        order = ", ".join(f"{column} {direction}" for column in columns)
        rows = cache.read(
            f"SELECT entry, {', '.join(columns)} FROM {self.table} {part.where} ORDER BY {order} LIMIT ?",  # noqa: S608 - the same
            [*part.values, limit + 1],
            judge=judge,
        )
        following = _encoded(sort, rows[limit - 1][1:]) if len(rows) > limit else None
        return Page(entries=[row[0] for row in rows[:limit]], counts=dict(counts), next=following)


def _encoded(sort: str, values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, *values]).encode()).decode().rstrip("=")


def _decoded(cursor: str, sort: str, count: int) -> list[str]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        values = None
    is_one = isinstance(values, list) and all(
        isinstance(value, str) and is_storable(value) for value in values
    )
    if not is_one or values[0] != sort or len(values) != count + 1:
        raise UsageError("cursor: it is not the `next` of a page of this list")
    return list(values[1:])
