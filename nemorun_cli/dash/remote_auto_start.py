"""`rdxp`: an experiment that is ready to be started, at the prefix of `RUN`, on the default server."""

from __future__ import annotations

from typing import Any

from nemorun_cli.dash.experiment import Experiment


def __getattr__(name: str) -> Any:
    """`rdxp`, made at its first use: it needs a server to be known.

    Raises:
        InvalidValueError: none is.
    """
    if name != "rdxp":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = Experiment(dash_url=True, dash_root=None)
    return value
