"""Searches in tests of supervisors that are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from support.patience import eventually

from nemorun_cli.errors import ExpError
from nemorun_cli.experiment.run import find
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    import pytest
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

LOSS: Final = {"train": r"step=(?P<step>\d+) loss=(?P<loss>\S+)"}
"""The patterns of what the programs print."""
X: Final = {"type": "float", "low": -1, "high": 1}


def killed(
    workspace: ExpWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    run: Run | None,
    moment: str,
    *,
    tasks: dict[str, Any],
) -> Run:
    """The experiment, started with these tasks or resumed, after its supervisor has died at a moment."""
    with monkeypatch.context() as patch:
        patch.setenv(crashpoints.VARIABLE, moment)
        try:
            if run is None:
                run = workspace.start(tasks)
            else:
                run.resume()
        except ExpError:
            run = find(home=workspace.home)
    eventually(lambda: run.status(observe=False).supervisor in {"gone", "ended"})
    return run
