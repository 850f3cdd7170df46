"""`exp params`: the params that experiments and their tasks recorded."""

from __future__ import annotations

from typing import Final

from nemorun_cli.cli import tables, terminal
from nemorun_cli.cli.options import (
    DashRoot,
    ExperimentOrPrefix,
    Json,
    RawTexts,
    TableFormat,
    TaskOrNone,
    table_format,
)
from nemorun_cli.cli.tables import Column
from nemorun_cli.cli.text_formats import cell, require_csv, write_csv
from nemorun_cli.experiment.records import documents, series, targets
from nemorun_cli.tracking.store.json_values import dump

COLUMNS: Final = (Column("RECORD"), Column("PARAM"), Column("VALUE", is_flexible=True))
CSV: Final = ("prefix", "task", "param", "value")


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    format_: TableFormat = "table",
    raw: RawTexts = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> None:
    """Show the params of experiments and tasks.

    Examples:
      exp params                    params of the latest experiment
      exp params training train     params of one task
      exp params sweeps/ --format csv    params of all records below a prefix
    """
    form = table_format(format_, is_json=is_json)
    require_csv(form, raw=raw)
    chosen = targets.target(which, task, dash_root=dash_root).choose()
    if form == "json":
        terminal.write_json(documents.params(chosen), dump=dump)
        return
    values = [(record, name, value) for record in chosen for name, value in record.params().items()]
    if form == "csv":
        rows = [
            [record.record.prefix, record.task or "", name, cell(value)] for record, name, value in values
        ]
        write_csv(CSV, rows, raw=raw)
    elif values:
        tables.show(COLUMNS, [[record.label, name, series.text(value)] for record, name, value in values])
    else:
        terminal.say("hint: no params were recorded; tasks set them with experiment.params.set(lr=0.1)")
