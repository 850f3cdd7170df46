"""The curves of many records at once, and what distinguishes these records."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from nemorun_cli.errors import LedgerError, NotFoundError
from nemorun_cli.experiment.records import metric_keys
from nemorun_cli.experiment.records.targets import MEASURED
from nemorun_cli.model import clock
from nemorun_cli.serve import forged_content
from nemorun_cli.serve.index.curves import curve
from nemorun_cli.serve.index.record_index import root_id
from nemorun_cli.serve.index.record_memory import LARGEST, RecordMemory, version_of
from nemorun_cli.serve.index.series_index import drawn_by_rows
from nemorun_cli.serve.index.series_view import position_of
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nemorun_cli.experiment.records.metric_keys import Field
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.index.curves import Window
    from nemorun_cli.serve.index.series_index import SeriesIndex
    from nemorun_cli.serve.index.series_view import SeriesView
    from nemorun_cli.tracking.store.row_series import Attempts

FORMAT: Final = "exp.curves/1"
MOST_CURVES: Final = 20_000  # in one answer
ALL_MEASURED: Final = f"{MEASURED}*"


class HasSeries(Protocol):
    """An index, or any other owner of one of series."""

    @property
    def series(self) -> SeriesIndex:
        """The index of series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvesQuery:
    """Which curves are asked for.

    Attributes:
        keys: of metrics, or globs; empty for all.
        window: what is drawn; None for no curves, only the records and their metrics.
        attempts: `all` for superseded rows too, or the number of an attempt.
        only: the prefixes of the records that are read; empty for all.
        is_described: whether params and the list of metrics are part of the answer.
    """

    keys: tuple[str, ...] = ()
    window: Window | None = None
    attempts: Attempts = None
    only: tuple[str, ...] = ()
    is_described: bool = True


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of one record: its metrics, and as JSON its curves and its params."""

    fields: tuple[Field, ...]
    curves: tuple[tuple[Field, str], ...]
    params: str

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return 500 + len(self.params) + sum(200 + len(text) for _, text in self.curves)


class CurveMemory(RecordMemory[_Read]):
    """The latest answers about single records, each valid while the record's files are as they were."""

    def __init__(self, largest: int = LARGEST) -> None:
        super().__init__(lambda read: read.size, largest)


def curves(
    index: HasSeries,
    runs: Iterable[Sequence[TargetRecord]],
    query: CurvesQuery,
    *,
    memory: CurveMemory,
    report: Callable[[str], None],
) -> str:
    """The fields `records`, `keys` and `left_out` of `exp.curves/1`, as JSON without the outer braces.

    A record of which nothing was logged is left out; one that cannot be read is reported.

    Args:
        index: the index.
        runs: the records, those of one experiment together, its own first.
        query: which curves.
        memory: of earlier answers.
        report: called with a message for each record that cannot be read.
    """
    chosen = list(_distinct(runs, query))
    read = [
        (each, shared, found)
        for each, shared in chosen
        if (found := _known(index, each, query, memory, report)) is not None and found.fields
    ]
    titles = metric_keys.titles(name for _, _, found in read for name in found.fields)
    keys = metric_keys.literal(query.keys, titles) if metric_keys.has_glob(query.keys) else query.keys
    shown, left_out = [], 0
    room = MOST_CURVES
    for each, shared, found in read:
        wanted = [(name, text) for name, text in found.curves if metric_keys.is_wanted(name, keys)]
        left_out += max(0, len(wanted) - room)
        shown.append(_entry(each, shared, found, wanted[: max(0, room)], titles, query))
        room -= len(wanted)
    parts = [f'"records":[{",".join(shown)}]', f'"left_out":{left_out}']
    if query.is_described:
        count = Counter(name for _, _, found in read for name in found.fields)
        listed = [
            {"key": titles[name], "series": name[0], "field": name[1], "records": count[name]}
            for name in titles
        ]
        parts.append(f'"keys":{dump(listed)}')
    return ",".join(parts)


def _distinct(
    runs: Iterable[Sequence[TargetRecord]], query: CurvesQuery
) -> Iterator[tuple[TargetRecord, dict[str, Any]]]:
    """Each record once, with the params of its experiment."""
    seen = set()
    for run in runs:
        shared: dict[str, Any] = {}
        for record in run:
            if record.is_of_experiment and query.is_described:
                shared = _params(record)
        for record in run:
            is_asked = not query.only or record.record.prefix in query.only
            is_asked &= not isinstance(query.attempts, int) or query.attempts in record.attempts
            if is_asked and record.identity not in seen:
                seen.add(record.identity)
                yield record, {} if record.is_of_experiment else shared


def _params(record: TargetRecord) -> dict[str, Any]:
    try:
        return record.params()
    except LedgerError:  # the curves can still be shown
        return {}


def _known(
    index: HasSeries,
    chosen: TargetRecord,
    query: CurvesQuery,
    memory: CurveMemory,
    report: Callable[[str], None],
) -> _Read | None:
    """What one record has, from memory if its files are as they were; None if it cannot be read."""
    key = (chosen.identity, tuple(chosen.ids or ()), replace(query, only=()))
    version = version_of(chosen)
    if (known := memory.find(key, version)) is not None:
        return known
    try:
        with forged_content.reading(chosen.record.prefix):
            read = _read(index, chosen, query)
    except (LedgerError, NotFoundError, OSError) as error:
        report(f"{chosen.record.prefix}: {error}")
        return None
    memory.keep(key, version, read)
    return read


def _read(index: HasSeries, chosen: TargetRecord, query: CurvesQuery) -> _Read:
    with index.series.reading(chosen, also=[ALL_MEASURED], attempts=query.attempts) as kept:
        found: list[tuple[Field, str]] = []
        fields = [(view.name, name) for view in kept for name in view.fields() if view.columns(name)]
        if fields and query.window is not None:
            window = query.window._replace(begin=clock.unix(chosen.openings[0].opened))
            is_odd = any(view.needs_rows for view in kept)
            is_whole = len(chosen.openings) == len(chosen.record.openings)
            is_streamed = is_whole and not is_odd and query.attempts is None
            positions = {view.name: position_of(view.pieces) for view in kept if is_streamed}
            views = drawn_by_rows(chosen, [ALL_MEASURED], query.attempts) if is_odd else kept
            keys = [*query.keys, *metric_keys.literal(query.keys, fields)]
            found = [
                ((view.name, name), _curve(view, name, window, positions))
                for view in views
                for name in view.fields()
                if view.columns(name) and metric_keys.is_wanted((view.name, name), keys)
            ]
    return _Read(
        tuple(fields), tuple(found), dump(_params(chosen)) if query.is_described and fields else "{}"
    )


def _curve(
    view: SeriesView, name: str, window: Window, positions: dict[str | None, dict[str, list[int]]]
) -> str:
    """A curve without the columns that follow from others, as JSON without the brace that opens it."""
    columns = curve(view, name, window).to_json()
    del columns["count"]
    if not columns["sampled"]:
        columns["min"] = columns["max"] = columns["nan"] = None
    elif not any(columns["nan"]):
        columns["nan"] = None
    return dump({**columns, "position": positions.get(view.name, {})})[1:]


def _entry(  # noqa: PLR0917 - private
    chosen: TargetRecord,
    shared: dict[str, Any],
    read: _Read,
    wanted: Sequence[tuple[Field, str]],
    titles: dict[Field, str],
    query: CurvesQuery,
) -> str:
    openings = chosen.openings
    ended = chosen.decisive.ended if all(each.is_over for each in openings) else None
    entry: dict[str, Any] = {
        **chosen.to_json(),
        "root": root_id(chosen.record.root),
        "name": chosen.label,
        "begin": clock.unix(openings[0].opened),
        "ended": None if ended is None else clock.unix(ended),
        "attempts": sorted(set(chosen.attempts)),
    }
    if query.is_described:
        entry["params"] = {**shared, **json.loads(read.params)}
        entry["metrics"] = [titles[name] for name in read.fields]
    curves_json = ",".join(
        f"{dump({'key': titles[name], 'series': name[0], 'field': name[1]})[:-1]},{text}"
        for name, text in wanted
        if name in titles
    )
    return f'{dump(entry)[:-1]},"curves":[{curves_json}]}}'
