"""What tests of ML-Dash's names share: a folder of their own, and settings that are restored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.dash.run import FIELDS, RUN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Tests run in an empty folder, in no task, and leave the settings of the process as they were."""
    for name in list(os.environ):
        if name.startswith(("EXP_", "SLURM_", "RANK", "OMPI_", "PMI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    settings = {name: getattr(RUN, name) for name in FIELDS}
    yield
    for name, value in settings.items():
        setattr(RUN, name, value)
