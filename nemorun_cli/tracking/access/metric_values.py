"""The values that the metrics of one task end with, read from a record for the choice of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.model import metric_keys
from nemorun_cli.tracking.access.reader import belongs
from nemorun_cli.tracking.store import row_files, row_selection, row_series
from nemorun_cli.tracking.store import sessions as opened
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.record_paths import Place, absolute, check_prefix, decode_name
from nemorun_cli.tracking.store.row_origins import Origins
from nemorun_cli.tracking.store.row_selection import NOT_PLOTTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.tracking.store.row_selection import Statistics

MEASURED: Final = "system"  # the series of what supervisors measured; read only for keys that begin with it


class MetricValues(NamedTuple):
    """The statistics of a metric; `shown` is its last value as text, if it is no number."""

    statistics: Statistics
    shown: str | None = None


def of_task(
    root: str,
    prefix: str,
    keys: Sequence[str],
    *,
    exp_id: str,
    task: str,
    report: Callable[[str], None],
) -> dict[Field, MetricValues]:
    """The metrics that one of several keys may mean of what a task wrote in a record; empty without one.

    Rows that a later attempt repeats do not count.

    Args:
        root: the folder of records.
        prefix: the record.
        keys: keys without an aggregate, such as `loss`; see `metric_keys.matching`.
        exp_id: the experiment.
        task: its task.
        report: called with a message for each damaged line, which is ignored.

    Raises:
        UsageError: the prefix could leave the root.
        LedgerError: the record cannot be read.
    """
    place = Place(absolute(root, what="dash_root"), check_prefix(prefix))
    folders = row_files.names(place.metrics)
    if not folders:
        return {}
    sessions, _ = opened.read_all(place)
    openings = [session.id for session in sessions if belongs(session, exp_id=exp_id, task=task)]
    if not openings:
        return {}
    origins = Origins(place.openings)
    values: dict[Field, MetricValues] = {}
    for folder in folders:
        series = decode_name(folder)
        if series == MEASURED and not any(key.startswith(MEASURED) for key in keys):
            continue
        rows, _, skipped = row_series.read(place.metric(series), origins, openings=openings)
        for flaw in row_files.damaged(skipped):
            report(f"ignored {flaw.message}")
        statistics = {(series, name): each for name, each in row_selection.statistics(rows).items()}
        titles = {field: metric_keys.plain(field) for field in statistics if field[1] not in NOT_PLOTTED}
        matching = [field for key in keys for field in metric_keys.matching(key, titles)]
        ends = row_selection.ends_without_number(rows, (field[1] for field in matching))
        for field in matching:
            shown = dump(ends[field[1]]) if field[1] in ends else None
            values[field] = MetricValues(statistics[field], shown)
    return values
