"""The prefixes that `RUN` makes, and which of them an experiment has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nemorun_cli.dash import RUN, Experiment
from nemorun_cli.dash.run import find_project_root
from nemorun_cli.errors import StateError, UsageError
from nemorun_cli.tracking import record

PROGRAM = """
from nemorun_cli.dash import Experiment, ml_dash_experiment
from nemorun_cli.dash.auto_start import dxp
from nemorun_cli.dash.run import RUN

loaded = set(sys.modules)
print(Experiment().prefix)
dxp.run.start()
dxp.log("the interpreter ends it")
"""
# A program that tracks loads nothing of what runs tasks.
RUNNER = ("cli", "experiment", "views", "supervisor", "scheduler", "spec", "executors", "storage", "builder")


def test_a_program_is_named_by_its_path_in_its_project(tmp_path: Path) -> None:
    """The default prefix has the program's path, its record is ended, and no part of the runner is loaded."""
    (tmp_path / "setup.py").touch()
    program = tmp_path / "vision" / "train.py"
    program.parent.mkdir()
    program.write_text(f"import sys\n{PROGRAM}print(*loaded)", encoding="utf-8")
    run = [sys.executable, "-W", "error", str(program)]
    out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.splitlines()
    day = f"{RUN.now:%Y/%m-%d}"
    assert out[0].startswith(f"{RUN.user}/scratch/{day}/vision/train/")
    assert out[0].endswith("/001")
    (folder,) = (tmp_path / ".dash" / RUN.user / "scratch" / day / "vision" / "train").glob("*/000")
    stored = record(tmp_path / ".dash", str(folder.relative_to(tmp_path / ".dash")))
    assert stored is not None
    assert stored.status == "COMPLETED"
    assert [
        name for name in out[-1].split() if name.startswith(tuple(f"nemorun_cli.{part}" for part in RUNNER))
    ] == []
    assert {"difflib", "pathlib", "subprocess", "tempfile", "traceback"} & set(out[-1].split()) == set()


def test_a_program_without_a_file_has_a_prefix_too() -> None:
    """What is typed at a prompt is `interactive`."""
    text = "from nemorun_cli.dash import RUN; print(RUN().path_stem)"
    run = [sys.executable, "-c", text]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "interactive\n"


def test_a_task_has_its_own_record_unless_a_prefix_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task, only what nobody chose is the task's record."""
    monkeypatch.setenv("EXP_PREFIX", "alice/sweep")
    monkeypatch.setenv("EXP_TASK", "train")
    assert Experiment().prefix == "alice/sweep/train"
    assert Experiment(prefix="a/b/c").prefix == "a/b/c"
    RUN.prefix = "alice/chosen/{job_counter}"
    assert Experiment().prefix.startswith("alice/chosen/")


def test_the_prefix_of_run_counts_until_the_start() -> None:
    """An experiment without a prefix follows `RUN` until it starts; one with a prefix never does."""
    followed, given, moved = Experiment(), Experiment("a/b/given"), Experiment()
    metric, track, files = moved.metrics("train"), moved.tracks("pose"), moved.files("models")
    moved.run.prefix = "a/{EXP.project}/moved"
    RUN.prefix = "{project}/followed"
    for experiment in (followed, given, moved):
        experiment.run.start()
    metric.log(loss=1)
    track.append(x=1)
    files.save_text("x", to="x")
    moved.params.set(lr=1)
    moved.log("text")
    for experiment in (followed, given, moved):
        experiment.run.complete()
    prefixes = [experiment.prefix for experiment in (followed, given, moved)]
    assert prefixes == [f"{RUN.user}/scratch/followed", "a/b/given", "a/scratch/moved"]
    stored = record(".dash", "a/scratch/moved")
    assert stored is not None
    data = stored.data()
    assert (data.metrics("train").last("loss"), data.tracks("pose").read()[0]["x"]) == (1, 1)
    assert (data.files.list()[0]["filename"], data.params.get()) == ("x", {"lr": 1})
    assert [line["message"] for line in data.logs.read()] == ["text"]
    assert len(list(Path(".dash").rglob(".record"))) == 3


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("a/{", "unmatched brace"),
        ("a/}", "unmatched brace"),
        ("a/{prefix}", "contains itself"),
        ("a/{{x}}", "no template {x}"),
        ("a/{user.__class__}", "unmatched brace"),
        ("a/{date:%Y}{EXP.time}", "no template {EXP.time}"),
        ("a/{timestamp}", "has no value: set RUN.timestamp"),
        ("a/{job_counter:%}x{user:d}", "cannot be filled in"),
        ("a/{user}/../b", "could leave"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str, problem: str) -> None:
    """The error quotes the template; nothing but settings can be inserted."""
    with pytest.raises(UsageError) as caught:
        Experiment(template)
    assert problem in str(caught.value)


def test_a_refused_prefix_changes_nothing() -> None:
    """After an error the experiment has the prefix it had; an open one keeps its own."""
    experiment = Experiment("a/b/c")
    with pytest.raises(UsageError):
        experiment.run.prefix = "../outside"
    with experiment.run, pytest.raises(StateError, match="is open"):
        experiment.run.prefix = "a/b/d"
    assert (experiment.prefix, experiment.run.name) == ("a/b/c", "c")


def test_the_root_of_a_project_is_the_nearest(tmp_path: Path) -> None:
    """The nearest folder with a file of a project, from the program's upwards; else the working folder."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "pyproject.toml").touch()
    assert find_project_root(inner) == str(tmp_path / "outer")
    (inner / "requirements.txt").touch()
    (inner / "train.py").touch()
    assert find_project_root(inner / "train.py") == str(inner)
    assert find_project_root("/") == str(tmp_path)
