"""Tracking: params, metrics, logs, files and tracks of a program, as plain files under a prefix.

Importing this takes milliseconds, starts no thread and never touches the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nemorun_cli.tracking.access.reader import Record, close_openings, prefixes, record
    from nemorun_cli.tracking.experiment import Experiment, ml_dash_experiment

__all__ = ["Experiment", "Record", "close_openings", "ml_dash_experiment", "prefixes", "record"]


_OF_PROGRAMS = ("Experiment", "ml_dash_experiment")


def __getattr__(name: str) -> Any:
    """The public name, imported at its first use: who only writes needs no reading, a supervisor neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home: Any
    if name in _OF_PROGRAMS:
        from nemorun_cli.tracking import experiment as home  # noqa: PLC0415 - as the docstring says
    else:
        from nemorun_cli.tracking import experiment as home  # noqa: PLC0415 - the same
    value = globals()[name] = getattr(home, name)
    return value
