"""`dxp`: an experiment that is ready to be started, at the prefix of `RUN`."""

from __future__ import annotations

from typing import Final

from nemorun_cli.dash.experiment import Experiment

__all__ = ["dxp"]

dxp: Final = Experiment()
