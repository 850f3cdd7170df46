"""A spec printed in one piece gives the same experiment, from any folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.documents import ROOT

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load, merged_spec
from nemorun_cli.spec.param_values import with_default
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

    from nemorun_cli.model.spec import Spec

IDENTITY = Identity(id="x_1", name="x", directory="/nonexistent/x/x_1")
EXAMPLES = sorted((ROOT / "examples" / "specs").glob("*.yaml"))

BASE = """
version: 1
params: {lr: 0.1, port: 0x1F, tag: "3.10", mode: {enum: [a, b], default: a}, free: null}
env_file: base.env
defaults: {env: {BASE: "1"}, retry: {limit: 3}}
executors: {quiet: {type: local, env: {Q: "1"}}}
tasks: {prepare: {script: prepare.sh}}
"""
SPEC = """
extends: sub/base.yaml
include: [executors.yaml]
folder: code
defaults: {retry: {delay: 0.1s}}
secrets: {TOKEN: {file: token.txt}}
tasks:
  train:
    script: train.sh
    executor: loud
    args: ["${{ params.lr }}", "${{ params.port }}", "${{ params.tag }}", "${{ params.free }}"]
    dependencies: [prepare]
  shared: {command: [echo, "${{ params.mode }}"], executor: common}
"""


def resolved(text_or_path: Any, home: Path, **options: Any) -> tuple[str, Spec]:
    """The spec in one piece, and the spec as an experiment would run it."""
    document = load.read(text_or_path, home=Home(home), **options)
    spec = load.resolve(document, IDENTITY)
    return merged_spec.text(document, spec), spec


def again(text: str, folder: Path, home: Path, **options: Any) -> tuple[str, Spec]:
    """The same, of that text in a file of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    return resolved(folder / "s.yaml", home, **options)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_each_example_in_one_piece_is_the_same(path: Path, tmp_path: Path) -> None:
    """Its tasks, executors and params are equal, and a second printing is the same text."""
    text, spec = resolved(path, tmp_path / "home")
    second_text, second = again(text, tmp_path / "elsewhere", tmp_path / "home")
    assert second == spec
    assert second_text == text


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A spec made of several files, with an executor of the home."""
    folder = tmp_path / "study"
    (folder / "sub").mkdir(parents=True)
    (folder / "code" / "sub").mkdir(parents=True)
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "executors.yaml").write_text(
        "executors: {common: {type: local, env: {C: x}}, other: {type: local}}"
    )
    (folder / "code" / "sub" / "base.yaml").write_text(BASE)
    (folder / "code" / "sub" / "base.env").write_text("FROM_FILE=1\n")
    (folder / "code" / "executors.yaml").write_text("executors: {loud: {type: local, extends: quiet}}")
    for script in ("code/sub/prepare.sh", "code/train.sh"):
        (folder / script).write_text("#!/bin/sh\n")
    (folder / "code" / "token.txt").write_text("s3cret-value\n")
    (folder / "spec.yaml").write_text(SPEC)
    return folder / "spec.yaml"


def test_files_params_and_changes_are_merged(study: Path, tmp_path: Path) -> None:
    """What was given is in it, and no file is needed but the scripts; what one start needs is not."""
    options = {
        "params": ["lr=1e-3", "tag=3.10", "mode=b", "free={type: x}"],
        "sets": ["run.max_parallel=2", "tasks.train.timeout=1m", "run.detach=true"],
    }
    text, spec = resolved(study, tmp_path / "home", for_later=False, **options)
    for name in ("code/sub/base.yaml", "code/executors.yaml"):
        (study.parent / name).unlink()
    (tmp_path / "home" / "executors.yaml").unlink()
    _, second = again(text, tmp_path / "elsewhere", tmp_path / "home")
    assert second == spec
    assert "extends" not in text
    assert "include" not in text
    assert "other" not in text
    assert spec.folder == str(study.parent / "code")
    assert spec.params["free"] == {"type": "x"}
    assert next(task.args for task in second.tasks if task.id == "train")[:3] == ("1e-3", "0x1F", "3.10")


def test_a_later_start_repeats_no_option_of_one_start(study: Path, tmp_path: Path) -> None:
    """As `rerun`: a printed spec does not detach, and says which tasks were selected."""
    sets = ["run.max_parallel=1", "run.detach=true"]
    text, _ = resolved(study, tmp_path / "home", sets=sets, only=["prepare", "tr*"], for_later=True)
    assert text.startswith("# --only prepare --only tr*\nversion: 1\nname: spec\nfolder: ")
    assert "max_parallel: 1" in text
    assert "detach" not in text


@pytest.mark.parametrize(
    ("entry", "value", "result"),
    [
        (1, 2, 2),
        (1, 2.5, {"type": "integer", "default": 2.5}),
        (0.5, 1, {"type": "number", "default": 1}),
        ("a", "b", "b"),
        (None, 3, 3),
        (None, {"type": "x"}, {"default": {"type": "x"}}),
        ({"a": 1}, {"required": 1}, {"type": "object", "default": {"required": 1}}),
        (
            {"type": "number", "minimum": 0, "required": True},
            1,
            {"type": "number", "minimum": 0, "required": True, "default": 1},
        ),
    ],
)
def test_a_declaration_keeps_its_type_with_another_default(entry: Any, value: Any, result: Any) -> None:
    """So that `-p` on the printed spec accepts what it accepted before."""
    assert with_default(entry, value) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder: nowhere\ntasks: {a: {command: ls}}", "spec.yaml:1:9: folder: there is no folder "),
        ("folder: '${{ env.X }}'\ntasks: {a: {command: ls}}", "is needed before expressions are evaluated"),
        ("folder: 3\ntasks: {a: {command: ls}}", "folder: must be text that is not empty, not 3"),
    ],
)
def test_a_folder_that_cannot_be_used_is_a_problem(tmp_path: Path, text: str, message: str) -> None:
    """Its paths would all be wrong."""
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(SpecError) as error:
        load.read(tmp_path / "spec.yaml")
    assert message in "\n".join(map(str, error.value.problems))


def test_each_file_has_its_own_folder(tmp_path: Path) -> None:
    """An extended file's folder is for its own paths, and `--set` changes none."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "base.yaml").write_text("folder: a\ntasks: {one: {script: run.sh}}")
    (tmp_path / "spec.yaml").write_text("extends: ../base.yaml\nfolder: b\ntasks: {two: {script: run.sh}}")
    spec = load.validate(tmp_path / "spec.yaml")
    assert {task.id: task.body for task in spec.tasks} == {
        "one": str(tmp_path / "a" / "run.sh"),
        "two": str(tmp_path / "b" / "run.sh"),
    }
    assert {task.workdir for task in spec.tasks} == {str(tmp_path / "b")}
    with pytest.raises(SpecError, match="folder cannot be changed by --set"):
        load.read(tmp_path / "spec.yaml", sets=["folder=a"])


def test_the_spec_of_an_experiment_runs_again_to_an_equal_one(exp: Exp, study: Path) -> None:
    """`exp show --spec` prints what `exp run --dry-run --format yaml` did; `exp diff` finds no difference."""
    (exp.home / "executors.yaml").write_text("executors: {common: {type: local}}")
    options = ["-p", "lr=0.5", "--set", "tasks.train.description=two  blanks", "--tail-logs"]
    planned = exp("run", study, *options, "--dry-run", "--format", "yaml").stdout
    first = exp("run", study, *options, "-q").stdout.strip()
    shown = exp("show", first, "--spec").stdout
    assert shown == planned
    assert "token.txt" in shown
    assert "s3cret-value" not in shown
    assert exp("rerun", first, "--dry-run", "--format", "yaml", "-d").stdout == planned
    path = exp.spec(shown, "sub/printed.yaml")
    study.unlink()
    second = exp("run", path, "-q").stdout.strip()
    assert exp("diff", first, second, "--json").json["spec"] == []
    assert exp("show", second, "--spec").stdout == planned
    for words, message in (
        (["show", first, "--spec", "--json"], "--spec cannot be combined with --json"),
        (["run", path, "--format", "yaml"], "--format yaml needs --dry-run"),
        (["run", path, "--dry-run", "--format", "toml"], "must be one of text, yaml"),
        (["rerun", first, "--dry-run", "--format", "yaml", "--json"], "cannot be combined with --json"),
    ):
        given = exp(*words, code=2)
        assert message in given.stdout + given.stderr
