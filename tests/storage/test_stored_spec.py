"""What is stored is checked for what is dangerous, by the forms of its fields."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import LedgerDamagedError, LedgerError
from nemorun_cli.model import forms
from nemorun_cli.model.search import SearchParam, SearchRule
from nemorun_cli.model.spec import Group, PluginUse, RunOptions, Spec, Task
from nemorun_cli.storage import events, ledger, spec_copies, stored_spec
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIME = "2026-11-22T03:11:33.120Z"
SPEC = Spec(
    name="x",
    folder="/work",
    tasks=(
        Task(id="a", index=0, kind="inline", body="true", executor="local", workdir="/work"),
        Task(
            id="b/lr=0.1,s=é~1", index=1, kind="inline", body="true", executor="local", workdir="/",
            group="b", dependencies=("a",),
        ),
    ),
    groups=(Group(id="b", members=("b/lr=0.1,s=é~1",), axes=("lr", "s")),),
    plugins=(PluginUse(uses="notify", options={"url": {"secret": "URL"}}),),
    executors={"far": {"type": "slurm", "tunnel": {"host": "far", "job_dir": "/jobs"}}},
)  # fmt: skip


FORM = {"values": {"n": 1}, "fields": {"executor": "far"}}
STUDY = {"params": [], "metrics": ["a"], "goals": ["minimize"], "trials": 1}


def stored(folder: Path, **changes: Any) -> ExperimentFiles:
    """An experiment's files with a spec of which some fields were replaced, by their dotted places."""
    files = ExperimentFiles(folder / "experiments" / "x" / "x_1")
    files.directory.mkdir(parents=True)
    document = json.loads(spec_copies.text(SPEC, files.directory))
    for place, value in changes.items():
        *above, last = (int(key) if key.isdigit() else key for key in place.split("."))
        parent = document
        for key in above:
            parent = parent[key]
        parent[last] = value
    files.resolved.write_text(json.dumps(document))
    return files


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (Task, stored_spec.TASK),
        (Group, stored_spec.GROUP),
        (RunOptions, stored_spec.RUN),
        (PluginUse, stored_spec.PLUGIN),
        (SearchRule, stored_spec.SEARCH),
        (SearchParam, stored_spec.PARAM),
    ],
    ids=["Task", "Group", "RunOptions", "PluginUse", "SearchRule", "SearchParam"],
)
def test_every_stored_field_has_a_form(kind: Any, known: Mapping[str, forms.Form]) -> None:
    """No field of a spec is read back without a check of what it holds."""
    assert {field.name for field in fields(kind)} == set(known)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """Whatever ids a version made of values of a matrix, and executors of types that are not installed."""
    assert spec_copies.read_spec(stored(tmp_path)) == SPEC
    unknown = stored(tmp_path / "other", **{"executors.far": {"type": "moon", "any": [1]}, "new_field": {}})
    assert spec_copies.read_spec(unknown).executors["far"]["type"] == "moon"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("groups.0.until", "b/none"),
        ("groups.0.until", 7),
        ("groups.0.until", "../a"),
        ("groups.0.search", {"params": []}),
        ("groups.0.search", {**STUDY, "sampler": "none"}),
        ("groups.0.search", {**STUDY, "trials": -1}),
        ("groups.0.search", {**STUDY, "goals": ["min"]}),
        ("groups.0.search", {**STUDY, "params": [{"name": "x", "kind": "text"}]}),
        ("tasks.0.id", "../../x"),
        ("tasks.0.id", "/etc"),
        ("tasks.0.id", "a//b"),
        ("tasks.0.id", "a\0b"),
        ("tasks.0.id", "a\nb"),
        ("tasks.0.id", "\ud800"),
        ("tasks.0.id", "x" * 256),
        ("tasks.0.id", None),
        ("tasks.0", []),
        ("tasks", {"0": {}}),
        ("tasks.0.workdir", "/a\0b"),
        ("tasks.0.resources", {"memory": 10**30}),
        ("tasks.0.timeout", float("inf")),
        ("tasks.0.env", {"A": 1}),
        ("tasks.0.variants", {"params": ["n"], "entries": [{**FORM, "fields": {"retry": 3}}]}),
        ("tasks.0.variants", {"params": ["n"], "entries": [{**FORM, "fields": {"id": "../../x"}}]}),
        ("tasks.0.variants", {"params": ["n"], "entries": [{**FORM, "fields": {"dependencies": ["no"]}}]}),
        ("tasks.0.variants", {"params": ["n"], "entries": [{**FORM, "values": ["n"]}]}),
        ("tasks.0.variants", {"params": [1], "entries": [FORM]}),
        ("tasks.0.variants", [FORM]),
        ("plugins.0.values", [3]),
        ("tasks.1.dependencies", ["missing"]),
        ("tasks.1.dependencies", [["a"]]),
        ("tasks.1.id", "a"),
        ("tasks.0.dependencies", ["a"]),
        ("tasks.0.dependencies", ["b/lr=0.1,s=é~1"]),
        ("tasks.0.index", 2),
        ("groups.0.members", ["a", "missing"]),
        ("shared.b.group", "missing"),
        ("name", "../x"),
        ("removed", ["../x"]),
        ("prefix", "a/../../b"),
        ("packages", [{"folder": "/etc"}]),
        ("executors.far.tunnel.host", "-oProxyCommand=touch x"),
        ("executors.far.tunnel.host", ["far"]),
        ("executors.far.tunnel.user", "-l"),
        ("executors.far.tunnel.port", "22"),
        ("executors.far.tunnel.identity", "-i"),
        ("executors.far.tunnel.job_dir", "/jobs;touch x"),
        ("executors.far.tunnel.job_dir", "/jobs/../.."),
        ("executors.far.tunnel.artifacts", ["../../*"]),
        ("executors.far", "local"),
        ("executors.far.type", ["slurm"]),
        ("secrets", {"T": {"file": 1}}),
        ("plugins", [{"uses": None}]),
        ("plugins.0.options", {"a": [{"secret": ["x"]}]}),
        ("run.timeout", "1h"),
        ("revision", 0),
    ],
)
def test_dangerous_value_is_an_error_that_names_the_field(tmp_path: Path, place: str, value: Any) -> None:
    """The error is the documented one about an experiment's files."""
    files = stored(tmp_path, **{place: value})
    with pytest.raises(LedgerError) as caught:
        spec_copies.read_spec(files)
    assert str(files.resolved) in caught.value.message
    field = place.replace("executors.far.tunnel.", "").replace("shared.b.", "").rpartition(".")[2]
    assert field.isdigit() or field in caught.value.message or "the same id" in caught.value.message


def test_values_are_not_nested_without_end(tmp_path: Path) -> None:
    """Values as deep as a spec or an output may be are read, and deeper ones are an error."""
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert spec_copies.read_spec(stored(tmp_path, params={"p": deep})).params == {"p": deep}
    for _ in range(200):
        deep = [deep]
    with pytest.raises(LedgerError, match="params"):
        spec_copies.read_spec(stored(tmp_path / "deep", params={"p": deep}))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": None}, "task"),
        ({"task": "../../x"}, "task"),
        ({"attempt": 10**12}, "attempt"),
        ({"attempt": True}, "attempt"),
        ({"time": "2026-99-99"}, "time"),
        ({"time": 1}, "time"),
        ({"status": "DONE"}, "status"),
        ({"outputs": []}, "outputs"),
        ({"usage": {"memory": "all"}}, "usage"),
        ({"usage": {"gpu_memory": -1}}, "usage"),
        ({"duration": float("nan")}, "duration"),
        ({"started": "0001-01-01T00:00:00+14:00"}, "started"),
        ({"exit_code": "1"}, "exit_code"),
        ({"job_id": 4711}, "job_id"),
    ],
)
def test_event_that_no_reader_can_use_is_damage(tmp_path: Path, change: Any, field: str) -> None:
    """It names the line and the field, although its batch is intact; the file can be salvaged."""
    ended = {"event": "ended", "time": TIME, "task": "a", "attempt": 1, "status": "FAILED"}
    created = {"event": "created", "time": TIME, "id": "x_1", "name": "x", "format": ledger.FORMAT}
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(ledger.encode([created, ended]))
    assert len(ledger.reader_of(path).read()) == 2
    path.write_bytes(ledger.encode([created, {**ended, **change}]))
    with pytest.raises(LedgerDamagedError, match=rf"ledger.jsonl:2: {field}"):
        ledger.reader_of(path).read()


def test_events_of_a_later_version_are_kept() -> None:
    """A kind, or a field, that this version does not know passes."""
    assert events.flaw({"event": "dreamt", "of": [1]}) is None
    assert events.flaw({"event": "supervisor_ended", "time": TIME, "mood": {}}) is None
    assert events.flaw({"event": ["dreamt"]}) is not None


@pytest.mark.parametrize(
    "day", ["2026-02-28", "2026-02-29", "2024-02-29", "2026-04-30", "2026-12-31", "2026-06-31"]
)
def test_stamps_are_dates_that_exist(day: str) -> None:
    """The quick check of a stamp agrees with the calendar."""
    assert forms.is_time(f"{day}T23:59:59.999Z") == (day not in {"2026-02-29", "2026-06-31"})
