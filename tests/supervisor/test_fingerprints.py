"""Fingerprints: they change exactly when something declared changes, and the loop never waits for them."""

from __future__ import annotations

import json
import os
import select
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.model.spec import Identity, Spec, Task
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.step_cache import CacheRule, Fingerprint
from nemorun_cli.spec import load
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.storage.step_cache import content_digests
from nemorun_cli.storage.step_cache.content_digests import ContentDigests
from nemorun_cli.supervisor import fingerprints
from nemorun_cli.supervisor.fingerprint_process import FingerprintMaker
from nemorun_cli.supervisor.fingerprints import Fingerprints, NoFingerprint
from nemorun_cli.supervisor.helper_process import MOST_LOSSES
from nemorun_cli.system import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WAIT = 60.0  # seconds until a process must have answered

# What a task declares, with values that differ in text, in type, in length, or in being there at all.
DECLARED: dict[str, list[Any]] = {
    "text": ["echo a", "echo b", "echo " + "a" * 300],
    "arg": ["1", "2", None, "${{ params.lr }}"],
    "matrix": [0.1, 0.2],
    "input": ["one", "two", None],
    "inner": ["one", None],
    "also": [["v1"], ["v2"], [1], [1.0], []],
    "env": ["x", "y", None],
    "inherited": ["x", "y", None],
    "workdir": [".", "sub"],
    "entrypoint": ["bash", "bash -e"],
    "script": ["true", "false", None],
    "parent": [1, "1", [1]],
    "above": ["f1", "f2", None],
    "outputs": [["m.pt"], ["m.pt", "n.pt"]],
}
# What it does not declare, and what only says how it is run.
OTHER: dict[str, list[Any]] = {
    "folder": ["one", "two"],
    "time": [1_000_000_000, 1_700_000_000],
    "undeclared": ["one", "two", None],
    "secret": ["hush-1", "hush-2"],
    "is_reversed": [False, True],
    "timeout": [None, "5m"],
    "description": [None, "new"],
    "unused": [1, 2],
    "id": ["exp_1", "exp_2"],
}


class World(NamedTuple):
    """One way in which everything can be."""

    declared: dict[str, Any]
    other: dict[str, Any]


WORLDS = st.builds(
    World,
    *(
        st.fixed_dictionaries({name: st.sampled_from(values) for name, values in options.items()})
        for options in (DECLARED, OTHER)
    ),
)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FingerprintMaker]:
    """What determines fingerprints, with a database; for it, every file is settled."""
    database = tmp_path_factory.mktemp("home") / "contents.db"
    digests = ContentDigests(database, now=lambda: time.time_ns() + 2 * content_digests.RACY)
    yield FingerprintMaker(digests)
    digests.close()


def fingerprint(maker: FingerprintMaker, world: World, folder: Path) -> Fingerprint:
    """The fingerprint of a task in a world that is laid out in a folder."""
    declared, other = world
    contents = {
        "data/a.csv": declared["input"],
        "data/sub/b.csv": declared["inner"],
        "notes.txt": other["undeclared"],
        "run.sh": declared["script"],
    }
    (folder / "sub").mkdir(parents=True)
    (folder / "data" / "sub").mkdir(parents=True)
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_text(content)
            os.utime(folder / name, (other["time"], other["time"]))
    base = "." if declared["workdir"] == "." else ".."
    entry: dict[str, Any] = {
        **({"inline": declared["text"]} if declared["script"] is None else {"script": "run.sh"}),
        "args": [] if declared["arg"] is None else [declared["arg"], "${{ matrix.lr }}"],
        "matrix": {"lr": [declared["matrix"]]},
        "env": {"B": "b", **({} if declared["env"] is None else {"A": declared["env"]})},
        "secrets": {"TOKEN": {"env": "TOKEN_SOURCE"}},
        "workdir": declared["workdir"],
        "entrypoint": declared["entrypoint"],
        "dependencies": ["first"],
        "description": other["description"],
        "timeout": other["timeout"],
        "cache": {
            "inputs": [f"{base}/data"],
            "also": declared["also"],
            "outputs": declared["outputs"],
            "env": ["INHERITED"],
        },
    }
    entry = {key: value for key, value in entry.items() if value is not None}
    if other["is_reversed"]:
        entry = dict(reversed(entry.items()))
        entry["env"] = dict(reversed(entry["env"].items()))
    params = {"lr": 3, "unused": other["unused"]}
    data = {"name": "a", "params": params, "tasks": {"first": {"inline": "x"}, "t": entry}}
    directory = folder.parent / other["id"]
    identity = Identity(id=other["id"], name="a", directory=str(directory))
    spec = load.resolve(load.read(data, path=folder / "spec.yaml"), identity)
    task = spec.tasks[1]
    order = {
        "key": task.id,
        "spec": replace(spec, tasks=(task,), groups=()).to_json(),
        "directory": str(directory),
        "parents": {
            "first": {
                "status": "SUCCEEDED",
                "outputs": {"n": declared["parent"]},
                "fingerprint": declared["above"],
            }
        },
        "variables": {"INHERITED": declared["inherited"]},
        "path": os.environ["PATH"],
        "python": None,
    }
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("TOKEN_SOURCE", other["secret"])
        return Fingerprint.of(maker.answer(json.loads(json.dumps(order)))["parts"])


@settings(
    max_examples=amount(25, long=1500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=WORLDS, other=WORLDS, changed=st.sets(st.sampled_from([*DECLARED, *OTHER]), max_size=3))
def test_a_fingerprint_changes_exactly_with_what_is_declared(
    maker: FingerprintMaker,
    tmp_path_factory: pytest.TempPathFactory,
    before: World,
    other: World,
    changed: set[str],
) -> None:
    """Not with times, the order of keys, the name of a folder, an undeclared file, or a secret."""
    after = World(
        *(
            {name: new[name] if name in changed else value for name, value in old.items()}
            for old, new in zip(before, other, strict=True)
        )
    )
    root = tmp_path_factory.mktemp("worlds")
    one = fingerprint(maker, before, root / "before" / before.other["folder"])
    two = fingerprint(maker, after, root / "after" / after.other["folder"])
    assert (one.id == two.id) == (_counts(before) == _counts(after)), two.changes(one)


def _counts(world: World) -> str:
    """What decides the result of the task in a world."""
    unused = "text" if world.declared["script"] is not None else "script"
    return json.dumps({name: value for name, value in world.declared.items() if name != unused})


class Asking:
    """The fingerprints of an experiment with these tasks, of which the first ones have succeeded."""

    def __init__(self, folder: Path, tasks: Sequence[Task]) -> None:
        spec = Spec(name="a", folder=str(folder), tasks=tuple(tasks))
        self.folder = folder
        self.tasks = {task.id: task for task in tasks}
        self.history = ExperimentState.of(spec, strict=True)
        self.poll = select.poll()
        self.reports: list[str] = []
        self.fingerprints = Fingerprints(
            spec,
            self.history,
            files=ExperimentFiles(folder / "a_1"),
            home=folder / "home",
            poll=self.poll,
            report=self.reports.append,
        )

    def answers(self, count: int) -> dict[str, Fingerprint | NoFingerprint]:
        """That many answers, by task; the loop sleeps until there is something to take."""
        found: dict[str, Fingerprint | NoFingerprint] = {}
        deadline = time.monotonic() + WAIT
        while len(found) < count and time.monotonic() < deadline:
            self.poll.poll(WAIT * 1000)
            found.update(self.fingerprints.take())
        return found

    @property
    def process(self) -> psutil.Process:
        """The process that determines them."""
        (process,) = (
            child for child in psutil.Process().children() if fingerprints.MODULE in " ".join(child.cmdline())
        )
        return process


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    """A pipeline of three tasks: `first` has succeeded, `failed` has failed."""
    (tmp_path / "data").write_text("x")

    def task(name: str, *dependencies: str, **fields: Any) -> Task:
        return Task(
            id=name,
            index=0,
            kind="inline",
            executor="local",
            workdir=str(tmp_path),
            dependencies=dependencies,
            **{"body": "echo", "cache": CacheRule(inputs=("data",)), **fields},
        )

    tasks = (
        task("first"),
        task("failed"),
        task("next", "first", cache=CacheRule(env=("NEW_VALUE", "UNSET_VALUE"))),
        task("lost", "failed"),
        task("fifo", cache=CacheRule(inputs=("$EXP_SHARED/fifo/x",))),
        task("large", body="echo " + "x" * 3_000_000),
    )
    made = Asking(tmp_path, tasks)
    first, failed = (made.history.tasks[name] for name in ("first", "failed"))
    first.status, first.outputs, first.fingerprint = TaskStatus.SUCCEEDED, {"n": 1}, "f" * 32
    failed.status = TaskStatus.FAILED
    yield made
    made.fingerprints.close()
    assert not [child for child in psutil.Process().children() if fingerprints.MODULE in child.cmdline()]


def test_fingerprints_are_determined_in_another_process(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is answered with the fingerprint, or with the reason why there is none."""
    monkeypatch.setenv("NEW_VALUE", "not in the ledger")
    (asking.folder / "a_1" / "shared").mkdir(parents=True)
    (asking.folder / "a_1" / "shared" / "fifo").symlink_to("fifo")
    with environment.withholding({}):  # which reads the environment anew
        for name in ("first", "next", "lost", "fifo"):
            asking.fingerprints.request(asking.tasks[name])
            assert asking.fingerprints.is_requested(name)
    answers = asking.answers(4)

    first, following = answers["first"], answers["next"]
    assert isinstance(first, Fingerprint)
    assert isinstance(following, Fingerprint)
    assert [*first.parts] == ["run", "input:data", "python"]
    assert first.parts["run"] == '{"inline":"echo"}'
    assert first.parts["python"].startswith("cpython 3.")
    assert [*following.parts] == ["run", "parent:first", "env:NEW_VALUE", "env:UNSET_VALUE", "python"]
    assert following.parts["env:UNSET_VALUE"] == "none"
    assert "ledger" not in "".join(following.parts.values())
    assert answers["lost"] == NoFingerprint("failed, on which it depends, is FAILED")
    assert isinstance(answers["fifo"], NoFingerprint)
    assert "fifo" in answers["fifo"].message
    assert not asking.fingerprints.is_requested("first")
    assert asking.fingerprints.due is None


def test_a_killed_process_is_replaced(asking: Asking) -> None:
    """What it was asked for is asked for again; one that ends each time at one task gives that one up."""
    asking.fingerprints.start()
    asking.process.suspend()
    for name in ("first", "next"):
        asking.fingerprints.request(asking.tasks[name])
    asking.process.kill()
    assert asking.answers(2).keys() == {"first", "next"}

    program = asking.folder / "bin" / "python3"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nkill -9 $PPID\n")  # when it is asked for its version
    program.chmod(0o755)
    deadly = replace(asking.tasks["first"], env={"PATH": f"{program.parent}:/bin"})
    asking.fingerprints.request(deadly)
    asking.fingerprints.request(asking.tasks["next"])
    answers = asking.answers(2)
    assert isinstance(answers["next"], Fingerprint)
    message = "the process that determines it ended with exit code -9, 3 times"
    assert answers["first"] == NoFingerprint(message)
    assert len(asking.reports) == MOST_LOSSES + 2


def test_a_large_request_does_not_stop_the_loop(asking: Asking) -> None:
    """What a pipe does not take at once follows while the loop goes on; a task may stop waiting."""
    asking.fingerprints.start()
    asking.process.suspend()
    for name in ("large", "first", "next"):
        asking.fingerprints.request(asking.tasks[name])
    asking.fingerprints.forget("next")
    assert dict(asking.fingerprints.take()) == {}
    asking.process.resume()
    answers = asking.answers(2)
    assert answers.keys() == {"large", "first"}
    assert answers["large"].parts["run"].startswith("sha256:")  # type: ignore[union-attr]
