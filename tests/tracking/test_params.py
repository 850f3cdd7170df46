from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.access import supervisor_api
from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt
from nemorun_cli.tracking.params import _flatten, flattened, nested

if TYPE_CHECKING:
    from pathlib import Path


class Base:
    """What settings inherit."""

    seed = 1


class Args(Base):
    """Settings as a class, as ML-Dash's users have them."""

    lr = 0.1
    sizes: ClassVar = [1, 2]
    _private = 1

    class Model:
        """Settings within settings."""

        depth = 3

    @property
    def half(self) -> float:
        """Is no setting either."""
        return self.lr / 2

    def method(self) -> None:
        """Is no setting."""


def test_nested_values_get_dotted_names(experiment: Experiment) -> None:
    """Parameters are read back flat or nested, and setting some leaves the others."""
    experiment.params.set(model={"lr": 0.1, "layers": [1, 2], "opt": {}}, name="x")
    experiment.params.log(**{"model.lr": 0.2})
    assert experiment.params.get() == {"model.lr": 0.2, "model.layers": [1, 2], "model.opt": {}, "name": "x"}
    assert experiment.params.get(flatten=False) == {
        "model": {"lr": 0.2, "layers": [1, 2], "opt": {}},
        "name": "x",
    }
    experiment.params.set(model={"opt": {"beta": 1}})
    assert experiment.params.get(flatten=False)["model"]["opt"] == {"beta": 1}


def test_settings_of_any_kind_are_taken(experiment: Experiment) -> None:
    """A class with what it inherits, a namespace and a mapping are groups of parameters, named or not."""
    experiment.params.set(argparse.Namespace(batch=32), {"a": 1}, Args=Args)
    assert experiment.params.get() == {
        "batch": 32,
        "a": 1,
        "Args.seed": 1,
        "Args.lr": 0.1,
        "Args.sizes": [1, 2],
        "Args.Model.depth": 3,
    }


@pytest.mark.parametrize("bad", [object(), b"x", {"deep": [object()]}, int, lambda: 0])
def test_bad_value_changes_nothing(bad: Any, experiment: Experiment) -> None:
    """A value that cannot be recorded is named, and everything stays as it was."""
    experiment.params.set(lr=0.1)
    with pytest.raises(TypeError, match="bad"):
        experiment.params.set(other=1, bad=bad)
    with pytest.raises(TypeError, match="by name"):
        experiment.params.set(3)
    assert experiment.params.get() == {"lr": 0.1}
    assert len(experiment.params.history()) == 1


CLASHES: list[dict[str, Any]] = [
    {"a.b": 1, "a": {"b": 2}},
    {"a": 1, "a.b": 2},
    {"a": {"b": {"c": 1}}, "a.b": 2},
    {"model": {"depth": 1}},
    {"lr.first": 1},
    {"group": 5},
]


@pytest.mark.parametrize("clash", CLASHES, ids=str)
def test_name_cannot_be_a_value_and_a_group(clash: dict[str, Any], experiment: Experiment) -> None:
    """`a` and `a.b` cannot both be set by one program, in one call or two; nothing is changed."""
    before = {"model": 5, "lr": 0.1, "group.x": 1}
    experiment.params.set(before)
    with pytest.raises(UsageError, match=r"cannot be set|given twice"):
        experiment.params.set(clash)
    assert experiment.params.get() == before
    experiment.params.unset("model", "lr", "group").set(model={"depth": 1})
    assert experiment.params.get() == {"model.depth": 1}
    with pytest.raises(UsageError, match=r"no parameter 'lr'"):
        experiment.params.unset("lr")


REPLACED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"model": {"depth": 1}}, {"model.depth": 1, "lr": 0.1, "group.x": 1}),
    ({"lr.first": 1}, {"model": 5, "lr.first": 1, "group.x": 1}),
    ({"group": 5}, {"model": 5, "lr": 0.1, "group": 5}),
    ({"group": {}}, {"model": 5, "lr": 0.1, "group.x": 1}),
    ({"group.x.y": {"z": 1}}, {"model": 5, "lr": 0.1, "group.x.y.z": 1}),
]


@pytest.mark.parametrize("author", ["supervisor", "earlier opening", "other process"])
@pytest.mark.parametrize(("clash", "after"), REPLACED, ids=lambda value: str(sorted(value)))
def test_what_others_recorded_is_replaced(
    author: str, clash: dict[str, Any], after: dict[str, Any], root: Path
) -> None:
    """A program's params take effect over those of a matrix, an earlier opening or another rank."""
    before = {"model": 5, "lr": 0.1, "group": {"x": 1}}
    first, second = (Experiment("a/task", dash_root=root) for _ in range(2))
    if author == "supervisor":
        supervisor_api.open_attempt(first.place, TrackedAttempt("exp", "task", 1), before)
    else:
        first.run.start()
        first.params.set(before)
    if author == "earlier opening":
        first.run.complete()
    with second.run:
        second.params.set(clash)
        assert second.params.get() == after
        second.params.set(clash)
        assert second.params.get() == after
        removed = [change.key for change in second.params.history() if not change.is_set]
        assert removed == [name for name in flattened(before) if name not in after]
        second.params.unset(*after)
        assert second.params.get() == {}
        second.params.set(before)
        assert second.params.get() == flattened(before)
    if first.status == "RUNNING" and author == "other process":
        first.run.complete()


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b"])
def test_name_has_no_empty_part(name: str, experiment: Experiment) -> None:
    """A name that could not be nested and flattened again is refused."""
    with pytest.raises(UsageError, match="empty part"):
        experiment.params.set({"x": {name: 1}})
    assert experiment.params.get() == {}


def test_history_is_kept(experiment: Experiment) -> None:
    """Every change can be read back with its time, removals included."""
    experiment.params.set(lr=0.1, b=1).set(lr=0.01).unset("lr")
    changes = experiment.params.history("lr")
    assert [(change.value, change.is_set) for change in changes] == [(0.1, True), (0.01, True), (None, False)]
    assert changes[0].time <= changes[1].time


def test_two_writers_that_clash_unknowingly_leave_one_truth(root: Path) -> None:
    """Where two processes set `a` and `a.b` without seeing one another, the later one counts."""
    one, two = Experiment("a", dash_root=root), Experiment("a", dash_root=root)
    with one.run, two.run:
        one.params.set(x=1)
        two.params.set(x=1)
        one.params.set(a=1)
        two.params.set(a={"b": 2})
        assert one.params.get(flatten=False) == {"x": 1, "a": {"b": 2}}


def test_setting_one_does_not_grow_with_what_is_there(experiment: Experiment, root: Path) -> None:
    """A change appends what changed and rewrites nothing."""
    experiment.params.set({f"k{number}": number for number in range(10_000)})
    (path,) = (root / "owner/project/name/.record/params").iterdir()
    before = path.stat().st_size
    experiment.params.set(lr=1)
    assert path.stat().st_size - before < 100


KEYS = st.text("ab", min_size=1)


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8))
def test_flat_and_nested_are_two_forms_of_one(tree: Any) -> None:
    """Flattening and nesting again gives the same mapping."""
    tree = tree if isinstance(tree, dict) else {"x": tree}
    flat: dict[str, Any] = {}
    _flatten(tree, "", flat, 0)
    assert nested(flat) == tree
