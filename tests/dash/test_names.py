"""The names of ML-Dash's package, at the places where its programs import them."""

from __future__ import annotations

import importlib

import pytest

from nemorun_cli import dash
from nemorun_cli.errors import UsageError

PLACES = {
    "auto_start": ("dxp",),
    "exceptions": ("MlDashError", "ConfigurationError", "StorageError", "ExperimentError", "NetworkError"),
    "experiment": ("Experiment", "OperationMode", "ml_dash_experiment"),
    "log": ("LogBuilder", "LogLevel"),
    "run": ("RUN", "find_project_root"),
}


def test_every_public_name_is_there() -> None:
    """What `__all__` names can be imported from the package, and `dir` lists it; others are absent."""
    for name in dash.__all__:
        assert getattr(dash, name) is not None
        assert name in dir(dash)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dash.nothing


@pytest.mark.parametrize("module", PLACES)
def test_names_are_in_the_modules_of_ml_dash(module: str) -> None:
    """`from ml_dash.run import RUN` and the like need no other change than the package."""
    place = importlib.import_module(f"nemorun_cli.dash.{module}")
    for name in PLACES[module]:
        assert getattr(place, name) is getattr(dash, name, getattr(place, name))


@pytest.mark.parametrize("level", ["INFO", "warn", "Error"])
def test_a_level_is_validated_in_any_case(level: str) -> None:
    """Levels are texts, in lower case; others are refused with the known ones."""
    assert dash.LogLevel.validate(level) == level.lower() == dash.LogLevel[level.upper()]
    with pytest.raises(UsageError, match="there are: info, warn, error, debug, fatal"):
        dash.LogLevel.validate("loud")


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error", "fatal"])
def test_a_line_is_built_in_two_steps(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Metadata of both steps is stored; the later value of a key counts. A closed record is refused first."""
    experiment = dash.Experiment("a/b/c")
    with pytest.raises(RuntimeError, match="not open"):
        experiment.log(metadata={"epoch": 1})
    with experiment.run:
        with pytest.warns(DeprecationWarning, match=r"logs\.info"):
            builder = experiment.log(metadata={"epoch": 1}, step=2)
        getattr(builder, level)("text", step=3)
    (line,) = experiment.logs.read()
    assert (line["level"], line["message"], line["metadata"]) == (level, "text", {"epoch": 1, "step": 3})
    assert f"[{level.upper()}] text [epoch=1, step=3]" in "".join(capsys.readouterr())
