"""Tasks of an earlier experiment as a program gets them back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from nemorun_cli import parts
from nemorun_cli.nemo import Config, Partial, Script, stored_tasks
from nemorun_cli.nemo.jobs import AddedGroup, AddedJob

FOLDER = Path(__file__).parent


class Colour(Enum):
    """A value of an enum."""

    RED = 1


@dataclass
class Model:
    """What a task builds."""

    hidden: Any = 1
    parts: Any = ()


def train(model: Any, *more: Any, lr: Any = 0.1) -> None:
    """A task."""


SHARED = Config(Model, hidden=3)


@pytest.mark.parametrize(
    "task",
    [
        Partial(train, 1),
        Partial(train, Config(Model, hidden=[Config(Model), {"a": Config(Model, 2)}])),
        Partial(train, 1, 2, Config(Model), lr=float("inf")),
        Partial(train, model=Path("/tmp"), lr=(1, (2, {"x"}))),  # noqa: S108 - a value
        Partial(train, model=Colour.RED, lr={1: "a", "b": None}),
        Partial(train, model=len, lr=Partial(train, Model)),
        Partial(train, model=Model(hidden=(1, 2))),
        Script("scripts/echo.sh", args=[1, "b"], env={"A": "b"}),
        Script(inline="echo $1", args=["x"], entrypoint="sh"),
    ],
    ids=repr,
)
def test_a_task_is_read_back_as_it_was_added(task: Any) -> None:
    """A Partial or a Script equals what its spec was made from, and gives the same spec again."""
    entry = task.translated().entry("args")
    again = stored_tasks.task(entry, FOLDER)
    assert type(again) is type(task)
    assert again.translated().entry("args") == entry
    assert again == task or isinstance(task, Script)


def test_an_object_in_several_places_stays_one() -> None:
    """What is changed in one place is changed in the others, as before."""
    task = Partial(train, SHARED, lr=[SHARED, Config(Model, parts=SHARED)])
    again = stored_tasks.task(task.translated().entry("args"), FOLDER)
    assert again.model is again.lr[0] is again.lr[1].parts
    assert again.model.hidden == 3


@pytest.mark.parametrize(
    "entry",
    [
        {"command": ["echo", "a"], "env": {"A": "b"}},
        {"inline": "echo a"},
        {"script": "a.sh", "entrypoint": ["bash", "-e"]},
        {"partial": "nothing_like_this:f", "args": {"a": 1}},
        {"partial": "fails_when_imported:f"},
    ],
    ids=str,
)
def test_a_task_that_only_this_package_has_stays_as_it_is(entry: dict[str, Any], tmp_path: Path) -> None:
    """A command, a text for `bash -e`, and a function that cannot be imported are values of a Builder."""
    (tmp_path / "fails_when_imported.py").write_text("raise SystemError\n")
    job = stored_tasks.job("t", {**entry, "timeout": 3}, folder=tmp_path, executors={})
    assert isinstance(job.content, (parts.Command, parts.Script, parts.Partial))
    assert job.entry() == {**entry, "timeout": 3}


def test_a_job_has_what_its_entry_has() -> None:
    """Dependencies, the executor to look at, and all keys that are not the task itself."""
    executors = {"mine": {"type": "docker", "image": "a"}}
    entry = {
        "group": [{"inline": "a", "entrypoint": "bash", "timeout": 1}, {"command": "b"}],
        "executor": ["mine", "local"],
        "dependencies": ["c"],
        "fail_fast": True,
    }
    group = stored_tasks.job("g", entry, folder=FOLDER, executors=executors)
    assert isinstance(group, AddedGroup)
    assert group.executors == [
        parts.Executor("docker", name="mine", image="a"),
        parts.Executor("local", name="local"),
    ]
    assert group.dependencies == ["c"]
    group.tasks[0].inline = "changed"
    changed = {"inline": "changed", "entrypoint": "bash", "timeout": 1}
    assert group.entry() == {**entry, "group": [changed, {"command": "b"}]}
    job = stored_tasks.job("j", {"inline": "a", "when": True}, folder=FOLDER, executors={})
    assert isinstance(job, AddedJob)
    assert job.entry() == {"inline": "a", "when": True}
