"""The JSON documents about params and metrics, for the commands and for Python."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.experiment.records import targets
from nemorun_cli.model import metric_keys
from nemorun_cli.tracking.params import nested
from nemorun_cli.tracking.store.row_selection import NOT_PLOTTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.experiment.records.series import Series
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.json_documents import MetricsDocument, ParamsDocument
    from nemorun_cli.tracking.store.row_series import Attempts

METRICS_FORMAT: Final = "exp.metrics/1"
PARAMS_FORMAT: Final = "exp.params/1"
MOST_NAMED: Final = 20  # metrics that the error about an unknown one lists


def params(chosen: Sequence[TargetRecord]) -> ParamsDocument:
    """The document `exp.params/1`."""
    values = [(record, record.params()) for record in chosen]
    records = [{**record.to_json(), "params": flat, "nested": nested(flat)} for record, flat in values]
    return cast("ParamsDocument", {"schema": PARAMS_FORMAT, "records": records})


def metrics(all_series: Sequence[Series]) -> MetricsDocument:
    """The document `exp.metrics/1`."""
    entries = [{**series.of.to_json(), **series.to_json()} for series in all_series]
    return cast("MetricsDocument", {"schema": METRICS_FORMAT, "series": entries})


def read_series(
    chosen: Sequence[TargetRecord],
    *,
    wanted: Sequence[str] = (),
    tail: int | None = None,
    attempts: Attempts = None,
    explain: Callable[[str], str | None] = lambda _: None,
) -> list[Series]:
    """The series of records that contain a requested field; see `series.read`.

    `explain` returns why no record has a key; None if that is not known.

    A key with glob characters that is the name of a field, in any row, means this field alone.

    Raises:
        UsageError: a key selects nothing, although metrics were logged.
        NotFoundError: no record has an attempt of this number.
    """
    require_attempt(chosen, attempts)
    chosen = targets.of_attempts(chosen, attempts)

    def read(wanted: Sequence[str] = (), *, tail: int | None = None) -> list[Series]:
        return [
            series
            for record in chosen
            for series in measures.read(record, wanted=wanted, tail=tail, attempts=attempts)
        ]

    all_series = read(wanted, tail=tail)
    if metric_keys.has_glob(wanted):
        every = all_series if tail is None else read(wanted)
        if (literal := metric_keys.literal(wanted, measures.fields(every))) != list(wanted):
            wanted, all_series = literal, measures.narrowed(all_series, literal)
    all_series = _unambiguous(all_series, wanted)
    if not (missing := _missing(wanted, measures.fields(all_series))):
        return all_series
    known = measures.fields(read())
    if known and (missing := _missing(missing, known)):
        listed = ", ".join(list(metric_keys.titles(known).values())[:MOST_NAMED])
        why = f": {text}" if (text := explain(missing[0])) else ""
        raise UsageError(f"there is no metric {missing[0]!r}{why}", hint=f"there are: {listed}")
    return all_series


def require_attempt(chosen: Sequence[TargetRecord], attempts: Attempts) -> None:
    """Raise unless one of the records has this attempt, if a number is given and there are records.

    Raises:
        NotFoundError: none has it; the message lists those there are.
    """
    if isinstance(attempts, int):
        known = sorted({number for record in chosen for number in record.attempts})
        if known and attempts not in known:
            raise NotFoundError(
                f"there is no attempt {attempts}", hint=f"there are: {', '.join(map(str, known))}"
            )


def _unambiguous(all_series: list[Series], wanted: Sequence[str]) -> list[Series]:
    """The series without the fields that share the plain key of another one, which is shown by it."""
    titled = metric_keys.titles(measures.fields(all_series))
    shown = set(titled.values())
    others = {
        field
        for field, title in titled.items()
        if title != (plain := metric_keys.plain(field))
        and plain in shown & set(wanted)
        and not ((rest := [key for key in wanted if key != plain]) and metric_keys.is_wanted(field, rest))
    }
    if not others:
        return all_series
    kept = []
    for series in all_series:
        dropped = {name for of_series, name in others if of_series == series.name}
        rows, origins = [], []
        for row, origin in zip(series.rows, series.origins, strict=True):
            fields = {name: value for name, value in row.items() if name not in dropped}
            if fields.keys() - NOT_PLOTTED:
                rows.append(fields)
                origins.append(origin)
        if rows:
            kept.append(replace(series, rows=rows, origins=origins))
    return kept


def _missing(keys: Sequence[str], known: Sequence[tuple[str | None, str]]) -> list[str]:
    return [key for key in keys if not any(metric_keys.is_wanted(field, [key]) for field in known)]
