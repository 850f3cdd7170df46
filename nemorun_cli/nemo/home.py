"""The home by NeMo-Run's functions."""

from __future__ import annotations

import os

from nemorun_cli.storage.paths import HOME_VARIABLE, Home


def get_nemorun_home() -> str:
    """The folder of all experiments, `$NEMORUN_HOME` or `~/.nemo_run`."""
    return str(Home.configured().directory)


def set_nemorun_home(home: str | os.PathLike[str]) -> None:
    """Set `$NEMORUN_HOME` for this program and what it starts."""
    os.environ[HOME_VARIABLE] = os.fspath(home)
