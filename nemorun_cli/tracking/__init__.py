"""Tracking: params, metrics, logs, files and tracks of a program, as plain files under a prefix.

Importing this takes milliseconds, starts no thread and never touches the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.tracking.experiment import Experiment, ml_dash_experiment

if TYPE_CHECKING:
    from nemorun_cli.tracking.reading import Record, close_openings, prefixes, record

__all__ = ["Experiment", "Record", "close_openings", "ml_dash_experiment", "prefixes", "record"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from nemorun_cli.tracking import reading  # noqa: PLC0415 - programs that only write need none of it

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
