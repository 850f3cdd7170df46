"""The views of experiments: the documents of the commands, logs by ranges, and nothing asked or run."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.access_log import accesses
from support.elsewhere import events_of, interrupted, pretend
from support.extent import amount
from support.hostile_values import MARK, RAW, VALUES, batch, dumped, pointers, replaced
from support.view_sites import Reader, collector, local, reading

from nemorun_cli.errors import LedgerDamagedError, NotFoundError
from nemorun_cli.experiment.run import find
from nemorun_cli.replication.experiment_source import name_of_home
from nemorun_cli.serve.attempt_logs import masked_reader
from nemorun_cli.serve.experiment_access import Found
from nemorun_cli.serve.experiment_access import reading as while_reading
from nemorun_cli.serve.index.experiment_index import ExperimentPlace
from nemorun_cli.serve.index.index import CACHE
from nemorun_cli.storage.paths import ExperimentFiles, Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

EXPERIMENTS = "/v1/views/experiments"
SPEC = """
name: viewed
title: A view
tags: [nightly]
tasks:
  prepare: {inline: 'printf "one\\ntwo ü\\nthree"'}
  train:
    dependencies: [prepare]
    matrix: {lr: [0.1, 0.2]}
    inline: 'echo "token is $TOKEN"; exit 3'
    secrets: {TOKEN: {file: secret.txt}}
    retry: {limit: 1, delay: 0}
  never: {inline: 'true', dependencies: [train]}
"""
SECRET = "hunter2hunter2"  # noqa: S105 - of the test


@pytest.fixture(scope="module")
def made(shared: Exp) -> Exp:
    """A home with an experiment that failed, and its second run."""
    (shared.folder / "secret.txt").write_text(SECRET)
    (shared.folder / "secret.txt").chmod(0o600)
    spec = shared.spec(SPEC)
    shared("run", spec, "-q", code=None)
    shared("run", spec, "-q", "--set", "description=again", code=None)
    return shared


@pytest.fixture(scope="module")
def alice(made: Exp) -> Iterator[Reader]:
    with reading(local(made.home)) as (reader,):
        yield reader


ADDED = {  # by a server, to an entry of a list
    *("owner", "home", "heard", "description", "executors", "failure", "seconds_left", "cancelled_by"),
}


def places(reader: Reader) -> list[str]:
    """The addresses of the experiments, the newest first."""
    listed = reader.json(EXPERIMENTS)["experiments"]
    return [f"{EXPERIMENTS}/{each['owner']}/{each['home']}/{each['id']}" for each in listed]


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


def test_documents_equal_those_of_the_commands(alice: Reader, made: Exp) -> None:
    """Each view has what the command prints with --json, and a list what `exp list` does."""
    listed = alice.json(EXPERIMENTS)
    printed = made("list", "--json").json["experiments"]
    assert [without(each, *ADDED) for each in listed["experiments"]] == printed
    assert all(each.keys() >= ADDED for each in listed["experiments"])
    later, earlier = places(alice)
    run_id = later.rpartition("/")[2]
    assert without(alice.json(later), "owner", "home", "heard") == made("status", run_id, "--json").json
    for part in ("graph", "show", "why"):
        assert alice.json(f"{later}/{part}") == made(part, run_id, "--json", code=None).json
    assert alice.json(f"{later}/why?task=never") == made("why", run_id, "never", "--json").json
    first = earlier.rpartition("/")[2]
    assert alice.json(f"{earlier}/diff?with={run_id}") == made("diff", first, run_id, "--json").json
    lines = made("events", run_id, "--json").stdout.splitlines()
    events = [without(json.loads(line), "schema") for line in lines]
    assert alice.json(f"{later}/events")["events"] == events
    page = alice.json(f"{later}/events?after=2&limit=3")
    assert (page["events"], page["next"], page["total"]) == (events[2:5], 5, len(events))
    assert "FAILED, exit, exit code 3" in ", ".join(alice.json(f"{later}/events")["summaries"])
    assert len(page["summaries"]) == len(page["events"])
    assert "matrix" in alice.json(f"{later}/spec")["text"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("name=view*", 2), ("name=A view", 0), ("tag=nightly&status=failed", 2), ("status=COMPLETED", 0),
        ("executor=local", 2), ("executor=loc", 0), ("text=again", 1),
        ("text=a VIEW", 2), ("since=1h", 2), ("since=2099-01-01", 0), ("owner=nobody", 0), ("home=here", 2),
    ],
)  # fmt: skip
def test_lists_are_filtered_on_the_server(alice: Reader, query: str, count: int) -> None:
    """A list has what its filters select, and its total, on pages of any size."""
    assert alice.json(f"{EXPERIMENTS}?{query}")["total"] == count
    page = alice.json(f"{EXPERIMENTS}?{query}&limit=1")
    assert len(page["experiments"]) == min(count, 1)
    if page["next"]:
        rest = alice.json(f"{EXPERIMENTS}?{query}&limit=1&cursor={page['next']}")
        assert rest["experiments"][0]["id"] != page["experiments"][0]["id"]
        assert (page["offset"], page["previous"], rest["offset"], rest["previous"]) == (0, None, 1, "")


def test_a_list_says_why_an_experiment_failed(alice: Reader) -> None:
    """An entry has the first failure, the executors and the description; `statuses` leaves the status out."""
    page = alice.json(f"{EXPERIMENTS}?status=COMPLETED&sort=-duration")
    assert (page["total"], page["counts"], page["statuses"]) == (0, {}, {"FAILED": 2})
    again, _ = alice.json(EXPERIMENTS)["experiments"]
    tasks = alice.json(f"{places(alice)[0]}/show")["tasks"]
    _, first = min((task["ended"], task["id"]) for task in tasks if task["status"] == "FAILED")
    assert first.startswith("train/")
    assert again["failure"] == {"task": first, "exit_code": 3, "reason": "exit", "message": None}
    assert (again["description"], again["executors"]) == ("again", ["local"])
    assert (again["seconds_left"], again["cancelled_by"]) == (None, None)


def test_a_home_has_its_name_of_other_servers_too(alice: Reader, made: Exp) -> None:
    """An address that was copied from a server that collects works on one's own machine."""
    place = places(alice)[0]
    name = name_of_home(Home(made.home))
    assert alice.json(place.replace("/here/", f"/{name}/"))["id"] == place.rpartition("/")[2]
    alice.get(place.replace("/here/", "/other-00000000/"), code=404)


def test_a_log_is_read_by_ranges(alice: Reader) -> None:
    """The bytes of a log, the last ones, and those of a range; a log that does not exist has a reason."""
    place = places(alice)[0]
    whole = alice.get(f"{place}/log?task=prepare")
    assert whole.content == "one\ntwo ü\nthree".encode()
    assert (whole.headers["exp-attempt"], whole.headers["exp-over"]) == ("1", "1")
    assert whole.headers["content-security-policy"].startswith("sandbox")
    tail = alice.get(f"{place}/log?task=prepare", headers={"Range": "bytes=-5"}, code=206)
    assert (tail.content, tail.headers["content-range"]) == (b"three", f"bytes 11-15/{len(whole.content)}")
    answer = alice.get(f"{place}/log?task=never", code=404).json()
    assert (answer["code"], answer["message"]) == (
        "no_log",
        "attempt 1 of never has no log: never is SKIPPED",
    )
    alice.get(f"{place}/log?task=nothing", code=404)
    alice.get(f"{place}/log?task=prepare&stream=../x", code=400)


def test_secrets_are_masked_in_every_range(alice: Reader) -> None:
    """Whichever bytes of a log are asked for, no byte of a known secret is among them, and offsets stay."""
    place = places(alice)[0]
    path = f"{place}/log?task=train/lr=0.1"
    whole = alice.get(path).content
    assert whole == f"token is {'*' * len(SECRET)}\n".encode()
    for first in range(len(whole)):
        assert (
            alice.get(path, headers={"Range": f"bytes={first}-{first + 3}"}, code=206).content
            == (whole[first : first + 4])
        )
    assert SECRET not in alice.get(f"{place}/why").text


def test_masks_of_overlapping_secrets_hide_both(tmp_path: Path) -> None:
    """A secret that is a part of another one leaves no rest of it."""
    path = tmp_path / "log"
    path.write_bytes(b"x abcdefghijkl y abcdef z")
    reader = masked_reader(["abcdef", "abcdefghijkl"])
    assert reader is not None
    with path.open("rb") as stream:
        assert b"".join(reader(stream, 0, 25)) == b"x ************ y ****** z"


PACKED = """
name: packed
tasks:
  one: {inline: 'true', secrets: {TOKEN: {file: secret.txt}}}
  two: {inline: 'true'}
"""
PARTS = (
    *("", "/status", "/graph", "/show", "/events", "/why", "/spec", "/log?task=one", "/diff?with={id}"),
    "/search?importances=1",
)


def test_no_view_asks_or_runs_anything(exp: Exp) -> None:
    """Of an experiment from elsewhere, every view connects to nothing, starts no program, reads no secret."""
    (exp.folder / "secret.txt").write_text(SECRET)
    (exp.folder / "secret.txt").chmod(0o600)
    exp("run", exp.spec(PACKED), "-q")
    pretend(find("packed", home=Home(exp.home)).files, one="cluster", two="box")
    before = find("packed", home=Home(exp.home)).files.ledger.read_bytes()
    with reading(local(exp.home)) as (alice,), accesses() as log:
        place = next(each for each in places(alice) if "/packed_" in each)
        for part in PARTS:
            alice.get(place + part.format(id=place.rpartition("/")[2]))
        alice.get(f"/v1/views/compare?experiment={place.removeprefix(EXPERIMENTS + '/')}", code=None)
        alice.get("/v1/views/records")
    assert (log.connections, log.programs) == ([], [])
    assert not [path for path in log.files if path.endswith("/secret.txt")]
    assert find("packed", home=Home(exp.home)).files.ledger.read_bytes() == before


def test_records_of_all_folders_that_experiments_name_are_shown(exp: Exp) -> None:
    """A folder of records that a spec names is shown; that of an experiment from elsewhere is not read."""
    spec = "name: apart\ntracking: {dash_root: elsewhere/dash}\ntasks: {one: {inline: 'true'}}\n"
    exp("run", exp.spec(spec), "-q")
    files = find("apart", home=Home(exp.home)).files
    with reading(local(exp.home)) as (alice,):
        listed = alice.json("/v1/views/records")["records"]
        assert {each["dash_root"] for each in listed} == {str(exp.folder / "elsewhere/dash")}
        prefix, root = (
            listed[0]["prefix"],
            alice.json(f"/v1/views/records/{listed[0]['prefix']}/.record")["root"],
        )
        alice.json(f"/v1/views/records/{prefix}/.record?root={root}")
        alice.get(f"/v1/views/records/{prefix}/.record?root=00000000", code=404)
        assert alice.json(f"/v1/views/records?root={root}")["total"] == len(listed)
    files.mark.write_text("of another home\n")
    (exp.home / "server" / CACHE).unlink()
    with reading(local(exp.home)) as (alice,):
        assert alice.json("/v1/views/records")["total"] == 0


def test_tasks_without_a_supervisor_show_the_ends_they_recorded(exp: Exp) -> None:
    """A local server shows the ends that orphaned tasks recorded, as the command does, and writes nothing."""
    exp(
        "run",
        exp.spec("name: orphan\ntasks: {one: {inline: 'exit 3'}, two: {inline: ':'}}\n"),
        "-q",
        code=None,
    )
    files = find("orphan", home=Home(exp.home)).files
    files.ledger.write_bytes(batch([json.dumps(event) for event in interrupted(events_of(files))]))
    before = files.ledger.read_bytes()
    with reading(local(exp.home)) as (alice,):
        (entry,) = alice.json(EXPERIMENTS)["experiments"]
        tasks = alice.json(places(alice)[0])["tasks"]
    assert files.ledger.read_bytes() == before
    command = exp("status", files.id, "--json").json
    shown = {task["id"]: (task["status"], task["exit_code"]) for task in tasks}
    assert shown == {task["id"]: (task["status"], task["exit_code"]) for task in command["tasks"]}
    assert entry["counts"]["FAILED"] == 1


@pytest.fixture
def collected(made: Exp, tmp_path: Path) -> Path:
    """The root of a collector with a copy of an experiment that seems to run on another machine."""
    root = tmp_path / "root"
    home = root / ".experiments/alice/far-0a1b2c3d"
    run_id = made("list", "--json").json["experiments"][0]["id"]
    files = ExperimentFiles(home / "experiments/viewed" / run_id)
    left_out = shutil.ignore_patterns("code", "log", "plan.json", "supervisor*")
    shutil.copytree(made.home / "experiments/viewed" / run_id, files.directory, ignore=left_out)
    files.ledger.write_bytes(batch([json.dumps(event) for event in interrupted(events_of(files))]))
    return root


def test_what_another_machine_runs_is_running(collected: Path) -> None:
    """A copy that has not ended is RUNNING, with the age of the last report on it, and never lost."""
    with reading(collector(collected)) as (alice,):
        entry = alice.json(EXPERIMENTS)["experiments"][0]
        assert (entry["status"], entry["owner"], entry["home"], entry["heard"]) == (
            "RUNNING", "alice", "far-0a1b2c3d", None,
        )  # fmt: skip
        place = places(alice)[0]
        report = {
            "machine": {"host": "far", "boot": "b"}, "time": 0.0, "alive": [],
            "supervised": [["alice", "far-0a1b2c3d", entry["id"]]],
        }  # fmt: skip
        assert alice.ask("POST", "/v1/heard", body=report).json()["kept"] == 1
        heard = alice.json(EXPERIMENTS)["experiments"][0]["heard"]
        assert (heard["machine"], heard["age"] < 60) == ("far", True)
        assert alice.json(place)["heard"]["machine"] == "far"
        assert alice.json(place)["supervisor"]["state"] == "elsewhere"
        for part in ("/graph", "/show", "/events", "/why", "/spec"):
            alice.json(place + part)


def test_a_log_that_is_not_shipped_says_so(collected: Path) -> None:
    """Without `tracking: {logs: true}` a log is "not shipped"; with it, it is "not here yet"."""
    with reading(collector(collected)) as (alice,):
        place = places(alice)[0]
        answer = alice.get(f"{place}/log?task=prepare", code=404).json()
        assert (answer["code"], answer["message"]) == ("not_shipped", "not shipped (tracking.logs)")
        resolved = next(collected.rglob(f"{place.rpartition('/')[2]}/resolved.json"))
        document = json.loads(resolved.read_text())
        document["tracking"] = {**document["tracking"], "logs": True}
        resolved.write_text(json.dumps(document))
        assert alice.get(f"{place}/log?task=prepare", code=409).json()["code"] == "not_here_yet"


def test_an_experiment_that_arrives_is_not_here_yet(collected: Path) -> None:
    """Until its spec and its ledger have arrived, each view is 409; in the list it has a problem."""
    with reading(collector(collected)) as (alice,):
        place = places(alice)[0]
        resolved = next(collected.rglob("resolved.json"))
        resolved.rename(resolved.with_name("later"))
        alice.app.state.changes.experiment(*place.split("/")[4:], "resolved.json")
        for part in PARTS:
            answer = alice.get(place + part.format(id=place.rpartition("/")[2]), code=409).json()
            assert answer["code"] == "not_here_yet"
        entry = alice.json(EXPERIMENTS)["experiments"][0]
        assert (entry["status"], "resolved.json" in entry["problem"]) == (None, True)


def test_a_private_experiment_does_not_exist_for_others(collected: Path) -> None:
    """On a private server, lists, totals and errors are as if others had no experiments."""
    with reading(collector(collected, is_private=True), "alice", "bob") as (alice, bob):
        assert (alice.json(EXPERIMENTS)["total"], bob.json(EXPERIMENTS)["total"]) == (1, 0)
        place = places(alice)[0]
        missing = place.rpartition("_")[0] + "_1"
        for part in PARTS:
            hidden = bob.get(place + part, code=404).text
            assert (
                hidden.replace(place.rpartition("/")[2], "viewed_1") == bob.get(missing + part, code=404).text
            )


@pytest.mark.parametrize(
    "part", ["..", "%2e%2e", "a%2Fb", "%00", ".record", "x" * 300, "viewed_1%2F..", ";", "~"]
)
def test_no_address_leaves_the_home(alice: Reader, part: str) -> None:
    """Whatever stands for an owner, a home or an id, nothing outside of the homes is read."""
    owner = places(alice)[0].split("/")[4]
    for path in (f"{part}/here/viewed_1", f"{owner}/{part}/viewed_1", f"{owner}/here/{part}"):
        with accesses() as log:
            alice.get(f"{EXPERIMENTS}/{path}/show", code=404)
        assert not [path for path in log.files if path.endswith(("/passwd", "resolved.json"))]


FORGED: Final = ("ledger", "resolved")


@pytest.mark.parametrize("which", FORGED)
def test_no_experiment_breaks_a_list_or_its_own_views(collected: Path, which: str) -> None:
    """With any value in any field of a ledger or a spec, the list has the others, and no view fails."""
    above = collected / ".experiments/alice"
    (first,) = above.iterdir()
    (folder,) = (first / "experiments/viewed").iterdir()
    events = events_of(ExperimentFiles(folder))
    events += [{**events[0], "event": "finished", "status": "FAILED", "active": 1.0, "counts": {"FAILED": 1}}]
    document: Any = events if which == "ledger" else json.loads((folder / "resolved.json").read_text())
    choice = random.Random(which)  # noqa: S311 - repeatable
    spots = [spot for spot in pointers(document) if spot]
    count = amount(30, long=3000)
    for number in range(count):
        copy = shutil.copytree(first, above / f"far-{number:08x}") / "experiments/viewed" / folder.name
        raw = choice.choice([None, None, None, *RAW])
        value = choice.choice(VALUES) if raw is None else MARK
        changed = replaced(document, choice.choice(spots), value)
        if which == "ledger":
            (copy / "ledger.jsonl").write_bytes(batch([dumped(event, raw) for event in changed]))
        else:
            (copy / "resolved.json").write_text(dumped(changed, raw))
    with reading(collector(collected)) as (bob,):
        listed = bob.get(f"{EXPERIMENTS}?limit=10000").text
        entries = json.loads(listed, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))[
            "experiments"
        ]
        assert first.name in {entry["home"] for entry in entries}
        bob.get(f"{EXPERIMENTS}?text=x&tag=nightly&sort=-ended")
        for entry in entries:
            for part in ("", "/graph", "/show", "/events", "/why", "/spec", "/log?task=never"):
                path = f"{EXPERIMENTS}/{entry['owner']}/{entry['home']}/{entry['id']}{part}"
                answer = bob.get(path, code=None)
                assert answer.status_code < 500, f"{path}: {answer.text[:300]}"
                json.loads(answer.text, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


def test_a_timeline_says_since_when_each_attempt_could_have_started(alice: Reader) -> None:
    """An attempt waits from the end of its dependencies, or of the attempt before; an error is masked."""
    place = places(alice)[0]
    timeline = alice.json(f"{place}/timeline")
    shown = {task["id"]: task for task in alice.json(f"{place}/show")["tasks"]}
    tasks = {task["id"]: task for task in timeline["tasks"]}
    assert list(tasks) == list(shown)
    for name, task in tasks.items():
        names = ("attempt", "status", "submitted", "started", "ended")
        attempts = [{key: each[key] for key in names} for each in shown[name]["attempts"]]
        assert [without(each, "waits_since") for each in task["attempts"]] == attempts
        assert task["waits_since"] is None
    first, second = tasks["train/lr=0.1"]["attempts"]
    assert first["waits_since"] == shown["prepare"]["ended"]
    assert second["waits_since"] == first["ended"]
    assert (tasks["never"]["attempts"], tasks["never"]["streams"]) == ([], [])
    assert tasks["prepare"]["streams"] == ["log"]
    assert (timeline["revision"], timeline["max_parallel"], timeline["records"]) == (1, None, 2)
    assert timeline["events"] == alice.json(f"{place}/events")["total"]
    assert SECRET not in json.dumps(timeline)


def test_what_is_removed_while_it_is_read_does_not_exist(tmp_path: Path) -> None:
    """A file that is gone with its experiment is no damage; in an experiment that stays, it is one."""
    files = ExperimentFiles(tmp_path / "experiments" / "gone" / "gone_1")
    found = Found(ExperimentPlace("alice", "here", "gone_1"), Home(tmp_path), files)
    files.directory.mkdir(parents=True)
    with pytest.raises(LedgerDamagedError), while_reading(found):
        raise LedgerDamagedError("cannot read resolved.json")
    files.directory.rmdir()
    with (
        pytest.raises(NotFoundError, match="there is no experiment 'alice/here/gone_1'"),
        while_reading(found),
    ):
        raise LedgerDamagedError("cannot read resolved.json")
