"""What local tasks inherit, and what is remembered of it."""

from __future__ import annotations

import os

import pytest

from nemorun_cli.system import environment


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    environment._inherited.cache_clear()
    for name in ("EXP_ID", "EXP_FAULT", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "outer")
    for name in ("EXPORTED", "SLURMY", "MINE"):
        monkeypatch.setenv(name, "kept")
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/here")


@pytest.fixture(autouse=True)
def _forget() -> None:
    environment._inherited.cache_clear()


@pytest.mark.parametrize(
    ("which", "has", "lacks"),
    [
        ("all", {"EXPORTED", "SLURMY", "MINE", "PATH"}, {"EXP_ID", "EXP_FAULT", "SLURM_JOB_ID"}),
        ("none", set(), {"EXPORTED", "MINE", "PATH"}),
        (("MINE", "NOT_THERE"), {"MINE"}, {"EXPORTED", "PATH", "NOT_THERE"}),
        (("EXP_ID",), set(), {"EXP_ID"}),
    ],
)
def test_inherited_is_all_none_or_what_is_named(
    which: str | tuple[str, ...], has: set[str], lacks: set[str]
) -> None:
    """Nothing of an outer experiment or allocation gets through, not even by name."""
    found = environment.inherited(which)
    assert has <= found.keys()
    assert not lacks & found.keys()


def test_caller_gets_a_copy() -> None:
    """What one task's environment is changed to is not another's."""
    environment.inherited("all")["MINE"] = "changed"
    assert environment.inherited("all")["MINE"] == "kept"


def test_differences_name_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume can tell which of the recorded variables are not what they were."""
    before = environment.recorded()
    assert environment.differences(before) == []
    monkeypatch.setenv("PATH", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/other")
    assert environment.differences(before) == ["PATH", "VIRTUAL_ENV"]
    assert environment.differences({}) == []
