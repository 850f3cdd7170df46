"""The views of records: the documents of the commands, lists by pages, rights, contents."""

from __future__ import annotations

import base64
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from support import small_disks
from support.access_log import accesses
from support.extent import amount
from support.patience import eventually
from support.view_sites import Reader, collector, local, reading, replica

from nemorun_cli import Experiment
from nemorun_cli.serve import record_documents
from nemorun_cli.serve.file_answers import file_headers
from nemorun_cli.serve.index import background, cache_file, experiment_index, folder_cache, record_index
from nemorun_cli.serve.index.index import CACHE, Index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

    from nemorun_cli.experiment.records.targets import TargetRecord

RECORDS = "/v1/views/records"
ODD = base64.urlsafe_b64encode(b'["-opened", "\\ud800", "", ""]').decode()  # a cursor that is not Unicode
SPEC = """
name: swept
tasks:
  train:
    matrix: {lr: [0.1, 0.2]}
    inline: |
      for step in 1 2 3; do echo "step $step loss 0.$step{{ matrix.lr }}"; done
    metrics: {train: 'step (?P<step>\\d+) loss (?P<loss>\\S+)'}
"""


@pytest.fixture(scope="module")
def made(shared: Exp) -> Exp:
    """A home with a sweep, and records of programs with all that a record can have."""
    shared("run", shared.spec(SPEC), "-q")
    for number in range(3):
        place = {"prefix": f"alice/study/run-{number}", "dash_root": str(shared.home / "dash")}
        for attempt in range(2):
            about: dict[str, Any] = {"tags": ["study", f"n{number}"], "description": "of a study"}
            with Experiment(**place, **about).run as experiment:
                experiment.params.set(lr=number / 10, model={"depth": 3})
                for step in range(5 * attempt, 20):
                    experiment.metrics("train").log(step=step, loss=1 / (step + 1 + number), acc=float("nan"))
                experiment.metrics.log(epoch=1, score=number)
                experiment.logs.info("begun", attempt=attempt)
                experiment.tracks("robot/position").append(x=1.0)
                experiment.files("models").save_json({"n": number, "attempt": attempt}, to="best.json")
    return shared


@pytest.fixture(scope="module")
def alice(made: Exp) -> Iterator[Reader]:
    with reading(local(made.home)) as (reader,):
        yield reader


def view(prefix: str, part: str = "") -> str:
    return f"{RECORDS}/{prefix}/.record{part}"


def without(document: Any, *names: str) -> Any:
    """A document without what the server adds."""
    if isinstance(document, dict):
        return {key: without(value, *names) for key, value in document.items() if key not in names}
    return [without(value, *names) for value in document] if isinstance(document, list) else document


def test_documents_equal_those_of_the_commands(alice: Reader, made: Exp) -> None:
    """Each view has the values that the command prints with --json; the server only adds fields."""
    prefix = "alice/study/run-1"
    own = ("--dash-root", str(made.home / "dash"), "--json")
    listed = alice.json(f"{RECORDS}?limit=1000&sort=prefix")
    printed = made("records", *own).json
    assert without(listed["records"], "heard", "root") == printed["records"]
    assert {"name": "alice", "records": 3} in listed["folders"]
    below = alice.json(f"{RECORDS}?prefix=alice/study/&limit=1")["folders"]
    assert below == [{"name": f"run-{number}", "records": 1} for number in range(3)]
    assert alice.json(view(prefix, "/params")) == made("params", prefix, *own).json
    for options, query in (
        ((), "last=all"),
        (("-n", "3"), "last=3"),
        (("-k", "train/loss"), "last=all&key=train/loss"),
        (("--all-attempts",), "last=all&attempts=all"),
        (("--attempt", "1"), "last=all&attempts=1"),
    ):
        expected = made("metrics", prefix, *own, *options).json
        assert alice.json(view(prefix, f"/metrics?{query}")) == expected
        if "-n" not in options and "-k" not in options:
            summary = alice.json(view(prefix, f"/metrics?{query.replace('last=all', 'last=0')}"))
            assert summary["series"] == [{**series, "rows": []} for series in expected["series"]]
    assert without(alice.json(view(prefix, "/files")), "here") == made("files", prefix, *own).json


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sort": "lr", "descending": "1"},
        {"best": "train/loss:min"},
        {"best": "score", "goal": "maximize", "where": "lr<0.2"},
        {"group_by": "lr", "key": "train/loss:min"},
        {"attempts": "1"},
        {"attempts": "all", "key": "train/loss:count"},
        {"limit": "2"},
    ],
)
def test_a_comparison_equals_that_of_the_command(alice: Reader, made: Exp, options: dict[str, str]) -> None:
    """`compare` has the rows, params and metrics that `exp compare` prints for the same options."""
    flags: list[str] = []
    for name, value in options.items():
        flags += {"descending": ["--descending"], "attempts": ["--attempt", value]}.get(
            name, [f"--{name.replace('_', '-')}", value]
        )
    if options.get("attempts") == "all":
        flags = ["--all-attempts", "--key", options["key"]]
    query = "&".join(f"{name}={quote(value)}" for name, value in options.items())
    printed = made("compare", "alice/study/", "--dash-root", made.home / "dash", "--json", *flags).json
    shown = alice.json(f"/v1/views/compare?prefix=alice/study&{query}")
    assert roots_of(shown) == {record_index.root_id(str(made.home / "dash"))}
    assert {name: shown[name] for name in printed} == printed


def roots_of(compared: dict[str, Any]) -> set[str]:
    """The words for the folders of the rows, which the command does not print, taken from the document."""
    return {row.pop("root") for row in compared["rows"]}


def test_a_comparison_of_an_experiment_equals_that_of_the_command(alice: Reader, made: Exp) -> None:
    """So has one of an experiment of this machine, and nothing is asked or run for it."""
    entry = alice.json("/v1/views/experiments")["experiments"][0]
    place = f"{entry['owner']}/{entry['home']}/{entry['id']}"
    with accesses() as log:
        shown = alice.json(f"/v1/views/compare?experiment={place}&task=train")
    printed = made("compare", "swept", "--task", "train", "--json").json
    roots_of(shown)
    assert {name: shown[name] for name in printed} == printed
    assert (log.connections, log.programs) == ([], [])


def test_curves_have_the_rows_that_count(alice: Reader) -> None:
    """A curve has the rows that count, those of an earlier attempt on request, and NaN as null."""
    document = alice.json(view("alice/study/run-1", "/curve?key=train/*"))
    loss = next(curve for curve in document["curves"] if curve["key"] == "train/loss")
    assert (loss["x"], loss["last"]) == ([*range(20)], [1 / (step + 2) for step in range(20)])
    accuracy = next(curve for curve in document["curves"] if curve["key"] == "train/acc")
    assert (accuracy["last"], accuracy["nan"]) == ([None] * 20, [1] * 20)
    every = alice.json(view("alice/study/run-1", "/curve?keys=train/loss&attempts=all"))["curves"][0]
    assert every["total"] == 35
    sampled = alice.json(view("alice/study/run-1", "/curve?key=train/loss&points=4&from=4&to=15"))["curves"][
        0
    ]
    assert (sampled["sampled"], sum(sampled["count"]), sampled["x"][-1]) == (True, 12, 15)
    assert sampled["max"][0] == 1 / 6
    assert [sampled["min"][-1], sampled["last"][-1]] == [1 / 17] * 2
    answer = alice.get(view("alice/study/run-1", "/curve?key=nothing"), code=400).json()
    assert "train/loss" in answer["hint"]


def test_an_unchanged_document_is_not_sent_again(alice: Reader) -> None:
    """Each document has an ETag; a client that has it gets 304 without a body."""
    for path in (RECORDS, view("alice/study/run-1", "/curve"), "/v1/views/experiments"):
        answer = alice.get(path)
        again = alice.get(path, headers={"If-None-Match": answer.headers["etag"]}, code=304)
        assert again.content == b""


def test_other_documents_of_a_record(alice: Reader) -> None:
    """Logs, tracks, environment and openings are what the program recorded."""
    prefix = "alice/study/run-2"
    record = alice.json(view(prefix))
    assert (record["attempts"], record["series"], record["tracks"]) == (
        [1, 2], [None, "train"], ["robot/position"],
    )  # fmt: skip
    lines = alice.json(view(prefix, "/logs"))["lines"]
    assert [(line["message"], line["metadata"]) for line in lines] == [
        ("begun", {"attempt": 0}), ("begun", {"attempt": 1}),
    ]  # fmt: skip
    assert len(alice.json(view(prefix, "/logs?last=1&level=info&contains=beg"))["lines"]) == 1
    assert alice.json(view(prefix, "/tracks?topic=robot/position"))["count"] == 2
    assert len(alice.json(view(prefix, "/environment"))["openings"]) == 2
    assert [opening["attempt"] for opening in alice.json(view(prefix, "/openings"))["openings"]] == [1, 2]
    assert len(alice.json(view(prefix, "/files?versions=1"))["files"]) == 2
    assert record["counts"] == {"params": 2, "metrics": 3, "logs": 2, "files": 1, "tracks": 1}
    assert (record["others"], record["not_here"]) == ([], {"files": 0, "bytes": 0})
    assert alice.json(view(prefix, "/logs?last=1"))["total"] == 2
    track = alice.json(view(prefix, "/tracks?topic=robot/position&last=1"))
    assert (track["columns"], track["first"] < track["last"]) == (["x"], True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("prefix=alice/study", ["run-0", "run-1", "run-2"]),
        ("prefix=alice/study/*2", ["run-2"]),
        ("prefix=alice/stud", []),
        ("tag=study&tag=n1", ["run-1"]),
        ("tag=n", []),
        ("owner=alice&status=completed", ["run-0", "run-1", "run-2"]),
        ("owner=alice&status=FAILED", []),
        ("text=RUN-1", ["run-1"]),
        ("since=2099-01-01", []),
        ("since=1h&prefix=alice/study", ["run-0", "run-1", "run-2"]),
        ("experiment=none_1", []),
        ("text=of a study&sort=-prefix", ["run-2", "run-1", "run-0"]),
    ],
)
def test_lists_are_filtered_on_the_server(alice: Reader, query: str, expected: list[str]) -> None:
    """A list has what its filters select, with the total; any order can be reversed."""
    document = alice.json(f"{RECORDS}?sort=prefix&{query}" if "sort" not in query else f"{RECORDS}?{query}")
    assert [entry["prefix"].rpartition("/")[2] for entry in document["records"]] == expected
    assert document["total"] == sum(document["counts"].values()) == len(expected)


@pytest.mark.parametrize("sort", ["prefix", "-opened", "status", "-ended", "owner"])
def test_pages_have_each_record_once(alice: Reader, sort: str) -> None:
    """The pages of a list contain each of its records once, in order, whatever the order is by."""
    whole = [entry["prefix"] for entry in alice.json(f"{RECORDS}?sort={sort}&limit=1000")["records"]]
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        document = alice.json(f"{RECORDS}?sort={sort}&limit=2{cursor and '&cursor='}{cursor}")
        found += [entry["prefix"] for entry in document["records"]]
        cursor = document["next"]
    assert found == whole
    assert len(set(found)) == len(found) == document["total"]
    while document["previous"] is not None:
        cursor, offset = document["previous"], document["offset"]
        document = alice.json(f"{RECORDS}?sort={sort}&limit=2{cursor and '&cursor='}{cursor}")
        assert document["offset"] == offset - 2
        assert [entry["prefix"] for entry in document["records"]] == whole[offset - 2 : offset]
    assert document["offset"] == 0


def test_what_is_no_list_is_refused(alice: Reader) -> None:
    """A parameter that is unknown, or has no such value, is an error that lists the known ones."""
    for query in (
        "sort=size",
        "limit=0",
        "limit=x",
        "cursor=x",
        "status=DONE",
        "nothing=1",
        "limit=1&limit=2",
    ):
        assert alice.get(f"{RECORDS}?{query}", code=400).json()["code"] == "usage"


def test_a_record_appears_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one's own machine a list shows what programs write and remove, without a restart."""
    for name in ("INTERVAL", "LEAST_REST"):
        monkeypatch.setattr(record_index, name, 0.0)
    with reading(local(tmp_path)) as (alice,):
        assert alice.json(RECORDS)["total"] == 0
        experiment = Experiment(prefix="alice/live/one", dash_root=str(tmp_path / "dash"))
        experiment.run.start()
        assert alice.json(RECORDS)["counts"] == {"RUNNING": 1}
        assert alice.json(RECORDS)["records"][0]["heard"] is None
        experiment.run.fail("of the test")
        assert alice.json(RECORDS)["records"][0]["message"] == "of the test"
        (tmp_path / "dash/alice/live/one/.record").rename(tmp_path / "gone")
        assert alice.json(RECORDS)["total"] == 0


def test_an_announced_record_is_read_again(tmp_path: Path) -> None:
    """A collector looks at what is announced, and never at its folders for a request."""
    with reading(collector(tmp_path)) as (alice,):
        replica(tmp_path, "alice/a", end=None)
        assert alice.json(RECORDS)["counts"] == {"RUNNING": 1}
        replica(tmp_path, "alice/a")
        replica(tmp_path, "bob/b")
        assert alice.json(RECORDS)["counts"] == {"RUNNING": 1}
        alice.app.state.changes.record("alice/a", "openings/0001-x-1.jsonl")
        assert alice.json(RECORDS)["counts"] == {"COMPLETED": 1}
        alice.app.state.changes.record("bob/b", "openings/0001-x-1.jsonl")
        assert alice.json(f"{RECORDS}?sort=prefix")["total"] == 2
        alice.json(view("alice/a", "/curve"))
        (tmp_path / "alice/a/.record").rename(tmp_path / ".server/a")
        alice.app.state.changes.record("alice/a")
        assert [entry["prefix"] for entry in alice.json(RECORDS)["records"]] == ["bob/b"]


def test_no_request_waits_for_a_look_at_all_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a collector looks again at all folders, requests are answered; then what it found is listed."""
    ready, names = threading.Event(), folder_cache.FolderCache.names
    replica(tmp_path, "alice/a")
    (tmp_path / ".experiments/alice/far-0a1b2c3d/experiments").mkdir(parents=True)
    with reading(collector(tmp_path)) as (alice,):
        assert alice.json(RECORDS)["total"] == 1

        def slow(own: folder_cache.FolderCache, folder: str) -> tuple[str, ...]:
            is_look = threading.current_thread().name == "exp-look"
            assert is_look or not folder.startswith(str(tmp_path / "alice")), (
                "a request looked at the folders"
            )
            assert not is_look or ready.wait(60)
            return names(own, folder)

        monkeypatch.setattr(folder_cache.FolderCache, "names", slow)
        for module in (record_index, experiment_index):
            monkeypatch.setattr(module, "COLLECTOR_INTERVAL", 0.0)
            monkeypatch.setattr(module, "LEAST_REST", 0.0)
        replica(tmp_path, "alice/b")
        try:
            assert alice.json(RECORDS)["total"] == 1
            replica(tmp_path, "alice/c")
            alice.app.state.changes.record("alice/c", "openings/0001-x-1.jsonl")
            assert alice.json(RECORDS)["total"] == 2
        finally:
            ready.set()
        assert eventually(lambda: alice.json(RECORDS)["total"] == 3)


def test_a_damaged_record_hides_no_other(tmp_path: Path) -> None:
    """A record that cannot be read is named next to the list, and its views are errors with a reason."""
    replica(tmp_path, "alice/good")
    (replica(tmp_path, "alice/bad") / "openings/0001-x-1.jsonl").write_text("damaged\n")
    with reading(collector(tmp_path)) as (alice,):
        document = alice.json(RECORDS)
        assert ([each["prefix"] for each in document["records"]], document["total"]) == (["alice/good"], 1)
        assert [each["prefix"] for each in document["unreadable"]] == ["alice/bad"]
        answer = alice.get(view("alice/bad"), code=422).json()
        assert (answer["code"], "not a row" in answer["message"]) == ("unreadable", True)
        rows = alice.json("/v1/views/compare?prefix=alice")["rows"]
        assert [row["prefix"] for row in rows] == ["alice/good"]


def test_reserved_folders_are_no_records(tmp_path: Path) -> None:
    """What a collector keeps for itself is in no list, and no view reads it."""
    with reading(collector(tmp_path)) as (alice,):
        replica(tmp_path, ".server/trash/alice/a")
        replica(tmp_path, ".experiments/alice/a")
        assert alice.json(RECORDS)["total"] == 0
        alice.get(view(".server/trash/alice/a"), code=404)


PATHS = ("", "/params", "/metrics", "/logs", "/tracks", "/files", "/environment", "/openings", "/curve")


def test_a_private_record_does_not_exist_for_others(tmp_path: Path) -> None:
    """On a private server, lists, counts, totals, errors and comparisons are as if others had nothing."""
    for prefix in ("alice/a", "alice/b", "bob/secret"):
        replica(tmp_path, prefix, rows={"m": [{"loss": 1.0}]}, tags=["x"])
    with reading(collector(tmp_path, is_private=True), "alice", "bob") as (alice, bob):
        assert (alice.json(RECORDS)["total"], bob.json(RECORDS)["total"]) == (2, 1)
        for query in ("", "prefix=bob", "owner=bob", "tag=x", "text=secret", "prefix=*secret"):
            text = alice.get(f"{RECORDS}?{query}&limit=1").text
            assert "secret" not in text
        for path in PATHS:
            hidden = alice.get(view("bob/secret", path), code=404).text
            missing = alice.get(view("bob/nothing", path), code=404).text
            assert hidden.replace("secret", "nothing") == missing
            bob.get(view("bob/secret", path))
        hidden = alice.get("/v1/views/compare?prefix=bob/secret", code=404).text
        assert hidden.replace("secret", "nothing") == alice.get(
            "/v1/views/compare?prefix=bob/nothing", code=404
        ).text  # fmt: skip
        assert len(alice.json("/v1/views/compare?prefix=*")["rows"]) == 2


def test_contents_are_attachments(alice: Reader) -> None:
    """A content is downloaded, by ranges too; only what cannot run is shown by a browser, in a sandbox."""
    file = alice.json(view("alice/study/run-1", "/files"))["files"][0]
    path = view("alice/study/run-1", f"/contents/{file['checksum']}")
    answer = alice.get(path)
    assert (file["here"], answer.json()) == (True, {"n": 1, "attempt": 1})
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''best.json"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert alice.get(path, headers={"Range": "bytes=1-3"}, code=206).content == answer.content[1:4]
    assert alice.get(path, headers={"Range": "bytes=-2"}, code=206).content == answer.content[-2:]
    assert alice.get(path, headers={"Range": "bytes=999-"}, code=416).headers["content-range"] == (
        f"bytes */{len(answer.content)}"
    )
    alice.get(path, headers={"If-None-Match": answer.headers["etag"]}, code=304)
    shown = alice.get(f"{path}?inline=1")
    assert shown.headers["content-type"].startswith("text/plain")
    assert shown.headers["content-security-policy"].startswith("sandbox")
    alice.get(view("alice/study/run-0", f"/contents/{file['checksum']}"), code=404)
    alice.get(view("alice/study/run-1", "/contents/x"), code=404)


@pytest.mark.parametrize(
    ("name", "kind", "is_shown"),
    [("a.png", "image/png", True), ("a.html", "text/html", False), ("a.svg", "image/svg+xml", False)],
)
def test_what_could_run_is_never_shown(tmp_path: Path, name: str, kind: str, is_shown: bool) -> None:  # noqa: FBT001 - of the table
    """HTML and SVG are attachments, also if a link asks to show them."""
    source = tmp_path / name
    source.write_bytes(b"content")
    with Experiment(prefix="alice/x/y", dash_root=str(tmp_path / "dash")).run as experiment:
        file = experiment.files("out").upload(str(source))
    assert file["contentType"] == kind
    with reading(local(tmp_path)) as (alice,):
        answer = alice.get(view("alice/x/y", f"/contents/{file['checksum']}?inline=1"))
        assert answer.headers["content-type"] == (kind if is_shown else "application/octet-stream")
        assert answer.headers["content-disposition"].startswith("inline" if is_shown else "attachment")
        blob = next((tmp_path / "dash/alice/x/y/.record/blobs").rglob(file["checksum"]))
        blob.unlink()
        missing = alice.get(view("alice/x/y", f"/contents/{file['checksum']}"), code=409).json()
        assert missing["code"] == "not_here_yet"
        assert alice.json(view("alice/x/y", "/files"))["files"][0]["here"] is False


def test_the_size_of_logged_tables_is_known_before_they_are_read(tmp_path: Path) -> None:
    """A page can leave out what it could not load: the bytes of a row are in the view of the record."""
    with Experiment(prefix="alice/x/y", dash_root=str(tmp_path / "dash")).run as experiment:
        for _ in range(2):
            experiment.metrics("eval").log(table={"text": ["x" * 10_000]})
    with reading(local(tmp_path)) as (alice,):
        (other,) = alice.json(view("alice/x/y"))["others"]
    assert (other["series"], other["field"]) == ("eval", "table")
    assert 10_000 < other["row_bytes"] < 10_500


def test_a_download_has_a_name_that_hides_nothing() -> None:
    """Marks of direction and control characters, with which a program looks like a picture, are `_`."""
    headers, _ = file_headers("models/my\u202egnp.exe\n", "image/png", is_inline=False)
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''my_gnp.exe_"


def test_a_link_reads_one_content_without_a_token(alice: Reader) -> None:
    """A signed link reads its content for a minute, and nothing else; an altered one is refused."""
    file = alice.json(view("alice/study/run-1", "/files"))["files"][0]
    path = view("alice/study/run-1", f"/contents/{file['checksum']}")
    href = alice.ask("POST", f"{path}/link").json()["href"]
    other = href.replace("run-1", "run-0")
    for address, code in (
        (href, 200),
        (f"{href}&inline=1", 200),
        (other, 403),
        (href[:-1], 403),
        (path, 401),
    ):
        answer = alice.client.get(address)
        assert answer.status_code == code, address


def kept(own: Path, table: str) -> list[Any]:
    with sqlite3.connect(own / CACHE) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        chosen = ", ".join(name for name in columns if name != "signature")
        return sorted(connection.execute(f"SELECT {chosen} FROM {table}"), key=repr)  # noqa: S608 - a table of the cache


def test_an_index_made_from_nothing_equals_the_kept_one(tmp_path: Path) -> None:
    """After changes of all kinds, the kept cache has what one has that is made from the plain files."""
    site = collector(tmp_path)
    series = [{"step": step, "loss": 1 / (step + 1), "acc": float("nan")} for step in range(3000)]
    with reading(site) as (alice,):
        for number in range(20):
            replica(
                tmp_path, f"alice/r{number}", end=None, rows={"m": series[:1500]}, tags=["a"], exp_id="e_1"
            )
        alice.json(RECORDS)
        alice.json(view("alice/r0", "/curve"))
        for number in range(0, 20, 3):
            replica(tmp_path, f"alice/r{number}", end="FAILED", rows={"m": series[1500:]}, exp_id="e_2")
            alice.app.state.changes.record(f"alice/r{number}", "openings/0001-x-1.jsonl")
        shown = [alice.json(path) for path in (f"{RECORDS}?limit=1000", view("alice/r0", "/curve"))]
    before = {table: kept(site.own, table) for table in ("records", "written", "row_files", "chunks")}
    (site.own / CACHE).unlink()
    with reading(site) as (alice,):
        again = [alice.json(path) for path in (f"{RECORDS}?limit=1000", view("alice/r0", "/curve"))]
    ages = ("age",)
    assert without(again, *ages) == without(shown, *ages)
    assert before["chunks"]
    assert {table: kept(site.own, table) for table in before} == before


@pytest.mark.parametrize("damage", ["text", "newer", "truncated", "folder", "locked", "dropped"])
def test_a_cache_that_cannot_be_used_is_no_error(tmp_path: Path, damage: str) -> None:
    """A cache that is damaged, newer or locked is thrown away or passed over, and every view answers."""
    site = collector(tmp_path)
    replica(tmp_path, "alice/a", rows={"m": [{"loss": number / 7} for number in range(4000)]})
    paths = (f"{RECORDS}?limit=7", view("alice/a", "/curve"), view("alice/a", "/metrics"))
    with reading(site) as (alice,):
        expected = [alice.json(path) for path in paths]
    path = site.own / CACHE
    other = None
    if damage == "text":
        path.write_text("no database")
    elif damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        other = sqlite3.connect(path)
        if damage == "newer":
            other.execute("PRAGMA user_version = 99")
        elif damage == "dropped":
            other.execute("DROP TABLE chunks")
        other.commit()
        if damage == "locked":
            other.execute("BEGIN EXCLUSIVE")
    try:
        with reading(site) as (alice,):
            assert [alice.json(path) for path in paths] == expected
    finally:
        if other is not None:
            other.close()


def test_a_cache_that_is_damaged_while_it_is_used_is_made_anew(tmp_path: Path) -> None:
    """A cache that is overwritten under a running server costs one more look at the files."""
    site = collector(tmp_path)
    for number in range(50):
        replica(tmp_path, f"alice/r{number}")
    with reading(site) as (alice,):
        assert alice.json(RECORDS)["total"] == 50
        for ending in ("", "-wal"):
            path = site.own / f"{CACHE}{ending}"
            path.write_bytes(b"\xff" * path.stat().st_size)
        replica(tmp_path, "alice/new")
        alice.app.state.changes.record("alice/new", "openings/x")
        assert alice.json(RECORDS)["total"] == 51


def test_no_query_costs_the_cache(tmp_path: Path) -> None:
    """A query that SQLite refuses, or that asks too much, leaves the file of the cache as it is."""
    replica(tmp_path, "alice/a", tags=["t"])
    with reading(collector(tmp_path)) as (alice,):
        tags = "&".join(["tag=t"] * 100)
        assert alice.json(f"{RECORDS}?{tags}&text=a&owner=alice&prefix=alice/*")["total"] == 1
        names = "&".join(f"name=n{number}" for number in range(100))
        assert alice.json(f"/v1/views/experiments?{names}&{tags}")["total"] == 0
        for path in (
            f"{RECORDS}?{tags}&tag=t",
            f"/v1/views/experiments?{names}&name=n",
            f"{RECORDS}?cursor={ODD}",
        ):
            assert alice.get(path, code=400).json()["code"] == "usage"
        cache = alice.app.state.index.cache
        depth = " AND ".join(["instr(tags, 'x')"] * 1200)
        for query in (f"SELECT 1 FROM records WHERE {depth}", "SELECT ?", "SELEC"):  # noqa: S608 - of the test
            with pytest.raises(sqlite3.Error):
                cache.read(query)
        assert (cache.is_in_memory, cache.generation) == (False, 0)


def test_a_locked_cache_is_used_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process held for longer than the patience is used again, and has all records."""
    for name, value in {"PATIENCE": 0.01, "RETRY": 0.05}.items():
        monkeypatch.setattr(cache_file, name, value)
    site = collector(tmp_path)
    with reading(site) as (alice,):
        alice.json(RECORDS)
        other = sqlite3.connect(site.own / CACHE)
        other.execute("BEGIN IMMEDIATE")
        rows = [{"loss": float(number)} for number in range(4000)]
        replica(tmp_path, "alice/a", rows={"m": rows})
        alice.app.state.changes.record("alice/a", "openings/x")
        assert alice.json(RECORDS)["total"] == 1
        index = alice.app.state.index
        assert index.cache.is_in_memory
        assert alice.json(view("alice/a", "/curve"))["curves"][0]["total"] == 4000
        other.close()
        assert eventually(lambda: alice.json(RECORDS)["total"] == 1 and not index.cache.is_in_memory)
        replica(tmp_path, "alice/a", rows={"m": rows})
        assert alice.json(view("alice/a", "/curve"))["curves"][0]["total"] == 8000
    with reading(site) as (alice,):
        curve = alice.json(view("alice/a", "/curve?points=8000"))["curves"][0]
        assert curve["last"] == [*range(4000), *range(4000)]


def test_reads_work_on_a_full_disk(tmp_path: Path) -> None:
    """With not one byte left, lists, curves and contents are read; the cache is in memory then."""
    disk = tmp_path / "disk"
    with small_disks.mounted(disk, 2048):
        site = collector(disk)
        rows = [{"step": number, "loss": number / 7} for number in range(3000)]
        replica(disk, "alice/a", rows={"m": rows})
        with reading(site) as (alice,), small_disks.full(disk):
            assert alice.json(RECORDS)["total"] == 1
            assert alice.json(view("alice/a", "/curve"))["curves"][0]["total"] == 3000
            assert alice.json("/v1/views/experiments")["total"] == 0
        with small_disks.full(disk):
            index = Index(site)
            assert index.fresh(lambda index: index.cache.read("SELECT count(*) FROM records")) == [(1,)]
            index.close()


def test_a_collector_reads_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives in large series is read before anybody asks for it, and then not again."""
    for name, value in {"DELAY": 0.01, "SMALLEST": 1}.items():
        monkeypatch.setattr(background, name, value)
    with reading(collector(tmp_path)) as (alice,):
        alice.json(RECORDS)
        folder = replica(tmp_path, "alice/a", rows={"m": [{"loss": number} for number in range(4000)]})
        rows = alice.app.state.index.series.rows
        alice.app.state.changes.record("alice/a", "metrics/m/0001-x-1.jsonl")
        size = (folder / "metrics/m/0001-x-1.jsonl").stat().st_size
        assert eventually(lambda: rows.parsed == size)
        assert alice.json(view("alice/a", "/curve"))["curves"][0]["total"] == 4000
        assert rows.parsed == size


def test_an_indexed_list_reads_no_file(tmp_path: Path) -> None:
    """Once it is indexed, a list is made from the cache alone: no file of a record is opened for it."""
    for number in range(30):
        replica(tmp_path, f"alice/r{number}")
    with reading(collector(tmp_path)) as (alice,):
        alice.json(RECORDS)
        with accesses() as log:
            assert alice.json(f"{RECORDS}?limit=10&text=r1")["total"] == 11
        assert not [path for path in log.files if ".record" in path]


def test_slow_reads_of_one_user_hold_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a user has more slow reads open than there are threads, others read records, and all lists."""
    ready, begun = threading.Event(), threading.Semaphore(0)
    whole = record_documents.record

    def slow(chosen: TargetRecord, reports: Any) -> Any:
        begun.release()
        assert not chosen.record.prefix.startswith("alice/") or ready.wait(60)
        return whole(chosen, reports)

    monkeypatch.setattr(record_documents, "record", slow)
    for user in ("alice", "bob"):
        replica(tmp_path, f"{user}/a")
    with reading(collector(tmp_path), "alice", "bob") as (alice, bob), ThreadPoolExecutor(60) as pool:
        try:
            asked = [pool.submit(alice.get, view("alice/a")) for _ in range(60)]
            assert begun.acquire(timeout=60)
            assert bob.json(RECORDS)["total"] == alice.json(RECORDS)["total"] == 2
            assert bob.json(view("bob/a"))["record"]["prefix"] == "bob/a"
        finally:
            ready.set()
        assert {each.result().status_code for each in asked} == {200}


def quickest(reader: Reader, path: str) -> float:
    """The seconds of the quickest of some equal requests."""
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        reader.get(path)
        taken.append(time.perf_counter() - begin)
    return min(taken)


def test_lists_and_curves_are_quick(tmp_path: Path) -> None:
    """A list of 10,000 records takes 300 ms, a curve of 1,000,000 rows 100 ms, and 1 s after a restart."""
    site = collector(tmp_path)
    for number in range(amount(200, long=10_000)):
        replica(tmp_path, f"alice/p{number % 20}/r{number}", tags=["study", f"n{number % 7}"])
    rows = amount(20_000, long=1_000_000)
    replica(tmp_path, "alice/long", rows={"m": [{"step": row, "loss": row / 7} for row in range(rows)]})
    with reading(site) as (alice,):
        alice.get(RECORDS)
        assert quickest(alice, f"{RECORDS}?limit=10000") <= 0.3
        assert quickest(alice, f"{RECORDS}?tag=n3&text=p1&sort=-prefix") <= 0.3
        alice.get(view("alice/long", "/curve"))
        assert quickest(alice, view("alice/long", "/curve")) <= 0.1
    with reading(site) as (alice,):
        begin = time.perf_counter()
        curve = alice.get(view("alice/long", "/curve")).json()["curves"][0]
        assert time.perf_counter() - begin <= 1.0
        assert (curve["total"], curve["sampled"]) == (rows, True)
        assert alice.app.state.index.series.rows.parsed == 0
