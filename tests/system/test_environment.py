"""What local tasks inherit, and what is remembered of it."""

from __future__ import annotations

import os
import subprocess

import pytest

from nemorun_cli.system import environment


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    environment._inherited.cache_clear()
    for name in ("EXP_ID", "EXP_FAULT", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "outer")
    for name in ("EXPORTED", "SLURMY", "MINE", "EXP_TRUST_OWNER", "EXP_TRACKING"):
        monkeypatch.setenv(name, "kept")
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/here")


@pytest.fixture(autouse=True)
def _forget() -> None:
    environment._inherited.cache_clear()


@pytest.mark.parametrize(
    ("which", "has", "lacks"),
    [
        ("all", {"EXPORTED", "MINE", "EXP_TRUST_OWNER", "EXP_TRACKING"}, {"NOT_THERE"}),
        ("all", {"EXPORTED", "SLURMY", "MINE", "PATH"}, {"EXP_ID", "EXP_FAULT", "SLURM_JOB_ID"}),
        ("none", set(), {"EXPORTED", "MINE", "PATH"}),
        (("MINE", "NOT_THERE"), {"MINE"}, {"EXPORTED", "PATH", "NOT_THERE"}),
        (("EXP_ID",), set(), {"EXP_ID"}),
        (("EXP_TRACKING",), {"EXP_TRACKING"}, {"MINE"}),
    ],
)
def test_inherited_is_all_none_or_what_is_named(
    which: str | tuple[str, ...], has: set[str], lacks: set[str]
) -> None:
    """Nothing of an outer experiment gets through, not even by name; of an allocation, what is named."""
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


def test_named_variables_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of an enclosing job are dropped unless they are named; those of an experiment always are."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert environment.inherited(("SLURM_JOB_ID", "EXP_ID", "NOT_THERE_AT_ALL")) == {"SLURM_JOB_ID": "4711"}
    assert not {"SLURM_JOB_ID", "EXP_ID"} & environment.inherited("all").keys()


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"A": "x" * 100_000}, None),
        ({"A": "x" * (128 << 10)}, "A has more than 128 KiB"),
        ({f"V{n}": "x" * 100_000 for n in range(100)}, "101 variables and the arguments have 9766 KiB"),
    ],
)
def test_an_environment_that_the_system_does_not_take(env: dict[str, str], told: str | None) -> None:
    """What would end as E2BIG is told before, with its sizes; what is told fails in fact."""
    env = {"PATH": "/usr/bin:/bin", **env}
    if told is None:
        environment.require_fit(env, ["true"])
        assert subprocess.run(["true"], env=env, check=False).returncode == 0
        return
    with pytest.raises(OSError, match="too big") as raised:
        environment.require_fit(env, ["true"])
    assert told in str(raised.value)
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run(["true"], env=env, check=False)


def test_what_secrets_come_from_is_withheld_meanwhile() -> None:
    """A task inherits it if it has the secret, or names the variable; afterwards the process has it again."""
    with environment.withholding({"MINE": "kept", "GONE": "value"}):
        assert "MINE" not in os.environ
        assert not {"MINE", "GONE"} & environment.inherited("all").keys()
        assert environment.inherited("all", secrets=["value"])["GONE"] == "value"
        assert environment.inherited(("GONE", "EXPORTED")) == {"GONE": "value", "EXPORTED": "kept"}
        assert environment.inherited("none", secrets=["value"]) == {}
        assert environment.withheld(("GONE", "EXPORTED")) == {"GONE": "value"}
    assert environment.inherited("all")["MINE"] == "kept"
    assert "GONE" not in os.environ
    assert environment.withheld(("GONE",)) == {}
