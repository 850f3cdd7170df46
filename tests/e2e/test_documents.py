from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from support.formats import checked
from support.patience import eventually
from support.workspace import until

import nemorun_cli
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.spec.schema import walk

if TYPE_CHECKING:
    from support.workspace import Exp, Result

ENDINGS = """
name: endings
tags: [a]
params: {steps: 3}
tasks:
  well: {inline: 'echo "rows:=3" >> "$EXP_OUTPUT"'}
  flaky: {inline: 'echo try; test "$EXP_ATTEMPT" = 2', retry: {limit: 1}}
  bad: {inline: "python3 -c 'raise ValueError(1)'", dependencies: [well]}
  below: {command: [echo, no], dependencies: [bad]}
  deeper: {command: [echo, no], dependencies: [below]}
  never: {command: [echo, no], when: false}
  both:
    group: [{command: [echo, one]}, {name: named, command: [echo, two]}]
    dependencies: [bad]
    dependency_type: afterany
"""
WAITING = f"""
name: waiting
tasks:
  first: {{inline: "{until("go")}"}}
  second: {{command: [echo, later], dependencies: [first]}}
"""
NOT_OF_COMMANDS = {
    "exp.attempt",
    "exp.batch",
    "exp.device",
    "exp.fingerprint",
    "exp.ledger",
    "exp.logins",
    "exp.logout",
    "exp.outbox",
    "exp.partial",
    "exp.record",
    "exp.replica",
    "exp.resolved",
    "exp.sender",
    "exp.step-cache",
    "exp.server-trash",
    "exp.session",
    "exp.sessions",
    "exp.source",
    "exp.token-uses",
    "exp.tokens",
    "exp.trash",
}


def checked_lines(result: Result) -> list[Any]:
    """The documents of JSON Lines, each of them checked."""
    return [checked(json.loads(line)) for line in result.stdout.splitlines()]


def published() -> list[Path]:
    """The schemas of documents."""
    return sorted(path for path in walk.folder().glob("*.schema.json") if path.stem != "experiment.schema")


def enums(node: Any, name: str) -> list[list[str | None]]:
    """What stands in the `enum` of every definition of this name."""
    if isinstance(node, list):
        return [found for one in node for found in enums(one, name)]
    if not isinstance(node, dict):
        return []
    own = [node[name]["enum"]] if isinstance(node.get(name), dict) and "enum" in node[name] else []
    return [*own, *(found for one in node.values() for found in enums(one, name))]


def test_documents_of_an_experiment_that_failed(exp: Exp) -> None:
    """Whatever became of its tasks, every document about an experiment is of the form that it names."""
    started = checked(exp("run", exp.spec(ENDINGS), "--json", code=1).json)
    assert started["status"] == "FAILED"
    status = checked(exp("status", "--json").json)
    ends = {task["id"]: (task["status"], task["reason"]) for task in status["tasks"]}
    assert ends["bad"] == ("FAILED", "exit")
    assert ends["deeper"] == ("SKIPPED", "dependency")
    assert ends["never"] == ("SKIPPED", "when")
    for task in ends:
        checked(exp("why", "latest", task, "--json").json)
    for command in ("list", "show", "doctor", "gc", "params", "metrics", "compare", "files", "records"):
        checked(exp(command, "--json", code=None).json)  # the doctor may find an engine in trouble
    for command in ("graph", "doctor", "fsck"):
        checked(exp(command, started["id"], "--json").json)
    checked(exp("wait", "--json", code=1).json)
    checked(exp("cancel", started["id"], "--json").json)
    checked(exp("resume", started["id"], "--dry-run", "--json").json)
    changed = checked(exp("resume", started["id"], "--dry-run", "--json", "-p", "steps=9").json)
    assert (changed["revision"], [one["path"] for one in changed["changes"]]) == (2, ["params.steps"])
    again = checked(exp("rerun", started["id"], "-p", "steps=4", "--json", code=1).json)
    found = checked(exp("diff", started["id"], again["id"], "--json").json)
    assert [one["path"] for one in found["spec"]] == ["params.steps"]
    assert checked(exp("show", again["id"], "--json").json)["lineage"]["rerun_of"] == started["id"]
    checked(exp("tag", again["id"], "+best", "-a", "--json").json)
    checked(exp("note", again["id"], "a note", "--json").json)
    checked(exp("show", again["id"], "--json").json)
    checked(exp("list", "--json").json)
    kinds = {event["event"] for event in checked_lines(exp("events", "latest", "--json"))}
    assert kinds >= {
        "tagged",
        "noted",
        "created",
        "submitted",
        "started",
        "ended",
        "retried",
        "skipped",
        "finished",
    }
    assert {line["text"] for line in checked_lines(exp("logs", "--json"))} >= {"try", "one", "two"}


def test_documents_of_an_experiment_that_runs(exp: Exp) -> None:
    """While it runs, and when it is cancelled, they are as well."""
    started = checked(exp("run", exp.spec(WAITING), "-d", "--json").json)
    eventually(lambda: exp.task("first")["status"] == "RUNNING")
    for command in ("status", "list", "show"):
        checked(exp(command, "--json").json)
    for task in ("first", "second"):
        checked(exp("why", "latest", task, "--json").json)
    assert checked(exp("wait", "--timeout", "0", "--json", code=4).json)["status"] == "RUNNING"
    checked(exp("graph", "latest", "--json").json)
    cancelled = checked(exp("cancel", started["id"], "--json").json)
    assert {task["status"] for task in cancelled["tasks"]} == {"CANCELLED"}
    checked(exp("why", "latest", "first", "--json").json)
    assert "cancel_requested" in {
        event["event"] for event in checked_lines(exp("events", "latest", "--json"))
    }


TRACKED = f"""
name: tracked
params: {{steps: 3}}
tasks:
  train:
    command: [{sys.executable}, track.py]
    matrix: {{lr: [1, 2]}}
    metrics: {{read: 'loss=(?P<loss>\\S+)'}}
"""
TRACK = """
from nemorun_cli import Experiment
with Experiment(description="x", tags=["a"], metadata={"b": 1}, print_logs=False).run as experiment:
    experiment.params.set(model={"depth": 3}, nothing=None, name="NaN")
    experiment.metrics("train").log(loss=float("nan"), epoch=1, note="x", many=[1])
    experiment.metrics.log(accuracy=float("inf"))
    experiment.files("models", tags=["best"]).save_text("x", to="a.txt")
    print("loss=1")
"""


def test_documents_of_what_was_tracked(exp: Exp) -> None:
    """Params, metrics, files and records are as well, numbers that JSON does not know among them."""
    (exp.folder / "track.py").write_text(TRACK)
    exp("run", exp.spec(TRACKED))
    params = checked(exp("params", "latest", "train/lr=1", "--json").json)["records"]
    assert params[0]["nested"]["model"] == {"depth": 3}
    series = checked(exp("metrics", "latest", "train/lr=1", "--json").json)["series"]
    assert [one["name"] for one in series] == [None, "read", "train"]
    assert series[2]["statistics"]["loss"]["last"] == "NaN"
    assert checked_lines(exp("metrics", "-f", "--json"))
    assert len(checked(exp("compare", "--json").json)["rows"]) == 2
    assert len(checked(exp("files", "--json").json)["files"]) == 2
    records = checked(exp("records", "--json").json)["records"]
    assert [len(one["openings"]) for one in records] == [1, 2, 2]
    assert records[1]["openings"][0]["state"] == "ended"
    assert checked(exp("params", "no/such/record", "--json", code=3).json)["code"] == 3


def test_documents_of_a_spec(exp: Exp) -> None:
    """What is said of a spec that was not run is as well."""
    spec = exp.spec(ENDINGS)
    for arguments in (
        ["validate", spec],
        ["validate", spec, "--engines"],
        ["run", spec, "--dry-run"],
        ["graph", spec],
    ):
        checked(exp(*arguments, "--json").json)


def test_documents_of_upkeep(exp: Exp) -> None:
    """What is said of a damaged ledger, of its repair and of what was removed is as well."""
    exp("run", exp.spec("name: a\ntasks: {one: {command: [echo, hi]}}"))
    ledger = exp.directory() / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:4], b"rubbish\n", *lines[5:]]))
    assert checked(exp("list", "--json").json)["experiments"]
    assert checked(exp("status", "--json", code=7).json)["code"] == 7
    assert not checked(exp("fsck", "latest", "--json", code=7).json)["is_sound"]
    assert checked(exp("fsck", "latest", "--repair", "--json").json)["is_repaired"]
    assert checked(exp("gc", "--older", "0", "--json").json)["removed"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status", "nothing"], 3),
        (["run", "absent.yaml"], 2),
        (["run", "wrong.yaml"], 2),
        (["wait", "--timeout", "soon"], 2),
        (["graph", "wrong.yaml", "--format", "picture"], 2),
    ],
)
def test_errors_are_documents(exp: Exp, arguments: list[str], code: int) -> None:
    """With --json an error is a document on standard output, with the exit code in it."""
    exp.spec("tasks: {one: {comand: x, timeout: soon}}", "wrong.yaml")
    assert checked(exp(*arguments, "--json", code=code).json)["code"] == code


def test_every_form_has_its_schema() -> None:
    """A form that the package names is published, and what is published is named by the package."""
    texts = (path.read_text(encoding="utf-8") for path in Path(nemorun_cli.__file__).parent.rglob("*.py"))
    named = {
        match for text in texts for match in re.findall(r'"(exp\.[a-z]+(?:-[a-z]+)*)/1"', text)
    } - NOT_OF_COMMANDS
    assert {f"exp.{path.name.removesuffix('.schema.json')}" for path in published()} == named


@pytest.mark.parametrize("path", published(), ids=lambda path: path.name)
def test_schemas_say_what_the_package_says(path: Path) -> None:
    """A schema is a valid one, bears its file's name, and lists the very states and reasons there are."""
    form = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(form)
    assert form["$id"].endswith(f":{path.name}")
    for name, words in (
        ("taskStatus", [*TaskStatus]),
        ("experimentStatus", [*ExperimentStatus]),
        ("reasonWord", [*Reason]),
        ("recordStatus", [status for status in ExperimentStatus if status != "INTERRUPTED"]),
    ):
        for values in enums(form.get("$defs", {}), name):
            assert set(values) - {None} == set(words)


@pytest.mark.parametrize("name", ["taskStatus", "experimentStatus", "reasonWord", "recordStatus"])
def test_each_list_of_words_is_in_a_schema(name: str) -> None:
    """The lists that are compared with those of the package are there under the names of the comparison."""
    assert any(enums(json.loads(path.read_text(encoding="utf-8")), name) for path in published())
