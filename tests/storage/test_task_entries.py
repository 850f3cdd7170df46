"""Large sweeps in `resolved.json`: read piece by piece, and made into tasks when they are needed."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import LedgerError
from nemorun_cli.experiment.maintenance import fsck, rebuild
from nemorun_cli.experiment.maintenance.salvage import Salvage
from nemorun_cli.model.spec import Group, Retry, Spec, Task
from nemorun_cli.model.stored_tasks import OWN_FIELDS, StoredTasks
from nemorun_cli.storage import spec_copies, stored_spec
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.state import ExperimentState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 1001
NAMES = tuple(f"train/seed={number}" for number in range(COUNT))
PADDING = "x" * 180  # so that the text is a large one


def task(task_id: str, index: int, **own: Any) -> Task:
    values: dict[str, Any] = {"kind": "inline", "body": "true", "executor": "local", "workdir": "/"}
    return Task(id=task_id, index=index, **{**values, **own})


@pytest.fixture(scope="module")
def spec() -> Spec:
    """A sweep between two tasks; one member has a field that the others lack."""
    common = {"group": "train", "dependencies": ("first",), "retry": Retry(limit=2)}
    members = [
        task(name, 1 + number, env={"SAME": "1", "SEED": str(number)}, args=(str(number), PADDING), **common)
        for number, name in enumerate(NAMES)
    ]
    members[7] = members[7].changed({"timeout": 3.0})
    last = task("last", COUNT + 1, dependencies=NAMES)
    group = Group(id="train", members=NAMES, axes=("seed",), max_parallel=2)
    return Spec(name="n", folder="/", tasks=(task("first", 0), *members, last), groups=(group,))


@pytest.fixture
def files(tmp_path: Path) -> ExperimentFiles:
    """The files of an experiment in a home."""
    folder = tmp_path / "experiments" / "n" / "n_1"
    folder.mkdir(parents=True)
    return ExperimentFiles(folder)


@pytest.fixture
def stored(spec: Spec, files: ExperimentFiles) -> Spec:
    """The spec as it is read back."""
    files.resolved.write_text(spec_copies.text(spec, files.directory), encoding="utf-8")
    return spec_copies.read_copy(files)


def test_a_large_sweep_is_read_as_it_was_written(spec: Spec, stored: Spec) -> None:
    """Its members are not in memory, and equal to those that were written, however they are asked for."""
    assert isinstance(stored.tasks, StoredTasks)
    assert stored == spec
    assert stored.to_json() == spec.to_json()
    assert list(stored.ids) == [each.id for each in spec.tasks]
    assert stored.tasks[8] == stored.named("train/seed=7") == stored.by_id()["train/seed=7"] == spec.tasks[8]
    assert (stored.tasks[-1], stored.tasks[1:3]) == (spec.tasks[-1], spec.tasks[1:3])
    with pytest.raises(IndexError):
        stored.tasks[COUNT + 2]


def test_kin_are_equal_in_all_fields_that_members_share(spec: Spec, stored: Spec) -> None:
    """They stand for members where their own fields do not matter; one with another field has its own."""
    shared = [field.name for field in fields(Task) if field.name not in OWN_FIELDS]
    for kin, each in zip(stored.kin, spec.tasks, strict=True):
        assert all(getattr(kin, name) == getattr(each, name) for name in shared)
    possible = list(stored.possible_tasks)
    assert sorted(each.id for each in possible) == ["first", "last", "train/seed=0", "train/seed=7"]


def test_other_values_can_be_set_for_an_id(stored: Spec) -> None:
    """A trial gets its fields once it has values; an id that the spec lacks is refused."""
    tasks = stored.by_id()
    changed = tasks["first"].changed({"body": "false"})
    tasks["first"] = changed
    assert (tasks["first"], stored.named("first").body, len(tasks)) == (changed, "true", COUNT + 2)
    with pytest.raises(KeyError):
        tasks["other"] = changed
    with pytest.raises(TypeError):
        del tasks["first"]


def _with(key: str, value: Any, *, of: int = 9) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["tasks"][of][key] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _with("id", "../../x"),
        _with("id", "train/seed=3"),
        _with("id", 3),
        _with("index", COUNT + 2),
        _with("index", -1),
        _with("env", {"SEED": 1}),
        _with("args", "text"),
        _with("dependencies", ["nothing"]),
        _with("dependencies", ["last"], of=0),
        _with("matrix", ["list"]),
        lambda document: document["tasks"][9].pop("id"),
        lambda document: document["tasks"].insert(3, "text"),
        lambda document: document["shared"]["train"].update(dependencies=["nothing"]),
        lambda document: document.update(tasks={}),
    ],
)
def test_a_flaw_is_worded_as_in_a_small_spec(
    spec: Spec, files: ExperimentFiles, change: Callable[[dict[str, Any]], None]
) -> None:
    """Nothing is used of a text with a value that is not safe, wherever it is."""
    document = json.loads(spec_copies.text(spec, files.directory))
    change(document)
    files.resolved.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(LedgerError) as caught:
        spec_copies.read_copy(files)
    assert caught.value.message.endswith(f": {stored_spec.problem(document, files.directory)}")


def test_members_that_lack_a_field_are_refused(spec: Spec, files: ExperimentFiles) -> None:
    """What all of them have in common may not lack what every task needs."""
    document = json.loads(spec_copies.text(spec, files.directory))
    del document["shared"]["train"]["executor"]
    files.resolved.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(LedgerError, match="executor"):
        spec_copies.read_copy(files)


@pytest.mark.parametrize(
    "dump",
    [
        lambda document: json.dumps(document, indent=1),
        lambda document: f" \n{json.dumps(document, separators=(',', ':'))}\n",
        lambda document: json.dumps({**document, "description": "déjà"}, ensure_ascii=False),
        lambda document: json.dumps({"tasks": [], **document}).replace('"tasks": []', '"tasks": [ ]', 1),
        lambda document: json.dumps({key: document[key] for key in sorted(document, reverse=True)}),
    ],
)
def test_other_texts_of_the_same_spec_are_read(
    spec: Spec, files: ExperimentFiles, dump: Callable[[dict[str, Any]], str]
) -> None:
    """Another program may have written it: with other spaces, keys in another order, other letters."""
    document = json.loads(spec_copies.text(spec, files.directory))
    files.resolved.write_text(dump(document), encoding="utf-8")
    assert spec_copies.read_copy(files).tasks == spec.tasks


@pytest.mark.parametrize("end", ["", ",", "}}", "]", '"'])
def test_a_text_that_is_cut_is_refused(spec: Spec, files: ExperimentFiles, end: str) -> None:
    """It is no JSON, and the message is that of its reader."""
    text = spec_copies.text(spec, files.directory)[:-1] + end
    files.resolved.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as expected:  # noqa: PT011 - whatever the reader of JSON reports
        json.loads(text)
    with pytest.raises(LedgerError) as caught:
        spec_copies.read_copy(files)
    assert str(expected.value) in caught.value.message


def test_a_large_sweep_moves_with_its_home(spec: Spec, files: ExperimentFiles, tmp_path: Path) -> None:
    """Paths in the folder of its experiment are those of where it is now."""
    before = tmp_path / "other" / "experiments" / "n" / "n_1"
    moved = [task.changed({"env": {"DIR": f"{before}/x"}}) for task in spec.tasks]
    text = spec_copies.text(Spec(name="n", folder="/", tasks=tuple(moved), groups=spec.groups), before)
    files.resolved.write_text(text, encoding="utf-8")
    assert spec_copies.read_copy(files).tasks[5].env == {"DIR": f"{files.directory}/x"}


def test_what_happens_to_a_member_happens_to_no_other(spec: Spec, stored: Spec) -> None:
    """Members to which nothing has happened share a state; a cancel and a resume reach each of them."""
    common = {"by": "somebody", "attempt": 1}
    ended = {"event": "ended", "task": NAMES[2], "status": "CANCELLED", "reason": "cancelled", **common}
    events = [
        {"event": "submitted", "task": NAMES[1], **common},
        {"event": "cancel_requested", "tasks": list(NAMES[:3]), "by": "somebody"},
        ended,
        {"event": "resumed", "tasks": {NAMES[2]: 2, NAMES[0]: 1}, "by": "somebody"},
        {"event": "submitted", "task": NAMES[0], **common},
    ]
    large, small = ExperimentState.of(stored), ExperimentState.of(spec)
    for number, event in enumerate(events):
        stamped = {**event, "time": f"2026-11-30T12:00:0{number}.000Z"}
        large.apply(stamped)
        small.apply(stamped)
        assert large.tasks == small.tasks
        assert (large.counts, large.ignored) == (small.counts, small.ignored)
    assert len({id(state) for state in large.tasks.values()}) < 6


def test_the_ledger_of_a_large_sweep_is_rebuilt(stored: Spec, files: ExperimentFiles) -> None:
    """What is lost of the first attempt at a member is added before what there is of the second."""
    name, common = NAMES[1], {"time": "2026-11-30T12:00:00.000Z", "by": "somebody"}
    for number in (1, 2):
        attempt = files.attempt(name, number)
        attempt.directory.mkdir(parents=True)
        attempt.claim.write_text("1")
    created = {"event": "created", "id": files.id, "name": "n", "key": None, "tags": [], **common}
    left = Salvage(events=(created, {"event": "submitted", "task": name, "attempt": 2, **common}))
    files.ledger.touch()
    check = replace(fsck.examine(files, stored), read=left)
    found = rebuild.rebuild(files, stored, check, home=files.home)
    assert [(event["event"], event["attempt"]) for event in found[1:]] == [
        ("submitted", 1),
        ("ended", 1),
        ("retried", 2),
        ("submitted", 2),
        ("started", 2),
    ]
