"""What tests of tracking share: a folder for records, and real programs that write them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import patience
from support.programs import Program

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENVIRONMENT = ("EXP_", "SLURM_", "RANK", "OMPI_", "PMI_")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests run in a folder and with a home of their own, and know of no experiment around them."""
    for name in list(os.environ):
        if name.startswith(ENVIRONMENT):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where records go."""
    return tmp_path / "dash"


@pytest.fixture
def program(root: Path, tmp_path: Path) -> Iterator[Program]:
    """Runs Python programs that track."""
    programs = Program(root, tmp_path)
    yield programs
    programs.end()


@pytest.fixture
def experiment(root: Path) -> Iterator[Experiment]:
    """An open record that prints nothing."""
    opened = Experiment("owner/project/name", dash_root=root, print_logs=False)
    with opened.run:
        yield opened


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds, and fails if it never does."""
    return patience.eventually
