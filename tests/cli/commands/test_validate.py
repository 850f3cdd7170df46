from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.workspace import Exp

GOOD = "name: good\nparams: {n: 1}\ntasks: {a: {command: 'true'}, b: {command: 'true', dependencies: [a]}}\n"


def test_a_good_spec_is_told_as_that(exp: Exp) -> None:
    """A spec without problems is exit code 0, and nothing is created."""
    told = exp("validate", exp.spec(GOOD))
    assert "good, 2 task(s), no problems" in told.stdout
    assert "exp run" in told.stderr
    assert not exp.home.exists()


def test_the_document_names_the_tasks(exp: Exp) -> None:
    """`exp.validate/1` has the name and the ids of the tasks."""
    document = exp("validate", exp.spec(GOOD), "--json").json
    assert (document["schema"], document["name"], document["tasks"]) == ("exp.validate/1", "good", ["a", "b"])
    assert exp("validate", exp.spec(GOOD), "-q").stdout == "a\nb\n"


def test_params_and_fields_are_checked_too(exp: Exp) -> None:
    """What `-p` and `--set` bring is checked like what the file says."""
    exp("validate", exp.spec(GOOD), "-p", "m=1", code=2)
    told = exp("validate", exp.spec(GOOD), "--set", "tasks.a.timeout=never", code=2)
    assert "--set tasks.a.timeout=never" in told.stderr


def test_engines_are_asked_on_demand(exp: Exp) -> None:
    """`--engines` asks each engine that the tasks use."""
    (engine,) = exp("validate", exp.spec(GOOD), "--engines", "--json").json["engines"]
    assert (engine["engine"], engine["is_well"]) == ("local", True)
    assert "local: ok" in exp("validate", exp.spec(GOOD), "--engines").stdout


def test_a_missing_file_is_a_problem(exp: Exp) -> None:
    """A spec that is not there, or is a folder, is told as that."""
    assert "nothing.yaml" in exp("validate", "nothing.yaml", code=2).stderr
    assert str(exp.folder) in exp("validate", exp.folder, code=2).stderr
