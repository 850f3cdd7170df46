from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.workspace import Exp

PROGRAM = """
from nemorun_cli import Experiment
with Experiment().run as experiment:
    models = experiment.files("models", tags=["best"])
    models.save_text("first", to="best.txt")
    models.save_text("second", to="best.txt")
    models.save_text("last", to="last.txt")
"""


def test_files_are_listed_and_found(exp: Exp) -> None:
    """Files of all tasks are listed; the path of one is where its content lies, in the version asked for."""
    (exp.folder / "save.py").write_text(PROGRAM)
    tasks = "{a: {command: [PYTHON, save.py]}, b: {command: [PYTHON, save.py]}}".replace(
        "PYTHON", sys.executable
    )
    exp("run", exp.spec(f"name: saved\ntasks: {tasks}\n"))
    rows = [line.split() for line in exp("files").stdout.splitlines()]
    assert rows[0][:4] == ["RECORD", "FILE", "VERSION", "BYTES"]
    assert [row[:4] for row in rows[1:3]] == [
        ["a", "models/best.txt", "2", "6"],
        ["a", "models/last.txt", "1", "4"],
    ]
    assert len(rows) == 5
    best = ("files", "saved", "a", "--name", "models/best.txt")
    assert Path(exp(*best, "--path").stdout.strip()).read_text() == "second"
    assert Path(exp(*best, "--version", "1", "--path").stdout.strip()).read_text() == "first"
    (entry,) = exp(*best, "--json").json["files"]
    assert (entry["version"], entry["tags"], entry["task"]) == (2, ["best"], "a")
    assert exp("files", "saved", "a", "-q").stdout == "models/best.txt\nmodels/last.txt\n"
    several = exp("files", "saved", "--name", "best.txt", "--path", code=2)
    assert "models/best.txt of a, models/best.txt of b" in several.stderr
    assert "there are: models/best.txt, models/last.txt" in exp("files", "--name", "x.txt", code=3).stderr


def test_no_files_are_no_error(exp: Exp) -> None:
    """An experiment that saved nothing shows nothing and says how it is done."""
    exp("run", exp.spec("name: a\ntasks: {a: {command: [echo, hi]}}"))
    shown = exp("files")
    assert shown.stdout == ""
    assert "experiment.files" in shown.stderr
