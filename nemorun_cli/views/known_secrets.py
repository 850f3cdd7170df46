"""The secrets that are masked in what an experiment shows; none is read for one from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.spec import secret_values
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState


def of_experiment(files: ExperimentFiles, spec: Spec, history: ExperimentState) -> dict[str, str]:
    """The values by name, as far as they are at hand; no command is run."""
    if not secret_values.names_in_use(spec):
        return {}
    is_own = creation_mark.is_own(Home(files.home), files, spec, history.supervisor)
    return secret_values.known(spec, reads_files=is_own)
