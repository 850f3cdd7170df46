"""`-p @FILE`: params from files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.spec import load
from nemorun_cli.spec.param_files import expanded

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

SPEC = """
name: study
params:
  lr: {type: number, default: 1, minimum: 0}
  tag: {type: string, default: none}
  on: false
  sizes: []
  opts: {default: {}}
  free: null
tasks: {t: {command: [echo, "${{ params.lr }}", "${{ params.tag }}"]}}
"""
YAML = 'lr: 1e-3\ntag: "3.10"\non: true\nsizes: [1, 2]\nopts: {a: {b: .inf}, type: "x: y"}\nfree: null\n'
JSON = (
    '{\n\t"lr": 1e-3, "tag": "3.10\\ud83d\\ude00",\n"on": true,'
    '"sizes": [1, 2], "opts": {"a": {"b": Infinity}, "type": "x: y"}, "free": null}'
)
TOML = 'lr = 1e-3\ntag = "3.10"\n"on" = true\nsizes = [1, 2]\n[opts]\ntype = "x: y"\na = {b = inf}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the spec in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def params(*given: str) -> dict[str, Any]:
    """The params of the spec with these options."""
    return load.resolve(load.read("spec.yaml", params=given), load.Identity("x_1", "x", "/x")).params


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", YAML), ("a.JSON", JSON), ("a.toml", TOML), ("a", YAML)]
)
def test_each_format_gives_the_same_values(folder: Path, name: str, text: str) -> None:
    """Values keep their types and their written form."""
    (folder / name).write_text(text)
    values = params(f"@{name}")
    assert values["tag"].startswith("3.10")
    assert (values["on"], values["sizes"], values["free"]) == (True, [1, 2], None)
    assert values["opts"] == {"a": {"b": float("inf")}, "type": "x: y"}
    assert (values["lr"], values["lr"].written) == (0.001, "1e-3")


def test_the_last_value_of_a_param_counts(folder: Path) -> None:
    """Files and single values can be mixed; an empty file sets nothing."""
    (folder / "a.yaml").write_text("lr: 2\ntag: a\n")
    (folder / "b.toml").write_text("lr = 3\n")
    (folder / "empty.yaml").write_text("# nothing\n")
    (folder / "empty.toml").write_text("")
    values = params("lr=1", "@a.yaml", "@b.toml", "@empty.toml", "tag=c", f"@{folder}/empty.toml")
    assert (values["lr"], values["tag"]) == (3, "c")
    assert params("@b.toml", "lr=0.5")["lr"] == 0.5
    texts, positions = expanded(["lr=1", "@a.yaml", "lr=2"])
    assert texts == ("lr=1", "lr=2", 'tag="a"', "lr=2")
    assert list(positions) == ['tag="a"']


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.yaml", "lr: 1\n\nrl: 3\n", "a.yaml:3:1: params.rl: no param is called 'rl' (there are: lr, tag"),
        ("a.yaml", "tag: x\nlr: -1\n", "a.yaml:2:1: params.lr: must be at least 0, not -1"),
        ("a.yaml", "tag: 3.10\n", "a.yaml:1:1: params.tag: must be text, not 3.10"),
        ("a.yaml", "lr: [\n", "a.yaml:2:1: is not YAML"),
        ("a.yaml", "lr: 1\nlr: 2\n", "a.yaml:2:1: lr: duplicate key 'lr'"),
        ("a.yaml", "- 1\n", "a.yaml:1:1: must be a mapping of params to values"),
        (
            "a.yaml",
            "lr: !!python/name:os.system x\n",
            "a.yaml:1:5: lr: the tag !!python/name:os.system is not",
        ),
        ("a.json", '{"lr": 1,\n  "on": 3}', "a.json:2:3: params.on: must be true or false, not 3"),
        ("a.json", '{"lr": 1,\n  "tag": }', "a.json:2:10: is not JSON: Expecting value"),
        ("a.json", '{"lr": 1, "lr": 2}', "a.json:1:1: has the key 'lr' twice"),
        ("a.json", '{"\\ud83d\\ude00": 1}', "a.json:1:1: has keys that no param can have"),
        ("a.json", "[" * 100_000, "a.json:1:1: is not JSON: "),
        ("a.toml", 'tag = "a"\n[lr]\nx = 1\n', 'a.toml:2:2: params.lr: must be a number, not {"x": 1}'),
        ("a.toml", "lr = 1\nsizes = 7\n", "a.toml:2:1: params.sizes: must be a list, not 7"),
        ("a.toml", "lr = \n", "a.toml:1:6: is not TOML: Invalid value"),
        ("a.toml", "lr = 1\ntag = 2026-11-22\n", "a.toml:2:1: tag: has a date or a time, which no param is"),
        ("a.toml", "sizes = [07:32:00]\n", "a.toml:1:1: sizes: has a date or a time"),
        ("a.txt", "\xff", "a.txt:1:1: must be a mapping"),
        ("passwd", "root:x:0:\n", "passwd:1:1: has keys that no param can have"),
        ("a.json", '{"on": "\\ud83d\\ude00"}', "a.json: params.on: must be true or false, not "),
    ],
)
def test_problems_have_the_line_of_the_file(folder: Path, name: str, text: str, problem: str) -> None:
    """Syntax, unknown names and values alike."""
    (folder / name).write_text(text)
    with pytest.raises(SpecError) as error:
        params("tag=x", f"@{name}")
    assert str(error.value.problems[0]).startswith(problem)


def test_files_that_cannot_be_used_are_problems(folder: Path) -> None:
    """All of them at once; a link to another file shows nothing of its content."""
    (folder / "secret").write_text("root:x:0\n")
    (folder / "link.yaml").symlink_to(folder / "secret")
    (folder / "open.yaml").write_text("lr: 1\n")
    (folder / "open.yaml").chmod(0o666)
    with pytest.raises(SpecError) as error:
        params("@none.yaml", "@link.yaml", "@open.yaml", "@.", "lr", "@")
    texts = [str(problem) for problem in error.value.problems]
    assert [text.partition(" ")[0] for text in texts] == [
        "none.yaml:",
        "link.yaml:1:1:",
        "open.yaml:",
        ".:",
        ".:",
    ]
    assert "everybody may write to" in texts[2]
    assert all(problem.text is None for problem in error.value.problems)
    assert "root" not in str(error.value)
    with pytest.raises(SpecError, match="-p @file for a file of values"):
        params("lr")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file to another user")
def test_a_file_of_another_user_is_refused(folder: Path) -> None:
    """Its values become parts of commands."""
    (folder / "a.yaml").write_text("lr: 1\n")
    os.chown(folder / "a.yaml", 12345, -1)
    with pytest.raises(SpecError, match=r"a\.yaml is not used: it belongs to uid 12345"):
        params("@a.yaml")


def test_an_experiment_keeps_the_values_and_not_the_file(exp: Exp) -> None:
    """`run`, `rerun`, `resume`, `validate` and `graph` take it; later commands need it no more."""
    path = exp.spec(SPEC)
    values = exp.spec("lr: 0x10\ntag: '7'\n", "values.yaml")
    run = exp("run", path, "-p", "@values.yaml", "-q").stdout.strip()
    exp("validate", path, "-p", "@values.yaml")
    exp("graph", path, "--param=@values.yaml")
    changed = exp("resume", run, "-p", "@values.yaml", "-p", "lr=2", "--dry-run", "--json").json["changes"]
    assert [change["path"] for change in changed] == ["params.lr", "command.1"]
    values.unlink()
    assert exp("rerun", run, "--dry-run", "--json").json["params"]["tag"] == "7"
    assert exp("logs", run, "t").stdout == "0x10 7\n"
    refused = exp("rerun", run, "-p", "@values.yaml", "--json", code=2).json
    assert refused["problems"][0]["message"] == "does not exist"
