"""`exp params`: the params that experiments and their tasks recorded."""

from __future__ import annotations

from typing import Final

from nemorun_cli.cli import tables, terminal
from nemorun_cli.cli.options import DashRoot, ExperimentOrPrefix, Json, TaskOrNone
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment.records import documents, series, targets
from nemorun_cli.tracking.store.json_values import dump

COLUMNS: Final = (Column("RECORD"), Column("PARAM"), Column("VALUE", is_flexible=True))


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> None:
    """Show the params of experiments and tasks.

    Examples:
      exp params                    params of the latest experiment
      exp params training train     params of one task
      exp params sweeps/ --json     params of all records below a prefix
    """
    chosen = targets.target(which, task, dash_root=dash_root).choose()
    if is_json:
        terminal.write_json(documents.params(chosen), dump=dump)
        return
    rows = [
        [record.label, name, series.text(value)]
        for record in chosen
        for name, value in record.params().items()
    ]
    if rows:
        tables.show(COLUMNS, rows)
    else:
        terminal.say("hint: no params were recorded; tasks set them with experiment.params.set(lr=0.1)")
