"""Calls of NeMo-Run, wandb and MLflow on a tracked experiment are refused, and show what to write."""

from __future__ import annotations

import inspect
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nemorun_cli
from nemorun_cli import dash
from nemorun_cli.tracking import foreign_calls
from nemorun_cli.tracking.foreign_calls import NEMO_ARGUMENTS, ForeignCallError

if TYPE_CHECKING:
    from collections.abc import Callable

Classes = pytest.mark.parametrize(
    "experiment", [nemorun_cli.Experiment, dash.Experiment], ids=["own", "dash"]
)
NAMES = ("add", "dryrun", "cancel", "reset", "tasks", "from_id", "from_title", "catalog")
"""Names of NeMo-Run's class that have no meaning for a record."""

CALLS: dict[str, tuple[Callable[[Any], object], str]] = {
    "in a block": (lambda it: it.__enter__(), r"with Experiment\(…\)\.run as experiment"),
    "run": (lambda it: it.run(), r"experiment\.run\.start\(\)"),
    "run with options": (lambda it: it.run(detach=True, tail_logs=True), "nemorun_cli.Builder"),
    "logs of a task": (lambda it: it.logs("task"), r'nemorun_cli\.find\(name\)\.logs\("task"\)'),
    "numbers as a line": (lambda it: it.log({"loss": 0.5}), r"experiment\.metrics\.log\(loss=0\.1\)"),
    "the class as one line": (lambda it: it.log({"x": "y" * 900}), r"not \{'x': 'y+: write"),
}


@pytest.mark.parametrize("title", ["My Experiment", "a b c", " lr sweep\t2 "])
def test_a_title_is_no_prefix(title: str) -> None:
    """Words without a slash are the title of an experiment that runs tasks; nothing is written."""
    with pytest.raises(TypeError) as caught:
        nemorun_cli.Experiment(title)
    for written in ("nemorun_cli.nemo.Experiment", "nemorun_cli.Builder", 'prefix="owner/project/name"'):
        assert written in str(caught.value)
    assert not Path(".dash").exists()


@pytest.mark.parametrize("prefix", ["study", "alice/my project/first run", Path("a/b"), "{user}", "a"])
def test_a_prefix_stays_one(prefix: str | Path) -> None:
    """One part, parts with spaces, paths and templates are prefixes; with its name, any text is."""
    assert nemorun_cli.Experiment(prefix).prefix == nemorun_cli.Experiment(prefix=prefix).prefix
    assert nemorun_cli.Experiment(prefix="My Experiment").prefix == "My Experiment"
    with pytest.raises(TypeError, match="given twice"):
        nemorun_cli.Experiment(prefix, prefix=prefix)


@Classes
@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_other_class_is_refused(experiment: Any, name: str) -> None:
    """On the class and on an instance, for `hasattr` it is absent, and the message shows a replacement."""
    for owner in (experiment, experiment("study")):
        with pytest.raises(TypeError, match=rf"Experiment\.{name} is NeMo-Run's: .+ Write .+"):
            getattr(owner, name)
        assert not hasattr(owner, name)


@Classes
@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_the_other_class_is_refused(experiment: Any, name: str) -> None:
    """Each is a TypeError that shows what to write, and leaves nothing behind."""
    act, written = CALLS[name]
    with pytest.raises(TypeError, match=written):
        act(experiment("study"))
    assert not Path(".dash").exists()


def test_log_needs_a_line() -> None:
    """Without one, the numbers that were passed are shown with the call that records them."""
    with pytest.raises(TypeError, match=r"not \{'loss': 0\.5\}: write experiment\.metrics\.log"):
        nemorun_cli.Experiment("study").log(loss=0.5)


@pytest.mark.parametrize("name", sorted(NEMO_ARGUMENTS))
def test_an_argument_of_the_other_class_is_refused(name: str) -> None:
    """`executor=` and the others name the classes that have them."""
    with pytest.raises(TypeError, match=rf"no argument '{name}'.+nemorun_cli\.nemo\.Experiment"):
        nemorun_cli.Experiment("study", **{name: None})


def test_the_class_can_be_inspected() -> None:
    """Tools that list the names of the class meet no error; the error is also an AttributeError."""
    names = dict(inspect.getmembers(nemorun_cli.Experiment))
    assert "run" in names
    assert issubclass(ForeignCallError, AttributeError)


@Classes
def test_a_name_of_wandb_or_mlflow_is_refused(experiment: Any) -> None:
    """On the class and on an instance, and in the package: `hasattr` is false, the message has a call."""
    owners = [experiment, experiment("study"), nemorun_cli]
    for owner, name in itertools.product(owners, foreign_calls.REPLACED_NAMES):
        with pytest.raises(TypeError, match=rf"{name} is a name of wandb or MLflow.+ Write .+"):
            getattr(owner, name)
        assert not hasattr(owner, name)


def test_a_function_of_wandb_or_mlflow_is_refused() -> None:
    """`nemorun_cli.init()` and the like show what to write; other names are absent as ever."""
    for name in foreign_calls.REPLACED_IN_PACKAGE:
        with pytest.raises(TypeError, match=rf"nemorun_cli\.{name} is .+ Write .+"):
            getattr(nemorun_cli, name)
        assert name not in dir(nemorun_cli)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(nemorun_cli, "nothing")  # noqa: B009 - mypy knows that it is absent


@Classes
def test_an_argument_of_wandb_or_mlflow_is_refused(experiment: Any) -> None:
    """`config=`, `run_name=` and the others show the call that replaces them."""
    for name in foreign_calls.REPLACED_ARGUMENTS:
        if experiment is dash.Experiment and name == "project":
            continue  # it is an argument of ML-Dash
        with pytest.raises(TypeError, match=rf"no argument '{name}'.+ Write .+"):
            experiment("study", **{name: "x"})


HABITS: dict[str, tuple[Callable[[Any], object], str]] = {
    "metric by position": (lambda it: it.metrics("m").log("loss", 0.5), r"not log\('loss', 0.5\): write"),
    "metrics by position": (lambda it: it.metrics.log("loss", 0.5, step=1), r"metrics\(\"train\"\)\.log"),
    "a name alone": (lambda it: it.metrics("m").log("loss"), "write experiment.metrics"),
    "fields and more": (lambda it: it.metrics("m").log({"loss": 1}, 5), "write experiment.metrics"),
    "numbers as a line": (lambda it: it.log({"loss": 0.5}, step=3), r"experiment\.metrics\.log\(loss=0\.1\)"),
    "a series as an item": (lambda it: it.metrics["train"], r"write experiment\.metrics\('train'\)"),
    "a series set": (lambda it: it.metrics.__setitem__("loss", 1), r"write experiment\.metrics\('loss'\)"),
    "param by position": (lambda it: it.params.set("lr", 0.1), r"params\.set\(lr=0\.1\)"),
    "a param read by position": (
        lambda it: it.params.get("lr"),
        r"write .*\.params\.get\(\)\['lr'\]",
    ),
    "a param or a default": (lambda it: it.params.get("lr", 1), r"params\.get\(\)\.get\('lr', 1\)"),
    "params updated by name": (lambda it: it.params.update(a=1), r"has no update\(\): write .*params\.set"),
    "params as a mapping": (lambda it: it.params.items(), r"write experiment\.params\.get\(\)"),
    "params updated": (lambda it: it.params.update({"lr": 0.1}), r"params\.set\(lr=0\.1\)"),
    "a param as an item": (lambda it: it.params["lr"], r"params\.get\(\)\['lr'\]"),
    "a param set as an item": (lambda it: it.params.__setitem__("lr", 0.1), r"params\.set\(lr=0\.1\)"),
    "a param as an attribute": (lambda it: it.params.lr, r"params\.get\(\)\['lr'\]"),
    "a param set": (lambda it: setattr(it.params, "lr", 0.1), r"params\.set\(lr=0\.1\)"),
    "a config set": (lambda it: setattr(it, "config", {"lr": 0.1}), r"params\.set\(lr=0\.1\)"),
    "the run ended": (
        lambda it: it.run.finish(),
        r"^experiment\.run\.finish .*run\.complete\(\)",
    ),
    "the run logs": (lambda it: it.run.log({"loss": 1}), r"Write experiment\.metrics"),
}


@Classes
@pytest.mark.parametrize("name", HABITS)
def test_a_habit_is_answered(experiment: Any, name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a TypeError that shows what to write, and the record stays open and empty."""
    monkeypatch.setenv("EXP_COMMIT", "0" * 40)  # no git works in the background
    act, written = HABITS[name]
    with experiment("o/p/study", dash_root=root).run as opened:
        with pytest.raises(TypeError, match=written):
            act(opened)
        assert (opened.metrics.names(), opened.params.get(), opened.logs.read()) == ([], {}, [])
    assert opened.status == "COMPLETED"


def test_a_class_of_a_user_may_have_such_a_name(root: Path) -> None:
    """An attribute that a subclass sets itself is its own."""

    class Own(nemorun_cli.Experiment):
        def __init__(self) -> None:
            super().__init__("a", dash_root=root)
            self.config = {"lr": 0.1}

    assert Own().config == {"lr": 0.1}


@pytest.mark.parametrize("decorator", [nemorun_cli.ml_dash_experiment, dash.ml_dash_experiment])
def test_the_decorator_is_called(decorator: Any) -> None:
    """Above a function without parentheses it is refused where it is written."""
    with pytest.raises(TypeError, match=r"the function train: write @ml_dash_experiment\(\)"):

        @decorator
        def train() -> None:
            """A function of a user."""


@Classes
def test_self_is_a_name_like_others(experiment: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields and params by name may be called `self`."""
    monkeypatch.setenv("EXP_COMMIT", "0" * 40)
    with experiment(prefix="o/p/study", dash_root=root, print_logs=False).run as opened:
        opened.params.set(self=3)
        opened.metrics("m").log(self=4).buffer(self=5)
        opened.tracks("t").append(self=6, _ts=1.0)
        opened.log("a", self=7)
        opened.logs.info("b", self=8)
        assert opened.params.get() == {"self": 3}
        assert opened.metrics("m").last("self") == 4
        assert opened.tracks("t").read()[0]["self"] == 6
        assert [line["metadata"]["self"] for line in opened.logs.read()] == [7, 8]


FIRST = {
    "log_image": ".save_image(",
    "log_dict": ".save_json(",
    "log_text": ".save_text(",
    "log_figure": ".save_fig(",
    "log_artifacts": '.upload("folder/")',
    "use_artifact": ".download(",
    "set_tag": "experiment.tag(add=",
    "search_runs": "exp compare",
}


@pytest.mark.parametrize("name", FIRST)
def test_the_call_that_fits_is_shown_first(name: str) -> None:
    """The first call of the message is the one for this name, on an experiment and in the package."""
    for owner in (nemorun_cli.Experiment("study"), nemorun_cli):
        with pytest.raises(TypeError) as caught:
            getattr(owner, name)
        written = str(caught.value).partition("Write ")[2]
        assert FIRST[name] in written.partition(", ")[0]


def test_the_names_of_the_page_are_refused() -> None:
    """Each call in the left column of the page about MLflow raises the error that the page promises."""
    page = (Path(nemorun_cli.__file__).parents[1] / "docs/coming-from/mlflow.md").read_text()
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"(?:mlflow\.|`)(\w+)(?=[(`])", row)}
    assert {"search_runs", "log_text", "autolog", "set_experiment"} <= names
    for name in names:
        with pytest.raises(TypeError, match="Write "):
            getattr(nemorun_cli, name)
