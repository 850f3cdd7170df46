"""Tracking: params, metrics, logs, files and tracks of a program, as plain files under a prefix.

Importing this package takes milliseconds, starts no thread and never touches the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nemorun_cli.tracking.access.reader import Record, close_openings, prefixes, record
    from nemorun_cli.tracking.experiment import Experiment, ml_dash_experiment

__all__ = ["Experiment", "Record", "close_openings", "ml_dash_experiment", "prefixes", "record"]


_OF_PROGRAMS = ("Experiment", "ml_dash_experiment")


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: programs load no reader, and supervisors no writer."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module: Any
    if name in _OF_PROGRAMS:
        from nemorun_cli.tracking import experiment  # noqa: PLC0415 - as the docstring explains

        module = experiment
    else:
        from nemorun_cli.tracking.access import reader  # noqa: PLC0415 - the same

        module = reader
    value = globals()[name] = getattr(module, name)
    return value
