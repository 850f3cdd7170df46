"""The experiment that rules of the contract share: one for all, unless one of them spoils it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.contract import Subject
from nemorun_cli.contract.shared_run import SharedRuns, ends_alone, selected
from nemorun_cli.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL = Subject(name="local", options={"type": "local"})


@ends_alone(lambda _: {"one": "echo $EXP_TASK >>ran", "two": {"inline": "exit 3", "dependencies": ["one"]}})
def first() -> None:
    """A rule."""


@ends_alone(lambda place: {"one": {"command": ["touch", place.name("seen")]}})
def second() -> None:
    """Another rule, whose task has the same name."""


@ends_alone(lambda _: {"one": {"inline": "true", "colour": "red"}})
def refused() -> None:
    """A rule whose task is no valid one."""


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[SharedRuns]:
    """Shared experiments of a session."""
    with contextlib.ExitStack() as stack:
        yield SharedRuns(tmp_path, stack)


def test_rules_share_an_experiment_and_find_their_own_tasks(runs: SharedRuns) -> None:
    """The first rule runs the tasks of all; each has its own by its own names, in a folder of its own."""
    ended, other = (runs.ended(LOCAL, rule, [first, second]) for rule in (first, second))
    assert ended.run is other.run
    assert ended.statuses() == {"one": "SUCCEEDED", "two": "FAILED"}
    assert (ended.lines(), ended.left) == (["one"], [])
    assert other.statuses() == {"one": "SUCCEEDED"}
    assert [path.name for path in other.folder.iterdir()] == [other.place.name("seen")]


def test_a_rule_that_spoils_the_experiment_fails_alone(runs: SharedRuns) -> None:
    """If the shared experiment cannot be run, each rule has one of its own."""
    rules = [first, second, refused]
    assert runs.ended(LOCAL, second, rules).statuses() == {"one": "SUCCEEDED"}
    with pytest.raises(SpecError, match="colour"):
        runs.ended(LOCAL, refused, rules)
    assert runs.ended(LOCAL, first, rules).statuses() == {"one": "SUCCEEDED", "two": "FAILED"}


def test_only_what_was_selected_runs(request: pytest.FixtureRequest) -> None:
    """Items of other kinds, and of other executors, add no tasks."""
    assert selected(LOCAL, [request.node]) == []
