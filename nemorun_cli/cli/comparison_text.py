"""Comparisons as cells of tables, CSV and Markdown, and as messages: who is the best, who was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import tables, text_formats
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment.records import column_titles, series
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nemorun_cli.cli.text_formats import Cell
    from nemorun_cli.experiment.records.compare import Best, Comparison
    from nemorun_cli.experiment.records.compared_row import ComparedRow
    from nemorun_cli.experiment.records.grouping import GroupedComparison, RowGroup, Spread

MOST_NAMED: Final = 5  # rows that one message names
_PLURALS: Final = {"is": "are", "was": "were", "has": "have"}


def rounded(value: Any) -> str:
    """A value in a table for people."""
    text = series.text(value)
    return text if isinstance(value, str) else text_formats.NumberText(text)


def apart(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The rows, in which a text is quoted that looks like another value of its column: "0.1" next to 0.1."""
    columns = []
    for column in zip(*rows, strict=True):
        others = {series.text(value) for value in column if not isinstance(value, str)}
        columns.append(
            [dump(value) if isinstance(value, str) and value in others else value for value in column]
        )
    return [[*row] for row in zip(*columns, strict=True)] if columns else [[] for _ in rows]


def columns_of(compared: Comparison, params: list[str], *, named: Collection[str | None]) -> list[Column]:
    """The columns, params before metrics; a column that is `named` is never dropped."""
    metrics = column_titles.of_metrics(compared)
    return [
        *([Column(column_titles.EXPERIMENT)] if _is_several(compared.rows) else []),
        Column(column_titles.NAME),
        Column(column_titles.STATUS),
        *tables.values(column_titles.of_params(params, compared), kept=named, before=len(metrics)),
        *tables.values(metrics, kept=named),
    ]


def values_of(compared: Comparison, params: list[str]) -> list[list[Any]]:
    """The values in these columns."""
    is_several = _is_several(compared.rows)
    return [
        [
            *([row.of.experiment or ""] if is_several else []),
            row.of.label,
            str(row.of.status),
            *(row.params.get(name) for name in params),
            *(key.get(row) for key in compared.columns),
        ]
        for row in compared.rows
    ]


def _is_several(all_rows: Sequence[ComparedRow]) -> bool:
    return len({row.of.experiment for row in all_rows}) > 1


def group_table(grouped: GroupedComparison, *, named: Collection[str | None]) -> tuple[list[Column], Any]:
    """The columns and cells of groups for people: `0.31 ±0.02`."""
    is_of_tasks = any(group.task for group in grouped.groups)
    by = column_titles.of_keys(grouped.by, grouped.of)
    columns = [
        *([Column(column_titles.TASK)] if is_of_tasks else []),
        *tables.values(by, kept=by),
        Column(column_titles.RUNS, is_number=True),
        Column(column_titles.STATUS),
        *tables.values(column_titles.of_metrics(grouped.of), kept=named),
    ]
    by_group = apart([[*group.values.values()] for group in grouped.groups])
    cells = [
        [
            *([group.task or ""] if is_of_tasks else []),
            *map(rounded, values),
            str(len(group.members)),
            _statuses(group),
            *(_spread_text(group.spread(key), len(group.members)) for key in grouped.of.columns),
        ]
        for group, values in zip(grouped.groups, by_group, strict=True)
    ]
    return columns, cells


def group_values(grouped: GroupedComparison) -> tuple[list[str], list[list[Cell]]]:
    """The titles and cells of groups for programs: mean, deviation and count have a column each."""
    by_group = apart([[*group.values.values()] for group in grouped.groups])
    cells = [
        [
            text_formats.cell(value)
            for value in (
                group.task,
                *values,
                len(group.members),
                _statuses(group),
                *(
                    value
                    for spread in map(group.spread, grouped.of.columns)
                    for value in (spread.mean, spread.std, spread.n)
                ),
            )
        ]
        for group, values in zip(grouped.groups, by_group, strict=True)
    ]
    titles = [
        column_titles.TASK,
        *column_titles.of_keys(grouped.by, grouped.of),
        column_titles.RUNS,
        column_titles.STATUS,
        *column_titles.of_groups(grouped.of),
    ]
    return titles, cells


def _statuses(group: RowGroup) -> str:
    """The status of all members, or the number of those in each."""
    counts = group.statuses
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())


def _spread_text(spread: Spread, members: int) -> str:
    if spread.mean is None:
        return ""
    deviation = "" if spread.std is None else f" ±{series.text(float(f'{spread.std:.2g}'))}"
    count = "" if spread.n == members else f" (n={spread.n})"
    return f"{series.text(spread.mean)}{deviation}{count}"


def group_notes(grouped: GroupedComparison, *, is_named: bool) -> Iterator[str]:
    """What was averaged, and which values could not be.

    Args:
        grouped: the groups.
        is_named: whether the user named the params that may differ.
    """
    if grouped.over and not is_named:
        yield f"note: averaged over {_listed(grouped.over)}; --over names the params that may differ"
    incomplete = []
    for key in grouped.of.columns:
        spreads = [group.spread(key) for group in grouped.groups]
        parts = [
            f"{count} {text}"
            for count, text in (
                (sum(each.not_finite for each in spreads), "not finite"),
                (sum(each.missing for each in spreads), "missing"),
            )
            if count
        ]
        if parts:
            incomplete.append(f"{key.title}: {' and '.join(parts)}")
    if incomplete:
        yield f"note: {_listed(incomplete)}; n counts the values that were averaged"
    if grouped.ties:
        labels = _listed([group.label for group in grouped.ties])
        yield f"note: as good as the best group: {labels}"


def best_notes(best: Best, *, is_grouped: bool = False, is_drawn: bool = False) -> Iterator[str]:
    """Who could not be the best, and who is as good, unless groups are compared or several rows are drawn."""
    all_rows = [*best.ranked, *(row for row, _ in best.excluded)]
    is_several = _is_several(all_rows)

    def named(row: ComparedRow) -> str:
        return f"{row.of.experiment} {row.of.label}" if is_several and row.of.experiment else row.of.label

    reasons: dict[str, list[str]] = {}
    for row, excluded in best.excluded:
        reasons.setdefault(excluded.message, []).append(named(row))
    for message, names in list(reasons.items())[:MOST_NAMED]:
        what = message if len(names) == 1 else _of_several(message)
        yield f"note: not considered for the best: {_listed(names)} {what}"
    if len(reasons) > MOST_NAMED:
        rest = sum(len(names) for names in list(reasons.values())[MOST_NAMED:])
        yield f"note: not considered for the best: {rest} more for other reasons; all of them: --json"
    if best.ties and not (is_grouped or is_drawn):
        yield f"note: as good as the best: {_listed([named(row) for row in best.ties])}"
    if best.winner is None:
        yield (
            f"no record qualifies as the best by {best.key.title}: it has to be COMPLETED and to end with a "
            "finite value"
        )
    if best.winner is None and not is_drawn:
        order = " --descending" if best.goal == "maximize" else ""
        yield f"hint: for records in any state: --sort {best.key.title}{order} --limit 1"


def _of_several(message: str) -> str:
    """A reason as several rows have it: `are FAILED` instead of `is FAILED`."""
    verb, _, rest = message.partition(" ")
    return f"{_PLURALS.get(verb, verb)} {rest}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
