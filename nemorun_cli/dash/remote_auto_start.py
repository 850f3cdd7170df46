"""`rdxp`, which needs ML-Dash's server: there is no remote mode yet."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The error of a name that is not available."""
    from nemorun_cli import dash  # noqa: PLC0415 - only needed for an error

    return getattr(dash, name)
