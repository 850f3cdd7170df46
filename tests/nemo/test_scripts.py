"""Script of NeMo-Run: files, modules, commands and inline texts become tasks that run them."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import parts
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.scripts import Script

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with two scripts, one with a space in its name."""
    monkeypatch.chdir(tmp_path)
    for name in ("train.py", "my script.sh"):
        (tmp_path / name).touch()


BASH = {"entrypoint": "bash"}
COMMAND = Script("/opt/run.sh", args=["1"], env={"A": "b"})
MODULE = Script("pkg.train", m=True, entrypoint="python3", args=["a b"])


@pytest.mark.parametrize(
    ("script", "entry"),
    [
        (Script("train.py"), {"script": "train.py", **BASH}),
        (Script("absent.sh", args=["-x"]), {"script": "absent.sh", "args": ["-x"], **BASH}),
        (Script("my script.sh"), {"script": "my script.sh", **BASH}),
        (Script("train.py", entrypoint="python -u"), {"script": "train.py", "entrypoint": "python -u"}),
        (COMMAND, {"command": ["bash", "/opt/run.sh", "1"], "env": {"A": "b"}}),
        (MODULE, {"command": ["python3", "-m", "pkg.train", "a b"]}),
        (Script("python absent.py --lr=3e-4"), {"command": ["python", "absent.py", "--lr=3e-4"]}),
        (Script("python 'a b.py'", args=["c"]), {"command": ["python", "a b.py", "c"]}),
        (
            Script("train.py --lr 1", entrypoint="python", args=["x"]),
            {"script": "train.py", "args": ["--lr", "1", "x"], "entrypoint": "python"},
        ),
        (Script("A=1 env > out"), {"inline": "A=1 env > out", **BASH}),
        (Script("echo $HOME", args=["a"]), {"inline": 'echo $HOME "$@"', "args": ["a"], **BASH}),
        (Script(inline="echo a"), {"inline": "echo a", **BASH}),
        (Script(inline="print(1)", entrypoint="python"), {"inline": "print(1)", "entrypoint": "python"}),
    ],
)  # fmt: skip
def test_a_script_becomes_a_task(script: Script, entry: dict[str, Any]) -> None:
    """What is run is what NeMo-Run's documents say: a file, a module, a command, or a text."""
    assert script.translated().entry() == entry


def changed(script: Script, options: dict[str, Any]) -> Script:
    """A script with other options."""
    for name, value in options.items():
        setattr(script, name, value)
    return script


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "neither"),
        ({"path": "a.sh", "inline": "echo"}, "both"),
        ({"path": "a.sh", "entrypoint": ""}, "empty"),
        ({"path": "pkg", "m": True}, "m=True"),
        ({"inline": "pkg", "m": True, "entrypoint": "python"}, "m=True"),
        ({"path": "a.sh", "metadata": {"use_with_ray_cluster": True}}, "Ray"),
        ({"path": "a.sh", "argz": ["1"]}, "argz"),
    ],
)
def test_what_contradicts_is_refused(options: dict[str, Any], problem: str) -> None:
    """At the construction, and if it was changed to that."""
    with pytest.raises(UsageError, match=problem):
        Script(**options)
    script = Script("a.sh", metadata={"use_with_ray_cluster": False, "other": 1})
    with pytest.raises(UsageError, match=problem):
        changed(script, {"path": "", **options}).translated()


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (Script(inline="\nenv\necho 'Hello 1'"), "env_echo_"),
        (Script(inline='echo "hi world!"'), "echo_hi_w"),
        (Script("/path/to/script.sh"), "script.sh"),
        (Script("python scripts/train.py --lr 1"), "python"),
        (Script("pkg.train", m=True, entrypoint="python"), "pkg.train"),
    ],
)
def test_default_names(script: Script, name: str) -> None:
    """The first letters of a text, the name of a file or a program."""
    assert script.default_name() == name


def test_scripts_and_executors_are_values() -> None:
    """They are equal if their options are, and can be copied, changed and pickled."""
    script = Script("a.sh", args=["1"], env={"A": "b"})
    for value in (
        script,
        script.translated(),
        parts.Command(["a"], env={"A": "b"}),
        parts.LocalExecutor(env={"A": "b"}),
        parts.DockerExecutor(image="alpine", name="box", volumes=["a:b"]),
        parts.SlurmExecutor(),
        parts.Executor("moon", orbit=1),
    ):
        copies = (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)))  # noqa: S301 - made here
        assert all(type(each) is type(value) and each == value for each in copies)
    clone = script.clone()
    clone.args.append("2")
    assert (clone != script, script.args) == (True, ["1"])
