from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.workspace import Exp


def test_init_writes_a_spec_that_runs_as_it_is(exp: Exp) -> None:
    """What it writes has no problems, runs, and gives its outputs on."""
    assert exp("init", "first").stdout == "first.yaml\n"
    exp("validate", "first.yaml")
    exp("run", "first.yaml", "-p", "steps=2")
    assert exp.status("first")["status"] == "COMPLETED"
    assert exp("logs", "first", "report").stdout == "small: 2\nlarge: 20\n"


def test_init_needs_no_name(exp: Exp) -> None:
    """Without a name there is one to start with."""
    assert exp("init").stdout == "experiment.yaml\n"
    exp("validate", "experiment.yaml")


def test_init_overwrites_nothing(exp: Exp) -> None:
    """A file that is there stays as it is."""
    spec = exp.spec("mine", "first.yaml")
    assert "already exists" in exp("init", "first", code=2).stderr
    assert spec.read_text() == "mine"


def test_init_takes_a_path(exp: Exp) -> None:
    """A path with its ending is taken as it is, and the experiment is named after the file."""
    (exp.folder / "specs").mkdir()
    assert exp("init", "specs/study.yml").stdout == "specs/study.yml\n"
    assert "\nname: study\n" in (exp.folder / "specs" / "study.yml").read_text()


@pytest.mark.parametrize(
    "name", ["", "latest", "123", "attempt-1", "..", "a b", "é", "x" * 300, "-", "nowhere/a"]
)
def test_init_refuses_what_cannot_be_a_name(exp: Exp, name: str) -> None:
    """Nothing is written under a name that no experiment can have."""
    exp("init", "--", name, code=2)
    assert list(exp.folder.iterdir()) == []
