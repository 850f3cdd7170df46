"""Promise 9: no name and no value leaves its place, and every value arrives byte for byte."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.workspace import NOTE, log

from nemorun_cli.errors import NotFoundError, SpecError, UsageError
from nemorun_cli.experiment import launch
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

VALUES = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "''\"\"",
    "$HOME",
    "${PATH}",
    "`touch hacked`",
    "$(touch hacked)",
    "; touch hacked;",
    "| touch hacked",
    "&& touch hacked",
    "> hacked",
    "\n touch hacked\n",
    "a\tb",
    "\\",
    "\\n",
    "\\$(x)",
    "*",
    "?",
    "[a]",
    "~",
    "-n",
    "--",
    "-rf /",
    "!!",
    "#",
    "%s%n",
    "é中🙂",
    "../../../hacked",
    "/etc/passwd",
    "a=b",
    "{{ 7 * 7 }}",
    "{% x %}",
    "$" + "{ {params.x} }",
    "true",
    "null",
    "0x10",
    "\u2028",
    "\x7f",
]
NAMES = [
    "../evil",
    "..",
    ".",
    "/etc/x",
    "a/b",
    "a b",
    "a;touch hacked",
    "$(touch hacked)",
    "`x`",
    "-rf",
    "",
    "a\nb",
    "x" * 65,
    "latest",
    "123",
    "attempt-1",
    "é",
    "a\\b",
    "a'b",
    ".hidden",
]


def test_values_arrive_byte_for_byte(workspace: ExpWorkspace) -> None:
    """Arguments, environment and params reach a task as they were given, through every kind of task."""
    keep = {f"V{number}": value for number, value in enumerate(VALUES)}
    show = "import json, os, sys\nnames = [n for n in os.environ if n[0] == 'V' and n[1:].isdigit()]\n"
    show += "print(json.dumps([sys.argv[1:], {n: os.environ[n] for n in names}]))\n"
    (workspace.folder / "show.py").write_text(show)
    (workspace.folder / "mine.py").write_text("import json\ndef f(**given): print(json.dumps(given))\n")
    run = workspace.start(
        {
            "command": {"command": ["python3", "show.py"], "args": VALUES, "env": keep},
            "inline": {"inline": 'exec python3 show.py "$@"', "args": VALUES, "env": keep},
            "script": {"script": "show.py", "entrypoint": "python3", "args": VALUES, "env": keep},
            "partial": {"partial": "mine:f", "args": keep},
        }
    )
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED, [
        log(run, one) for one in ("command", "partial")
    ]
    for kind in ("command", "inline", "script"):
        assert json.loads(log(run, kind)) == [VALUES, keep]
    assert json.loads(log(run, "partial")) == keep
    assert not list(workspace.folder.rglob("*hacked*"))


def test_values_of_expressions_arrive_byte_for_byte(workspace: ExpWorkspace) -> None:
    """What params and outputs hold is a value and never text of a shell, a template or a command line."""
    document = json.dumps([value for value in VALUES if value])
    run = workspace.start(
        {
            "first": {"inline": 'echo "v:=$1" >>"$EXP_OUTPUT"', "args": [document]},
            "then": {
                "command": ["python3", "show.py"],
                "args": [
                    "${{ tasks.first.outputs.v[9] }}",
                    "${{ params.p }}",
                    "a ${{ tasks.first.outputs.v[3] }} b",
                ],
                "dependencies": ["first"],
            },
        },
        params={"p": "$(touch hacked) '${{ nothing }}'".replace("${{", "$ {{")},
    )
    (workspace.folder / "show.py").write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    given = [value for value in VALUES if value]
    assert json.loads(log(run, "then")) == [given[9], "$(touch hacked) '$ {{ nothing }}'", f"a {given[3]} b"]
    assert not list(workspace.folder.rglob("*hacked*"))


@pytest.mark.parametrize("where", ["experiment", "task", "member"])
def test_names_that_could_leave_their_place_are_refused(workspace: ExpWorkspace, where: str) -> None:
    """A name of an experiment, a task or a member that is no plain word creates nothing."""
    for name in NAMES:
        tasks: dict[str, Any] = {"a": NOTE}
        header: dict[str, Any] = {}
        if where == "experiment":
            header = {"name": name}
        elif where == "task":
            tasks = {name: NOTE}
        else:
            tasks = {"g": {"group": [{"name": name, "inline": NOTE}]}}
        with pytest.raises(SpecError):
            workspace.start(tasks, **header)
    assert not workspace.home.directory.exists()
    assert workspace.lines() == []


@pytest.mark.parametrize(
    "key", ["../../evil", "/etc/evil", "a/b", "..", "$(touch hacked)", "x" * 5000, "é\n", "."]
)
def test_key_is_any_text_and_stays_in_its_place(workspace: ExpWorkspace, key: str) -> None:
    """A key may be what it likes; its file lies among the keys."""
    run = launch.run(workspace.spec({"a": ":"}), home=workspace.home, key=key)
    run.wait(timeout=60)
    assert run.status().to_json()["key"] == key
    (path,) = workspace.home.keys.iterdir()
    assert path.is_file()
    assert {entry.name for entry in workspace.home.directory.iterdir()} <= {
        "experiments",
        "key",
        "keys",
        "dash",
    }
    assert not list(workspace.folder.rglob("*evil*"))


def test_empty_names_mean_nothing(workspace: ExpWorkspace) -> None:
    """A name that a script left empty is an error and never a beginning that fits everything."""
    run = workspace.start({"a": ":"})
    snapshot = run.wait(timeout=60)
    for mistake in (lambda: snapshot.match_tasks([""]), lambda: find("", home=workspace.home)):
        with pytest.raises(NotFoundError):
            mistake()
    with pytest.raises(UsageError, match="empty"):
        launch.run(workspace.spec({"a": ":"}), home=workspace.home, key="")


@pytest.mark.parametrize(
    "which", ["../..", "..", ".", "/", "", "a/../..", "x" * 300, "x" * 300 + "_1", "%s", "*", "\x00", "a\nb"]
)
def test_no_name_finds_what_is_no_experiment(workspace: ExpWorkspace, which: str) -> None:
    """What is asked for is looked for among the experiments and nowhere else."""
    workspace.run({"a": ":"})
    with pytest.raises(NotFoundError):
        find(which, home=workspace.home)


def test_nothing_is_written_outside(workspace: ExpWorkspace) -> None:
    """A run leaves files under its home only."""
    run = workspace.start(
        {"a": {"inline": ":", "args": ["../x"]}, "g": {"group": [{"name": "a.b-c_d", "inline": ":"}]}}
    )
    run.wait(timeout=60)
    assert {path.name for path in workspace.folder.iterdir()} == {"spec.yaml"}
    assert {path.name for path in workspace.folder.parent.iterdir()} == {"home", "work"}


def test_folder_of_somebody_else_is_left_alone(workspace: ExpWorkspace) -> None:
    """What other tools keep under the same home is never listed, never the latest, and its mode stays."""
    foreign = workspace.home.experiments / "theirs" / "theirs_9999999999"
    foreign.mkdir(parents=True)
    foreign.chmod(0o755)
    (foreign / "_CONFIG").write_text("x")
    with pytest.raises(NotFoundError):
        find(home=workspace.home)
    run = workspace.start({"a": ":"}, name="theirs")
    run.wait(timeout=60)
    assert find("latest", home=workspace.home).id == run.id
    assert find("theirs", home=workspace.home).id == run.id
    assert foreign.stat().st_mode & 0o777 == 0o755


def test_program_named_like_an_option_or_a_builtin(workspace: ExpWorkspace, tmp_path: Path) -> None:
    """A command is that program, whatever its name means to a shell."""
    del tmp_path
    folder = workspace.folder / "bin"
    folder.mkdir()
    for name in ("-e", "exit", "a b", "$x", "'"):
        (folder / name).write_text("#!/bin/sh\necho mine >>ran\n")
        (folder / name).chmod(0o755)
        command = {"command": [name], "env": {"PATH": f"{folder}:/usr/bin:/bin"}}
        assert workspace.run({"a": command}).status is ExperimentStatus.COMPLETED, name
    assert workspace.lines() == ["mine"] * 5


def test_identity_of_the_home_survives_odd_paths(workspace: ExpWorkspace) -> None:
    """A home and a working folder may be called as they like."""
    odd = workspace.folder / "o'dd $HOME `x`\n ünï;"
    odd.mkdir()
    run = launch.run(workspace.spec({"a": NOTE}), home=Home(odd))
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert subprocess.run(["ls", odd], check=True, capture_output=True).stdout


def test_no_module_of_the_current_folder_is_imported(exp: Exp) -> None:
    """Not by a command, its supervisor, the evaluator of expressions, or the process of a plugin."""
    marks = exp.folder / "imported"
    marks.mkdir()
    names = ("jinja2", "json", "nemorun_cli", "pickle", "regex", "sitecustomize", "struct", "yaml")
    for name in names:
        (exp.folder / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w').close()")
    spec = exp.spec("""
        name: x
        plugins: [{uses: notify, with: {command: [touch, told]}}]
        tasks:
          a: {inline: 'echo x=ab >> "$EXP_OUTPUT"'}
          b:
            inline: 'true'
            dependencies: [a]
            env: {X: '${{ tasks.a.outputs.x | list | map("upper") | join }}'}
    """)
    exp.process("run", spec, "-q")
    exp.process("status", "x")
    assert (exp.folder / "told").exists()
    assert list(marks.iterdir()) == []
