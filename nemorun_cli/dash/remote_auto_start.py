"""`rdxp`: an experiment that is ready to be started, at the prefix of `RUN`, on the default server."""

from __future__ import annotations

from typing import Final

from nemorun_cli.dash.experiment import Experiment

__all__ = ["rdxp"]

rdxp: Final = Experiment(dash_url=True, dash_root=None)
