from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from nemorun_cli.spec.schema import published
from nemorun_cli.spec.yaml import parser
from nemorun_cli.spec.yaml.source import open_source

if TYPE_CHECKING:
    from support.workspace import Exp


def test_init_writes_a_spec_that_runs_as_it_is(exp: Exp) -> None:
    """What it writes has no problems, runs, and gives its outputs on."""
    assert exp("init", "first").stdout == "first.yaml\n"
    exp("validate", "first.yaml")
    exp("run", "first.yaml", "-p", "steps=2")
    assert exp.status("first")["status"] == "COMPLETED"
    assert exp("logs", "first", "report").stdout == "small: 2\nlarge: 20\n"


def test_init_writes_the_schema_that_the_spec_names(exp: Exp) -> None:
    """Editors find the schema by the first line of the spec, by a path relative to it."""
    (exp.folder / "specs").mkdir()
    exp("init", "specs/first.yaml")
    line, *_ = (exp.folder / "specs" / "first.yaml").read_text().splitlines()
    assert line == "# yaml-language-server: $schema=.exp.schema.json"
    schema = json.loads((exp.folder / "specs" / ".exp.schema.json").read_text())
    assert schema == published.built_in()
    spec = parser.parse(open_source(exp.folder / "specs" / "first.yaml"))
    assert Draft202012Validator(schema).is_valid(spec)


def test_init_keeps_a_schema_that_exists(exp: Exp) -> None:
    """A schema with the options of installed executors, or a file of the user, is not overwritten."""
    (exp.folder / ".exp.schema.json").write_text("mine")
    exp("init", "first")
    assert (exp.folder / ".exp.schema.json").read_text() == "mine"


def test_init_needs_no_name(exp: Exp) -> None:
    """Without a name there is one to start with."""
    assert exp("init").stdout == "experiment.yaml\n"
    exp("validate", "experiment.yaml")


def test_init_overwrites_nothing(exp: Exp) -> None:
    """A file that is there stays as it is."""
    spec = exp.spec("mine", "first.yaml")
    assert "already exists" in exp("init", "first", code=2).stderr
    assert spec.read_text() == "mine"


def test_init_takes_a_path(exp: Exp) -> None:
    """A path with its ending is taken as it is, and the experiment is named after the file."""
    (exp.folder / "specs").mkdir()
    assert exp("init", "specs/study.yml").stdout == "specs/study.yml\n"
    assert "\nname: study\n" in (exp.folder / "specs" / "study.yml").read_text()


@pytest.mark.parametrize(
    "name", ["", "latest", "123", "attempt-1", "..", "a b", "é", "x" * 300, "-", "nowhere/a"]
)
def test_init_refuses_what_cannot_be_a_name(exp: Exp, name: str) -> None:
    """Nothing is written under a name that no experiment can have."""
    exp("init", "--", name, code=2)
    assert list(exp.folder.iterdir()) == []


def test_init_leaves_no_torn_schema(exp: Exp) -> None:
    """Where the disk is full, there is a warning and no half of a schema, and the spec is whole."""
    command = [
        "bash",
        "-c",
        'ulimit -f 16; exec "$@"',
        "-",
        sys.executable,
        "-m",
        "nemorun_cli",
        "init",
        "first",
    ]
    done = subprocess.run(command, cwd=exp.folder, capture_output=True, text=True, check=True)
    assert "warning: cannot write .exp.schema.json, which editors use: File too large" in done.stderr
    assert [path.name for path in exp.folder.iterdir()] == ["first.yaml"]
    exp("validate", "first.yaml")


def test_init_warns_of_a_schema_that_is_no_file(exp: Exp) -> None:
    """A folder, or a link to nothing, is kept, but editors cannot read it."""
    (exp.folder / ".exp.schema.json").symlink_to("nowhere")
    assert "warning: .exp.schema.json" in exp("init", "first").stderr
    assert (exp.folder / ".exp.schema.json").is_symlink()
