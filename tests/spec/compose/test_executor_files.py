from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

USER = """
executors:
  cluster: {type: slurm, partition: a100, time: "02:00:00"}
  bare: {type: local, env_inherit: none, env: {WHOSE: user}}
  strange: {type: nosuch}
"""
SPEC = "name: x\ntasks: {t: {inline: echo, executor: bare}}\n"


@pytest.fixture
def user(exp: Exp) -> Path:
    """The user's own file."""
    exp.home.mkdir()
    path = exp.home / "executors.yaml"
    path.write_text(USER)
    return path


def project(exp: Exp, text: str) -> Path:
    """A project's file, above the folder of the specs."""
    path = exp.folder / ".nemorun" / "executors.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def places(exp: Exp, spec: Path, *options: str) -> dict[str, tuple[str, str | None]]:
    """Where the executors of a spec come from, as `exp validate` says it."""
    found = exp("validate", spec, "--json", *options).json["executors"]
    return {one["name"]: (one["origin"], one["file"]) for one in found}


def env(exp: Exp, spec: Path, name: str) -> str:
    """A variable of the first task, as the dry run shows it."""
    found: str = exp("run", spec, "--dry-run", "--json").json["tasks"][0]["env"][name]
    return found


def test_the_spec_goes_before_the_project_and_that_before_the_user(exp: Exp, user: Path) -> None:
    """Executors are looked for in the spec, the project's file and the user's; the nearest counts whole."""
    spec = exp.spec(SPEC, name="deep/down/spec.yaml")
    assert places(exp, spec) == {"bare": ("user", str(user))}
    assert env(exp, spec, "WHOSE") == "user"

    nearest = project(exp, "executors: {bare: {type: local, env: {WHOSE: project}}}\n")
    assert places(exp, spec) == {"bare": ("project", str(nearest))}
    assert env(exp, spec, "WHOSE") == "project"

    exp.spec(SPEC + "executors: {bare: {type: local, env: {WHOSE: spec}}}\n", name="deep/down/spec.yaml")
    assert places(exp, spec) == {"bare": ("spec", str(spec))}
    assert env(exp, spec, "WHOSE") == "spec"


@pytest.mark.usefixtures("user")
def test_an_executor_lies_over_the_one_of_its_name_further_out(exp: Exp) -> None:
    """`extends` with an entry's own name means the project's or the user's, at each level."""
    project(exp, "executors: {cluster: {extends: cluster, account: team}}\n")
    spec = exp.spec(
        "executors: {cluster: {extends: cluster, time: '00:10:00'}}\n"
        "tasks: {t: {inline: echo, executor: cluster}}\n"
    )

    (task,) = exp("run", spec, "--dry-run", "--json").json["tasks"]

    assert {"--account=team", "--partition=a100", "--time=00:10:00"} <= set(task["details"]["sbatch"])


@pytest.mark.usefixtures("user")
def test_an_executor_extends_another_one(exp: Exp) -> None:
    """An entry may lie over any other by its name, `local` too; what it takes may itself extend."""
    spec = exp.spec(
        "executors:\n"
        "  warm: {extends: bare, env: {HEAT: 'on'}}\n"
        "  hot: {extends: warm, env: {HEAT: high}}\n"
        "  here: {extends: local, env: {HEAT: none}}\n"
        "tasks: {t: {inline: echo, executor: hot}, u: {inline: echo, executor: here}}\n"
    )

    tasks = exp("run", spec, "--dry-run", "--json").json["tasks"]

    assert (tasks[0]["env"]["HEAT"], tasks[0]["env"]["WHOSE"], tasks[0]["env_inherit"]) == (
        "high",
        "user",
        "none",
    )
    assert (tasks[1]["env"]["HEAT"], tasks[1]["type"]) == ("none", "local")


@pytest.mark.usefixtures("user")
def test_what_no_task_names_is_left_out(exp: Exp) -> None:
    """Executors outside that a spec does not use are not its business: not checked, not kept."""
    exp("run", exp.spec(SPEC))

    assert exp("show", "--json").json["spec"]["executors"].keys() == {"local", "bare"}


@pytest.mark.usefixtures("user")
def test_names_in_expressions_and_options_find_executors_outside(exp: Exp) -> None:
    """A name that a param or `--set` gives is looked for outside too, and `--set` changes what is found."""
    spec = exp.spec("params: {where: local}\ntasks: {t: {inline: echo, executor: '${{ params.where }}'}}\n")
    (exp.home / "executors.yaml").write_text(USER.replace("  strange: {type: nosuch}\n", ""))

    assert places(exp, spec, "-p", "where=bare")["bare"][0] == "user"
    assert (
        places(exp, exp.spec("tasks: {t: {inline: echo}}\n"), "--set", "executor=bare")["bare"][0] == "user"
    )
    options = ["--set", "executor=cluster", "--set", "executors.cluster.qos=high"]
    (task,) = exp("run", exp.spec("tasks: {t: {inline: echo}}\n"), "--dry-run", "--json", *options).json[
        "tasks"
    ]
    assert {"--partition=a100", "--qos=high"} <= set(task["details"]["sbatch"])


def test_problems_are_told_in_the_file_of_executors(exp: Exp, user: Path) -> None:
    """What is wrong with an executor is told where it is described, with all it extends."""
    user.write_text("executors:\n  bare: {type: local, env_inherit: some}\n")
    assert f"{user}:2:36: executors.bare.env_inherit" in exp("validate", exp.spec(SPEC), code=2).stderr

    user.write_text("executors:\n  a: {extends: b}\n  b: {extends: a}\n  bare: {extends: a}\n")
    told = exp("validate", exp.spec(SPEC), code=2).stderr
    assert f"{user}:3:16: executors.b.extends: forms a cycle: a → b → a" in told

    user.write_text("executors: {bare: {extends: bare}}\n")
    told = exp("validate", exp.spec(SPEC), code=2).stderr
    assert f"{user}:1:29: executors.bare.extends: no other executor is called 'bare'" in told

    user.write_text("tasks: {}\nexecutors: {local: {type: local}, bare: {type: local}}\n")
    told = exp("validate", exp.spec(SPEC), code=2).stderr
    assert f"{user}:1:1: tasks: tasks is not allowed in an executor file" in told
    assert f"{user}:2:13: executors.local: cannot be redefined here" in told


def test_unknown_executors_are_told_with_those_outside(exp: Exp, user: Path) -> None:
    """The names that a wrong one could have been include the project's and the user's."""
    spec = exp.spec("tasks: {t: {inline: echo, executor: clustr}}\n")

    assert "did you mean cluster?" in exp("validate", spec, code=2).stderr
    user.unlink()
    assert "there are: local" in exp("validate", spec, code=2).stderr


def test_a_file_without_executors_is_none(exp: Exp, user: Path) -> None:
    """A file that is empty, or whose lines are all commented out, describes nothing and is no problem."""
    for text in ("", "# executors:\n", "executors: {}\n"):
        user.write_text(text)
        assert (
            "no executor is called 'bare' (there are: local)"
            in exp("validate", exp.spec(SPEC), code=2).stderr
        )


def test_paths_of_executors_lead_from_their_file(exp: Exp) -> None:
    """An env file of a project's executor lies beside the project's file."""
    path = project(exp, "executors: {bare: {type: local, env_file: bare.env}}\n")
    (path.parent / "bare.env").write_text("FROM=project\n")

    assert env(exp, exp.spec(SPEC, name="sub/spec.yaml"), "FROM") == "project"


def test_folders_that_anybody_may_write_are_no_projects(exp: Exp) -> None:
    """What lies in a folder like /tmp may be anybody's, and is passed over."""
    project(exp, "executors: {bare: {type: local}}\n")
    spec = exp.spec(SPEC, name="sub/spec.yaml")
    exp("validate", spec)

    exp.folder.chmod(0o777)

    assert "no executor is called 'bare'" in exp("validate", spec, code=2).stderr


@pytest.mark.usefixtures("user")
def test_an_experiment_goes_on_without_the_files_it_came_from(exp: Exp) -> None:
    """What was extended, included and described outside is kept: a resume needs none of it."""
    exp.spec("tasks: {t: {inline: 'test -e go', executor: bare}}\n", name="base.yaml")
    spec = exp.spec("name: x\nextends: base.yaml\n")
    exp("run", spec, code=1)
    for path in (spec, exp.folder / "base.yaml", exp.home / "executors.yaml"):
        path.unlink()
    (exp.folder / "go").touch()

    exp("resume", "x")

    kept = exp.directory("x") / "source.json"
    assert kept.is_file()
