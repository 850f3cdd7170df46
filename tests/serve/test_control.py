"""`POST /v1/control/…`: the commands do what a page asks for, once, in the name of its user."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from support.elsewhere import events_of
from support.patience import eventually
from support.view_sites import Reader, collector, local, reading, validator

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment import trash
from nemorun_cli.experiment.run import Run, find
from nemorun_cli.serve import control, remembered_actions
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.control import Fields
from nemorun_cli.serve.remembered_actions import (
    ActionOutcome,
    RememberedActions,
    ReusedKeyError,
    TooManyActionsError,
)
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

SPEC = """
name: controlled
tasks:
  wait: {matrix: {lr: [1, 2]}, inline: 'test -e over || exec sleep 300'}
"""
DONE = ActionOutcome(200, {})


@pytest.fixture(scope="module")
def run(shared: Exp) -> Iterator[Run]:
    """An experiment that runs until somebody cancels it."""
    experiment_id = shared("run", shared.spec(SPEC), "-d", "-q").stdout.strip()
    found = find(experiment_id, home=shared.home)
    yield found
    found.cancel()


@pytest.fixture(scope="module")
def carol(run: Run) -> Iterator[Reader]:
    """Somebody who may control a home that is not hers, and read it."""
    with reading(local(run.home.directory, allows_control=True), "carol") as (reader,):
        reader.token = reader.app.state.access.tokens.add("carol", scopes={Scope.CONTROL, Scope.READ})
        yield reader


def path(carol: Reader, run: Run) -> str:
    """The address of the actions on an experiment."""
    entry = carol.json("/v1/views/experiments")["experiments"][-1]
    return f"/v1/control/experiments/{entry['owner']}/{entry['home']}/{run.id}"


def checked(document: Any) -> Any:
    """The document of a command, which its schema allows."""
    validator(document["schema"].partition("/")[0].removeprefix("exp.")).validate(document)
    return document


def authors(run: Run, kind: str) -> list[str]:
    """Who asked, by the events of a kind."""
    return [event["by"] for event in events_of(run.files) if event["event"] == kind]


def requests(run: Run) -> int:
    """How many requests its ledger has."""
    return sum(len(authors(run, kind)) for kind in ("cancel_requested", "resumed", "tagged", "noted"))


def test_an_experiment_is_controlled_by_its_page(carol: Reader, run: Run, shared: Exp) -> None:
    """A page cancels, resumes and reruns, after a dry run, tags and notes, all in the name of its user."""
    base = path(carol, run)
    assert carol.get("/v1/whoami").json()["controls"] is True
    wait = [task.id for task in run.spec().tasks]
    eventually(lambda: all(run.status(observe=False).history.tasks[name].is_live for name in wait))
    some = checked(carol.ask("POST", f"{base}/cancel", body={"tasks": ["wait/*1"]}).json())
    assert [task["id"] for task in some["tasks"]] == [name for name in wait if name.endswith("1")]

    def press(_: int) -> Any:
        return carol.ask("POST", f"{base}/cancel", body={}, headers={"Idempotency-Key": "press 1"}).json()

    with ThreadPoolExecutor() as fingers:
        first, second = fingers.map(press, range(2))
    assert first == second == press(3)
    assert checked(first)["status"] == "CANCELLED"
    by = authors(run, "cancel_requested")
    assert len(by) == 2
    assert all(each.startswith("carol via ") and each.endswith("(exp cancel)") for each in by)

    planned = checked(carol.ask("POST", f"{base}/resume", body={"dry_run": True}).json())
    assert planned["schema"] == "exp.resume/1"
    assert [task["action"] for task in planned["tasks"]] == ["run", "run"]
    plan = checked(carol.ask("POST", f"{base}/rerun", body={"dry_run": True}).json())
    assert (plan["schema"], [task["id"] for task in plan["tasks"]]) == ("exp.plan/1", wait)
    assert authors(run, "resumed") == []
    assert len(carol.json("/v1/views/experiments")["experiments"]) == 1

    (shared.folder / "over").touch()
    resumed = checked(carol.ask("POST", f"{base}/resume", body={}).json())
    assert resumed["schema"] == "exp.run/1"
    assert [by.partition(" via ")[0] for by in authors(run, "resumed")] == ["carol"]
    again = checked(carol.ask("POST", f"{base}/rerun", body={}).json())
    new = find(again["id"], home=run.home)
    assert new.id != run.id
    assert [by.partition(" via ")[0] for by in authors(new, "created")] == ["carol"]

    tagged = checked(carol.ask("POST", f"{base}/tag", body={"add": ["best", "-x"], "remove": []}).json())
    assert tagged["tags"] == ["best", "-x"]
    noted = checked(carol.ask("POST", f"{base}/note", body={"text": "-\nof ü"}).json())
    assert [note["text"] for note in noted["notes"]] == ["-\nof ü"]
    assert noted["notes"][0]["by"].startswith("carol via ")
    run.wait(timeout=30)
    new.wait(timeout=30)


def test_an_experiment_is_moved_to_the_trash(carol: Reader, run: Run, shared: Exp) -> None:
    """A page removes an experiment with its records, in the name of its user, and it can be restored."""
    base = path(carol, run)
    shared("run", shared.spec("name: short\ntasks: {one: {command: 'true'}}"), "-q")
    new = find("short", home=run.home)
    refused = carol.ask("POST", f"{base}/rm", body={"trash": True}, code=400).json()
    assert "trash" in refused["message"]
    again = base.replace(run.id, new.id)
    planned = checked(carol.ask("POST", f"{again}/rm", body={"records": True, "dry_run": True}).json())
    assert planned["dry_run"] is True
    assert new.files.directory.is_dir()
    removed = checked(carol.ask("POST", f"{again}/rm", body={"records": True}).json())
    assert [item["id"] for item in removed["removed"] if item["kind"] == "experiment"] == [new.id]
    assert [item["prefix"] for item in removed["removed"] if item["kind"] == "record"]
    assert not new.files.directory.exists()
    assert [each.by.partition(" via ")[0] for each in trash.removals(run.home)] == ["carol"]
    assert carol.ask("POST", f"{again}/rm", body={}, code=404).json()["code"] == "not_found"
    shared("rm", "--restore", new.id)
    assert new.files.directory.is_dir()


def test_what_runs_is_not_removed(carol: Reader, shared: Exp, run: Run) -> None:
    """An experiment that runs is not removed, and the answer says what to do."""
    running = shared("run", shared.spec("tasks: {wait: {command: sleep 300}}"), "-d", "-q").stdout.strip()
    refused = carol.ask("POST", f"{path(carol, run).replace(run.id, running)}/rm", body={}, code=409).json()
    assert refused["code"] in {"running", "not_over"}
    assert running in refused["message"]
    shared("cancel", running)


def test_a_slow_action_is_waited_for_again(carol: Reader, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than an answer waits is 202; the same key waits for the same action, done once."""
    address, key = f"{path(carol, run)}/note", {"Idempotency-Key": "slow"}
    with monkeypatch.context() as hurried:
        hurried.setattr(control, "PATIENCE", 0.0)
        begun = carol.ask("POST", address, body={"text": "once"}, headers=key, code=202).json()
    assert checked(begun)["state"] == "running"
    noted = checked(carol.ask("POST", address, body={"text": "once"}, headers=key).json())
    assert [note["text"] for note in noted["notes"]].count("once") == 1
    refused = carol.ask("POST", address, body={"text": "other"}, headers=key, code=422).json()
    assert refused["code"] == "reused_key"


@pytest.mark.usefixtures("run")
def test_a_record_is_tagged_and_noted(carol: Reader) -> None:
    """A record of this machine gets tags and notes in the name of the user."""
    prefix = next(entry["prefix"] for entry in carol.json("/v1/views/records")["records"])
    base = f"/v1/control/records/{prefix}/.record"
    assert checked(carol.ask("POST", f"{base}/tag", body={"add": ["good"]}).json())["prefix"] == prefix
    noted = checked(carol.ask("POST", f"{base}/note", body={"text": "seen"}).json())
    assert [(note["text"], note["by"].partition(" via ")[0]) for note in noted["notes"]] == [
        ("seen", "carol")
    ]
    carol.ask("POST", f"{base}/cancel", body={}, code=404)


def test_a_record_is_moved_to_the_trash(carol: Reader, run: Run) -> None:
    """A record is removed after a dry run that removes nothing; then it is not there."""
    with Experiment(prefix="carol/x/gone", dash_root=str(run.home.directory / "dash")).run:
        pass
    base = "/v1/control/records/carol/x/gone/.record"
    for options in ({"dry_run": True}, {}):
        removed = checked(carol.ask("POST", f"{base}/rm", body=options).json())["removed"]
        assert [(item["kind"], item["prefix"]) for item in removed] == [("record", "carol/x/gone")]
    carol.ask("POST", f"{base}/rm", body={}, code=404)


@pytest.mark.parametrize(
    ("asked_for", "words"),
    [
        ({"cancel": {"abandon": True}}, "abandon"),
        ({"cancel": {"tasks": "wait"}}, "tasks"),
        ({"cancel": ["wait"]}, "JSON object"),
        ({"cancel": {"tasks": ["--abandon"]}}, "--abandon"),
        ({"resume": {"spec": "x.yaml"}}, "spec"),
        ({"resume": {"params": ["lr=1"]}}, "params"),
        ({"rerun": {"sets": ["a=1"]}}, "sets"),
        ({"rerun": {"dry_run": "yes"}}, "dry_run"),
        ({"tag": {}}, "tags"),
        ({"note": {"text": 1}}, "text"),
        ({"cancel": {"tasks": [1 << 70]}}, "64 bits"),
    ],
    ids=str,
)
def test_what_is_no_action_is_refused(carol: Reader, run: Run, asked_for: dict[str, Any], words: str) -> None:
    """A spec, params, options and wrong values are refused with what is wrong, and nothing is done."""
    before = requests(run)
    ((action, body),) = asked_for.items()
    answer = carol.ask("POST", f"{path(carol, run)}/{action}", body=body, code=None)
    assert answer.status_code == (404 if words == "--abandon" else 400)
    assert words in answer.json()["message"]
    assert answer.json()["format"] == "exp.error/1"
    assert requests(run) == before


@pytest.mark.parametrize("text", ["\ud800", "a\0b", 1, None])
def test_a_text_can_be_given_to_a_command(text: object) -> None:
    """What no command line can have, half of a surrogate pair and a zero byte, is refused."""
    with pytest.raises(UsageError, match="list of texts"):
        Fields({"tasks": [text]}).texts("tasks")


def test_only_what_is_here_is_controlled(carol: Reader, run: Run) -> None:
    """An unknown experiment, a key that is none, and a key of another request are refused."""
    base = path(carol, run)
    carol.ask("POST", f"{base}x/cancel", body={}, code=404)
    carol.ask("POST", f"{base}/cancel", body={}, headers={"Idempotency-Key": "x" * 300}, code=400)


def test_a_server_that_does_not_allow_it_does_nothing(run: Run, tmp_path: Path) -> None:
    """Without the switch, on a collector, and without the scope, nothing is cancelled, whoever asks."""
    before = requests(run)
    with reading(local(run.home.directory), "carol") as (reader,):
        base = path(reader, run)
        refused = reader.ask("POST", f"{base}/cancel", body={}, code=403).json()
        assert refused["message"] == "the token lacks the scope control"
        reader.token = reader.app.state.access.tokens.add("carol", scopes=set(Scope))
        assert reader.ask("POST", f"{base}/cancel", body={}, code=403).json()["code"] == "control_off"
        assert reader.get("/v1/whoami").json()["controls"] is False
    with reading(collector(tmp_path / "root", allows_control=True), "carol") as (reader,):
        reader.token = reader.app.state.access.tokens.add("carol", scopes=set(Scope))
        assert reader.ask("POST", f"{base}/cancel", body={}, code=409).json()["code"] == "replica"
    assert requests(run) == before


class Work:
    """An action that ends when it is told to, and counts how often it began."""

    def __init__(self, outcome: ActionOutcome = DONE) -> None:
        self.begun = 0
        self.end = asyncio.Event()
        self.outcome = outcome

    async def act(self) -> ActionOutcome:
        """Wait, and end."""
        self.begun += 1
        await self.end.wait()
        return self.outcome


async def asked(
    actions: RememberedActions, work: Work, key: str | None, **others: Any
) -> ActionOutcome | None:
    """The outcome of an action within a moment."""
    given: dict[str, Any] = {"user": "alice", "request": b"cancel", "patience": 0.01, **others}
    return await actions.outcome(work.act, key=key, **given)


def test_a_key_stands_for_one_action() -> None:
    """The same key of the same user is the same action; that of another user, and no key, begin another."""

    async def all_of_it() -> None:
        actions, work = RememberedActions(), Work()
        assert await asked(actions, work, "k") is None
        assert await asked(actions, work, "k") is None
        assert work.begun == 1
        work.end.set()
        assert await asked(actions, work, "k") == DONE
        assert work.begun == 1
        with pytest.raises(ReusedKeyError):
            await asked(actions, work, "k", request=b"resume")
        await asked(actions, work, "k", user="bob", patience=5)
        await asked(actions, work, None, patience=5)
        await asked(actions, work, None, patience=5)
        assert work.begun == 4

    asyncio.run(all_of_it())


def test_a_fault_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fault, and after some minutes, the same key acts again."""

    async def all_of_it() -> None:
        actions, failing, work = RememberedActions(), Work(ActionOutcome(500, {})), Work()
        failing.end.set()
        work.end.set()
        assert await asked(actions, failing, "k", patience=5) == ActionOutcome(500, {})
        assert await asked(actions, work, "k", patience=5) == DONE
        assert await asked(actions, work, "k", patience=5) == DONE
        assert work.begun == 1
        monkeypatch.setattr(remembered_actions, "KEPT", -1.0)
        assert await asked(actions, work, "k", patience=5) == DONE
        assert work.begun == 2

    asyncio.run(all_of_it())


def test_actions_at_once_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit an action is refused before it begins, and it may begin when others are over."""
    monkeypatch.setattr(remembered_actions, "MOST_AT_ONCE", 1)

    async def all_of_it() -> None:
        actions, work = RememberedActions(), Work()
        assert await asked(actions, work, None) is None
        with pytest.raises(TooManyActionsError):
            await asked(actions, work, "k")
        work.end.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await asked(actions, work, "k", patience=5) == DONE

    asyncio.run(all_of_it())
