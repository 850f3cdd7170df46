"""The titles of the columns of a comparison, no two the same; those of params and metrics are keys, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.experiment.records.row_keys import PARAMS, RECORD
from nemorun_cli.model import metric_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nemorun_cli.experiment.records.compare import Comparison
    from nemorun_cli.experiment.records.row_keys import Key

EXPERIMENT: Final = "EXPERIMENT"
NAME: Final = "RECORD"
STATUS: Final = "STATUS"
TASK: Final = "TASK"
RUNS: Final = "RUNS"
OWN: Final = frozenset({EXPERIMENT, NAME, STATUS, TASK, RUNS})  # the columns of records and of groups
PARTS: Final = ("mean", "std", "n")  # the columns of a metric of groups, behind its title


def of_metrics(compared: Comparison) -> list[str]:
    """The titles of the metrics: their keys, or exact keys where another column has such a title."""
    return [_of_metric(key) for key in compared.columns]


def of_groups(compared: Comparison) -> list[str]:
    """The titles of what is known of each metric of groups: `loss mean`, `loss std` and `loss n`."""
    return [f"{title} {part}" for title in of_metrics(compared) for part in PARTS]


def of_params(names: Sequence[str], compared: Comparison) -> list[str]:
    """The titles of params: their names, or `params.NAME` where another column has such a title."""
    taken = _taken(compared)
    return [f"{PARAMS}{name}" if _is_taken(name, taken) else name for name in names]


def of_keys(keys: Sequence[Key], compared: Comparison) -> list[str]:
    """The same for params and fields of the record, which are `record.NAME` there."""
    taken = _taken(compared)
    prefixes = {"param": PARAMS, "record": RECORD}
    return [f"{prefixes[key.kind]}{key.name}" if _is_taken(key.name, taken) else key.title for key in keys]


def _of_metric(key: Key) -> str:
    if key.field is None or not _is_taken(key.title, OWN):
        return key.title
    exact = metric_keys.exact(key.field)
    if exact.startswith((PARAMS, RECORD)):
        exact = exact.replace(".", "%2E", 1)
    return exact if key.aggregate is None else f"{exact}:{key.aggregate}"


def _taken(compared: Comparison) -> set[str]:
    return {*OWN, *compared.known, *of_metrics(compared), *of_groups(compared)}


def _is_taken(name: str, taken: Collection[str]) -> bool:
    return name in taken or name.startswith((PARAMS, RECORD))
