from __future__ import annotations

import importlib.util
import json
import re
from typing import TYPE_CHECKING

from support.tiny_wheels import wheel

if TYPE_CHECKING:
    import pytest
    from support.workspace import Exp


def problems(exp: Exp, tasks: list[str], head: str = "") -> list[str]:
    """The places and messages of the problems of a spec with these tasks, and their hints."""
    entries = "".join(f"  t{number}: {{command: [python], {task}}}\n" for number, task in enumerate(tasks))
    spec = exp.spec(f"name: tried\n{head}tasks:\n{entries}")
    document = json.loads(exp("validate", spec, "--json", code=2).stdout)
    return [f"{each['path']}: {each['message']} ({each['hint']})" for each in document["problems"]]


WRONG = {
    "python: {venv: nowhere}": r"venv: there is no folder .*nowhere \(make it: python3 -m venv",
    "python: {venv: ~nobody-at-all/x}": r"venv: the folder that ~ means in ~nobody-at-all/x is not known",
    "python: {conda: train}": r"conda: no environment of conda is called 'train'",
    "python: {uv: nowhere.txt}": r"uv: there is no file .*nowhere.txt",
    'python: {uv: [x], version: "3.99"}': r"version: there is no Python 3.99 on this machine",
    "python: {uv: [x], version: 3.12}": r"version: must be a version of Python in quotes, such as",
    "python: {venv: ., uv: [x]}": r": has venv and uv \(write exactly one of",
    'python: {venv: ., version: "3.12"}': r"version: applies only to uv",
    "python: conda": r": 'conda' is no Python environment \(write none, ",
    "python: {pip: x}": r"pip: unknown key 'pip'",
}
"""Values of `python`, and what is reported at their place."""


def test_what_cannot_be_used_is_a_problem_with_its_place(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known before the start is reported by `validate`, all at once, with places and remedies."""
    monkeypatch.setenv("PATH", "/usr/bin")  # fewer Pythons are asked for their versions
    try:
        found = problems(exp, list(WRONG))
    finally:
        monkeypatch.undo()
    for number, wanted in enumerate(WRONG.values()):
        pattern = rf"tasks\.t{number}\.python\.?{wanted}"
        assert any(re.match(pattern, text) for text in found), (pattern, found)


def test_containers_and_other_hosts_have_paths_of_their_own(exp: Exp) -> None:
    """There an environment is an absolute path, which is not looked up here, and uv makes none."""
    head = "executors: {box: {type: docker, image: x, python: {venv: .venv}}}\n"
    first, second = problems(exp, ["executor: box", "executor: box, python: {uv: [x]}"], head)
    assert first.startswith("executors.box.python.venv: '.venv' is no absolute path, and tasks of box do not")
    assert first.endswith("(write the path in its image, such as /opt/venv)")
    assert second.startswith("tasks.t1.python.uv: an environment that uv makes is on this machine, and the")
    head = head.replace(".venv", "/opt/venv")
    spec = exp.spec(f"name: tried\n{head}tasks: {{a: {{command: python, executor: box}}}}\n")
    task = exp("run", spec, "--dry-run", "--json").json["tasks"][0]
    assert task["python"] == {"venv": "/opt/venv"}


def test_without_uv_the_extra_is_named(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is the command that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (found,) = problems(exp, ["python: {uv: [x]}"])
    monkeypatch.undo()
    assert found.startswith("tasks.t0.python.uv: uv is not installed, which makes the environment")
    assert found.endswith("(install it: pip install 'nemorun-cli[uv]')")


def test_an_environment_is_the_same_for_the_same_content(exp: Exp) -> None:
    """The id is that of the content: whatever the file is called, and wherever the tasks name it."""
    wheel(exp.folder / "wheels")
    (exp.folder / "a.txt").write_text("--no-index\n-f wheels\nx\n")
    (exp.folder / "b.txt").write_text("# the same\n-r a.txt\n")
    (exp.folder / "c.txt").write_text("y\n")
    tasks = "".join(f"  {name}: {{command: python, python: {{uv: {name}.txt}}}}\n" for name in "abc")
    spec = exp.spec(f"name: tried\ntasks:\n{tasks}")
    document = exp("run", spec, "--dry-run", "--json").json
    ids = [task["python"]["environment"] for task in document["tasks"]]
    assert ids[0] == ids[1] != ids[2]
    assert [entry["is_made"] for entry in document["python_environments"]] == [False, False]
    wheel(exp.folder / "wheels", value=43)
    again = exp("run", spec, "--dry-run", "--json").json
    assert again["tasks"][0]["python"]["environment"] != ids[0]
    assert again["tasks"][2]["python"]["environment"] == ids[2]


def test_an_old_run_is_repeated_with_its_own_requirements(exp: Exp) -> None:
    """A rerun needs no file of requirements: it has what they were when the experiment was created."""
    requirements = exp.folder / "requirements.txt"
    requirements.write_text("")
    spec = exp.spec("name: tried\ntasks: {a: {command: 'true', python: {uv: requirements.txt}}}\n")
    exp("run", spec, "-q")
    first = exp("show", "--json").json["python_environments"][0]
    requirements.unlink()
    exp("rerun", "tried", "-q")
    again = exp("show", "--json").json["python_environments"][0]
    assert (again["id"], again["status"]) == (first["id"], "SUCCEEDED")
