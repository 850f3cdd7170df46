"""The labels of the objects that `exp` makes in a Docker engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from nemorun_cli.storage.paths import ExperimentFiles

LABEL: Final = "nemorun."  # the prefix of our labels


def of_experiment(files: ExperimentFiles) -> dict[str, str]:
    """The labels of all objects of an experiment."""
    real = ExperimentFiles(Path(os.path.realpath(files.directory)))
    return {LABEL + "experiment": files.id, LABEL + "home": str(real.home)}
