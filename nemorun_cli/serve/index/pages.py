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
    from collections.abc import Callable, Collection, Mapping, Sequence

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
        statuses: the same without the condition on the status.
        offset: how many entries of the whole list come before the first one.
        previous: the cursor of the part before; empty for the beginning, None if this is the beginning.
        next: the cursor of the following part; None for the last one.
    """

    entries: list[str]
    counts: dict[str, int]
    statuses: dict[str, int]
    offset: int
    previous: str | None
    next: str | None

    @property
    def total(self) -> int:
        """How many entries the whole list has."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """The fields of a document that are about the list as a whole."""
        return {
            "total": self.total,
            "counts": self.counts,
            "statuses": self.statuses,
            "offset": self.offset,
            "previous": self.previous,
            "next": self.next,
        }


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
        statuses: Collection[str] = (),
        limit: int = DEFAULT,
        cursor: str | None = None,
        judge: Callable[[str], bool] | None = None,
    ) -> Page:
        """A page.

        Args:
            cache: with the table.
            conditions: of the entries.
            sort: a word, with `-` in front for the largest first.
            statuses: of which an entry has one; empty for all.
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
        counts: dict[str, int] = dict(
            cache.read(
                f"SELECT status, count(*) FROM {self.table} {conditions.where} GROUP BY status",  # noqa: S608 - only texts of this package
                conditions.values,
                judge=judge,
            )
        )
        chosen = Conditions([*conditions.texts], [*conditions.values])
        if statuses:
            chosen.add(f"status IN ({', '.join('?' * len(statuses))})", *statuses)
        begin = _decoded(cursor, sort, len(columns)) if cursor else None
        later, earlier = (
            (("DESC", "<"), ("ASC", ">=")) if sort.startswith("-") else (("ASC", ">"), ("DESC", "<="))
        )

        def beside(direction: str, sign: str) -> tuple[str, list[Any]]:
            """What follows FROM for the entries on one side of the cursor, and its values."""
            part = Conditions([*chosen.texts], [*chosen.values])
            if begin is not None:
                part.add(f"({', '.join(columns)}) {sign} ({', '.join('?' * len(columns))})", *begin)
            order = ", ".join(f"{column} {direction}" for column in columns)
            return f"{self.table} {part.where} ORDER BY {order} LIMIT ? OFFSET ?", part.values

        names = ", ".join(columns)
        query, values = beside(*later)
        rows = cache.read(f"SELECT entry, {names} FROM {query}", [*values, limit + 1, 0], judge=judge)  # noqa: S608 - the same
        offset, previous = 0, None
        if begin is not None:
            query, values = beside(*earlier)
            counted = f"SELECT count(*) FROM (SELECT 1 FROM {query})"  # noqa: S608 - the same
            offset = cache.read(counted, [*values, -1, 0], judge=judge)[0][0]
            before = cache.read(f"SELECT {names} FROM {query}", [*values, 1, limit], judge=judge)  # noqa: S608 - the same
            previous = _encoded(sort, before[0]) if before else ""
        return Page(
            entries=[row[0] for row in rows[:limit]],
            counts={status: count for status, count in counts.items() if not statuses or status in statuses},
            statuses=counts,
            offset=offset,
            previous=previous,
            next=_encoded(sort, rows[limit - 1][1:]) if len(rows) > limit else None,
        )


def _encoded(sort: str, values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, *values]).encode()).decode().rstrip("=")


def _decoded(cursor: str, sort: str, count: int) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        values = None
    is_one = isinstance(values, list) and all(map(_is_value, values))
    if not is_one or values[0] != sort or len(values) != count + 1:
        raise UsageError("cursor: it is not the `next` of a page of this list")
    return list(values[1:])


def _is_value(value: Any) -> bool:
    """Whether a column of these lists can have this value."""
    return is_storable(value) if isinstance(value, str) else isinstance(value, float)
