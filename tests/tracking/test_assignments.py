"""Assigning an attribute of an experiment has an effect, or is an error that shows what to write."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import nemorun_cli
from nemorun_cli import dash
from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.assignments import AssignmentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Classes = pytest.mark.parametrize("kind", [nemorun_cli.Experiment, dash.Experiment], ids=["own", "dash"])


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """No git works in the background."""
    monkeypatch.setenv("EXP_COMMIT", "0" * 40)


def _add_tag(it: Any) -> None:
    it.tags += ["best"]


LOST: dict[str, tuple[Callable[[Any], object], str]] = {
    "tags": (_add_tag, r'experiment\.tag\(add="best"\)'),
    "a tag appended": (lambda it: it.tags.append("best"), r'experiment\.tag\(add="best"'),
    "notes": (lambda it: setattr(it, "notes", "x"), r"experiment\.note\("),
    "description": (lambda it: setattr(it, "description", "x"), r"experiment\.note\("),
    "readme": (lambda it: setattr(it, "readme", "x"), r"Experiment\(\) before"),
    "metadata": (lambda it: setattr(it, "metadata", {}), r"params\.set"),
    "bindrs": (lambda it: setattr(it, "bindrs", ["x"]), r"experiment\.tag"),
    "params": (lambda it: setattr(it, "params", {"lr": 1}), r"params\.set\(lr=0\.1\)"),
    "metrics": (lambda it: setattr(it, "metrics", 1), r'metrics\("train"\)\.log'),
    "files": (lambda it: setattr(it, "files", 1), r"\.upload\("),
    "name": (lambda it: setattr(it, "name", "x"), r"experiment\.run\.prefix = "),
    "print_logs": (lambda it: setattr(it, "print_logs", False), r"Experiment\(print_logs=False\)"),
    "a method": (lambda it: setattr(it, "tag", "x"), r"call experiment\.tag\("),
    "an unknown name": (lambda it: setattr(it, "foo", 3), r"params\.set\(foo=…\)"),
    "a misspelt name": (lambda it: setattr(it, "descripton", "x"), "did you mean 'description'"),
    "on the run": (lambda it: setattr(it.run, "tags", ["x"]), r'experiment\.tag\(add="best"\)'),
    "notes of the run": (lambda it: setattr(it.run, "notes", "x"), r"experiment\.note"),
    "a name of the run": (lambda it: setattr(it.run, "x", 1), r"^experiment\.run\.x cannot .*set\(x=…"),
    "on metrics": (lambda it: setattr(it.metrics, "loss", 1), r"metrics\.log\(loss=0\.5"),
    "on a series": (lambda it: setattr(it.metrics("m"), "loss", 1), r"\.log\(loss=0\.5"),
    "on files": (lambda it: setattr(it.files, "table", 1), r'to="table\.json"'),
    "on logs": (lambda it: setattr(it.logs, "level", 1), r"experiment\.log\("),
    "on a track": (lambda it: setattr(it.tracks("t"), "x", 1), r"append\(x=1\.0\)"),
}


@Classes
@pytest.mark.parametrize("name", LOST)
def test_what_would_be_lost_is_refused(kind: Any, name: str, root: Path) -> None:
    """It is a TypeError and an AttributeError with the call that records it, and nothing changes."""
    act, written = LOST[name]
    with kind(prefix="o/p/a", dash_root=root, tags=["first"]).run as experiment:
        with pytest.raises(TypeError, match=written) as caught:
            act(experiment)
        assert isinstance(caught.value, AttributeError)
        assert (experiment.tags, experiment.description) == (["first"], None)


@Classes
def test_a_record_is_described_until_it_is_opened(kind: Any, root: Path) -> None:
    """What the constructor takes can be assigned before, with the same checks, and is stored."""
    experiment = kind(prefix="o/p/a", dash_root=root, tags=["first"])
    experiment.tags += ["second"]
    experiment.readme = "late"
    experiment.bindrs = ("b",)
    experiment.metadata = {"a": 1}
    experiment.resume = "never"
    with pytest.raises(TypeError, match="tags is a list of texts"):
        experiment.tags = "best"
    with pytest.raises(UsageError, match="resume is one of"):
        experiment.resume = "maybe"
    with experiment.run:
        experiment.resume = "allow"
    facts = experiment.openings()[0].facts
    stored = [facts[name] for name in ("tags", "description", "bindrs", "metadata")]
    assert stored == [["first", "second"], "late", ["b"], {"a": 1}]
    with pytest.raises(AssignmentError, match="was opened with"):  # also when it has ended
        experiment.tags += ["best"]
    experiment.run.prefix = "o/p/b"
    experiment.tags += ["third"]
    with experiment.run:
        assert experiment.openings()[0].facts["tags"] == ["first", "second", "third"]


def test_tags_are_those_of_the_record(root: Path) -> None:
    """After `tag` they include what was added, also of earlier openings; a copy of them is a plain list."""
    with nemorun_cli.Experiment("o/p/a", dash_root=root, tags=["first"]).run as experiment:
        experiment.tag(add="best")
        assert experiment.tags == ["first", "best"]
        copied = copy.deepcopy(experiment.tags)
        assert (type(copied), copied) == (list, ["first", "best"])
        assert pickle.loads(pickle.dumps(experiment)).tags == experiment.tags  # noqa: S301 - of the test


class Own(nemorun_cli.Experiment):
    """A class of a user's."""

    def __init__(self, root: Path) -> None:
        super().__init__("o/p/a", dash_root=root)
        self.foo = 3
        self._bar = 4


def test_a_class_of_a_user_has_attributes_of_its_own(root: Path) -> None:
    """It assigns any name but those of the parts of an experiment."""
    experiment = Own(root)
    experiment.foo += 1
    assert experiment.foo == 4
    with pytest.raises(AssignmentError, match=r"params\.set"):
        experiment.params = {"lr": 1}  # type: ignore[assignment] # a mistake
