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


VOLUMES = """
executors:
  box:
    type: docker
    image: x
    volumes: ["./here:/a", "./nowhere:/b:ro", "/no/such:/c", "named:/d", "~/not-there:/e"]
  unused: {type: docker, image: x, volumes: ["/unused:/a"]}
tasks: {a: {command: "true", executor: box}, b: {command: "true"}}
"""


def test_files_that_an_executor_needs_are_looked_for_on_demand(exp: Exp) -> None:
    """A source of a volume that is missing is found before a task fails with it, hours later."""
    (exp.folder / "here").mkdir()
    env = {"DOCKER_HOST": "unix:///nonexistent.sock", "HOME": str(exp.folder)}
    spec = exp.spec(VOLUMES)
    engines = exp("validate", spec, "--engines", "--json", env=env, code=6).json["engines"]
    missing = [entry["message"] for entry in engines if "does not exist" in entry["message"]]
    paths = [f"{exp.folder}/nowhere", "/no/such", f"{exp.folder}/not-there"]
    assert missing == [f"box needs {path}, which does not exist" for path in paths]
    assert all(entry["remedy"] for entry in engines if not entry["is_well"])
    exp("validate", spec, env=env)


def test_a_missing_file_is_a_problem(exp: Exp) -> None:
    """A spec that is not there, or is a folder, is told as that."""
    assert "nothing.yaml" in exp("validate", "nothing.yaml", code=2).stderr
    assert str(exp.folder) in exp("validate", exp.folder, code=2).stderr
