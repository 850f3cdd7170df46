from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nemorun_cli.tracking import Experiment

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


def _saved(exp: Exp, prefix: str, **files: str) -> None:
    with Experiment(prefix, dash_root=exp.folder / ".dash", print_logs=False).run as experiment:
        for name, text in files.items():
            experiment.files.save_text(text, to=name.replace("__", "/"))


def test_files_are_copied_out(exp: Exp) -> None:
    """Files of a record keep their paths, those of several are in a folder each; nothing is overwritten."""
    _saved(exp, "a", m__x="1", y="2")
    _saved(exp, "b/c", y="3")
    of = ("--dash-root", ".dash", "--download")
    assert exp("files", "a", *of, "out").stdout.split() == [
        str(exp.folder / f"out/{name}") for name in ("m/x", "y")
    ]
    assert exp("files", "a", *of, "out").stdout.split() == [
        str(exp.folder / f"out/{name}") for name in ("m/x", "y")
    ]
    exp("files", "*", "--name", "y", *of, "both")
    assert [(exp.folder / "both" / name / "y").read_text() for name in ("a", "b/c")] == ["2", "3"]
    (exp.folder / "out/y").write_text("mine")
    (exp.folder / "out/m/x").unlink()
    assert "another content" in exp("files", "a", *of, "out", code=2).stderr
    assert not (exp.folder / "out/m/x").exists()
    assert exp("files", "a", "--name", "z", *of, "out", code=3).stderr
    exp("files", "a", *of, "out", "--path", code=2)


def test_a_file_with_the_name_of_a_folder_is_left_out(exp: Exp) -> None:
    """The other files are copied, and the message shows the options that copy it."""
    root = exp.folder / ".dash"
    with Experiment("a", dash_root=root).run as first, Experiment("a", dash_root=root).run as second:
        for record, path in ((first, "x"), (second, "y"), (first, "k"), (second, "k/w")):
            record.files.save_text(path, to=path)
    of = ("--dash-root", ".dash")
    result = exp("files", "a", *of, "--download", "out", code=2)
    copied = [str(exp.folder / "out" / name) for name in ("k/w", "x", "y")]
    assert result.stdout.split() == copied
    assert "a folder has its name: k of a" in result.stderr
    assert "--name FILE --download FOLDER" in result.stderr
    assert exp("files", "a", *of, "--name", "k", "--download", "alone").stdout.strip().endswith("alone/k")
    (exp.folder / "out/x").write_text("mine")
    assert "to=" not in exp("files", "a", *of, "--download", "out", code=2).stderr


def test_exact_name_comes_before_a_glob(exp: Exp) -> None:
    """A name with characters of globs is that file, in whichever record it is; else it is a glob."""
    _saved(exp, "a", **{"run[1]": "1", "run1": "2"})
    _saved(exp, "b", run1="3")
    path = exp("files", "*", "--dash-root", ".dash", "--name", "run[1]", "--path").stdout.strip()
    assert Path(path).read_text() == "1"
    assert len(exp("files", "*", "--dash-root", ".dash", "--name", "run[12]", "-q").stdout.splitlines()) == 2


def test_files_as_csv_have_the_fields_of_json(exp: Exp) -> None:
    """CSV has a column for each field of JSON; texts are guarded against spreadsheets unless they are raw."""
    with Experiment("a", dash_root=exp.folder / ".dash", print_logs=False).run as experiment:
        experiment.files("m", tags=["x"], description="=1+1", metadata={"n": 1}).save_text("a", to="a.txt")
    of = ("files", "a", "--dash-root", ".dash")
    (entry,) = exp(*of, "--format", "json").json["files"]
    assert exp(*of, "--json").json["files"] == [entry]
    (row,) = csv.DictReader(io.StringIO(exp(*of, "--format", "csv", "--raw").stdout))
    assert {name: row[name] for name in ("name", "type", "description", "path")} == {
        name: entry[name] for name in ("name", "type", "description", "path")
    }
    assert (row["prefix"], row["tags"], row["metadata"], row["bytes"]) == ("a", '["x"]', '{"n":1}', "1")
    assert "'=1+1" in exp(*of, "--format", "csv").stdout
    exp(*of, "--raw", code=2)
    assert "must be one of table, csv, json" in exp(*of, "--format", "xml", code=2).stderr


def test_no_files_are_no_error(exp: Exp) -> None:
    """An experiment that saved nothing shows nothing and says how it is done."""
    exp("run", exp.spec("name: a\ntasks: {a: {command: [echo, hi]}}"))
    shown = exp("files")
    assert shown.stdout == ""
    assert "experiment.files" in shown.stderr
