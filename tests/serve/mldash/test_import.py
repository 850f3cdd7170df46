"""`exp records import`: folders that the real clients wrote, and the content of a server."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import in_process
from support.extent import amount
from support.ml_dash_clients import VERSIONS, client
from support.patience import eventually

from nemorun_cli.tracking.access import reader

if TYPE_CHECKING:
    from support.ml_dash_collector import Collector

PROGRAM: Final = Path(__file__).parent / "programs" / "local_run.py"
LEVELS: Final = ["debug", "info", "warn", "error", "fatal"]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a record of each client, written by it."""
    folder = tmp_path_factory.mktemp("ml-dash")
    for short in VERSIONS:
        made = client(short, folder / f"home-{short}")
        made.run(PROGRAM, str(folder / "dash"), f"alice/proj/fold/run-{short}")
    return folder / "dash"


@pytest.fixture
def dash(written: Path, tmp_path: Path) -> Path:
    """A copy of that folder, which a test may change."""
    return Path(shutil.copytree(written, tmp_path / "dash"))


def imported(
    where: Path | str, root: Path, *options: str, code: int = 0, **environment: str
) -> dict[str, Any]:
    """The document of an import."""
    argv = ["records", "import", str(where), "--dash-root", str(root), "--json", *options]
    folder = root.parent
    env = {"NEMORUN_HOME": str(folder / "home"), **environment}
    got, output, errors = in_process.run(argv, program="exp", folder=folder, env=env)
    assert got == code, errors + output
    document: dict[str, Any] = json.loads(output)
    return document


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def without(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_ts"}


@pytest.mark.parametrize("short", VERSIONS)
def test_a_folder_of_ml_dash_is_taken_over_exactly(written: Path, tmp_path: Path, short: str) -> None:
    """Times, levels, tags, files with checksums, tracks, integers of 64 bits and NaN are as they were."""
    root = tmp_path / "records"
    document = imported(written, root, "--only", f"*/run-{short}")
    (entry,) = document["records"]
    assert entry["added"] == {"params": 4, "logs": 5, "metrics": 600, "tracks": 300, "files": 3}
    prefix = f"alice/proj/fold/run-{short}"
    source = written / prefix
    record = reader.record(root, prefix)
    assert record is not None
    about = json.loads((source / "experiment.json").read_text())
    assert record.opened[:23] == about["created_at"][:23]
    assert (record.description, record.tags, record.bindrs) == ("what", ["a", "b,c"], ["x"])
    assert record.metadata == {"k": [1, None]}
    assert (str(record.status), record.reason) == ("FAILED", "lost")
    data = record.data()
    params = {"lr": 0.1, "model.depth": 3, "big": 2**60 + 1, "items": [1, "ü"]}
    assert data.params.get() == params
    lines = [json.loads(line) for line in (source / "logs/logs.jsonl").read_text().splitlines()]
    logs = data.logs.read()
    assert [line["level"] for line in logs] == LEVELS
    assert [f"{line['_ts']:.6f}"[-6:] for line in logs] == [line["timestamp"][-7:-1] for line in lines]
    assert [(line["message"], line["metadata"]) for line in logs] == [
        (f"{level} ü", {"x": 1}) for level in LEVELS
    ]
    rows = data.metrics("a").read()
    assert [(row["big"], row["_ts"]) for row in rows] == [
        (2**60 + i, 1_700_000_000.123456 + i) for i in range(300)
    ]
    assert math.isnan(rows[7]["loss"])
    assert [row["loss"] for row in rows[8:]] == [1 / (i + 1) for i in range(8, 300)]
    assert [without(row) for row in data.metrics().read()] == [{"epoch": i} for i in range(300)]
    track = [{"timestamp": 1000.0 + i, "q": [0.1, i]} for i in range(300)]
    assert data.tracks("robot/pos").list_entries() == track
    text, blob = data.files("models/t.txt").find(), data.files("models/b.bin")
    assert (text["description"], text["tags"], text["metadata"]) == ("d", ["t"], {"m": 1})
    assert blob.read_bytes() == b"\0" * 1000
    assert [file["filename"] for file in data.files.list()] == ["b.bin", "t.txt"]
    assert len(data.files.versions()) == 3


def test_a_second_import_adds_nothing_and_one_of_a_grown_folder_the_rest(dash: Path, tmp_path: Path) -> None:
    """What is here already is not written again; new rows, params and deletions follow."""
    root = tmp_path / "records"
    imported(dash, root)
    before = contents(root)
    again = imported(dash, root)
    assert [sum(entry["added"].values()) for entry in again["records"]] == [0, 0]
    assert contents(root) == before
    record = dash / "alice/proj/fold/run-0.6"
    with (record / "metrics/a/data.jsonl").open("a") as stream:
        stream.write(
            '{"index":300,"data":{"loss":0.5,"_ts":1800000000.5},"createdAt":"2027-01-15T08:00:00Z"}\n'
        )
    params = json.loads((record / "parameters.json").read_text())
    del params["data"]["items"]
    params["data"]["lr"] = 0.5
    (record / "parameters.json").write_text(json.dumps(params))
    files = json.loads((record / "files/.files_metadata.json").read_text())
    text = next(file for file in files["files"] if file["filename"] == "t.txt")
    text["deletedAt"] = "2027-01-15T08:00:00Z"
    (record / "files/.files_metadata.json").write_text(json.dumps(files))
    grown = next(entry for entry in imported(dash, root)["records"] if entry["prefix"].endswith("0.6"))
    assert grown["added"] == {"params": 1, "logs": 0, "metrics": 1, "tracks": 0, "files": 0}
    found = reader.record(root, "alice/proj/fold/run-0.6")
    assert found is not None
    assert found.data().metrics("a").last("loss") == 0.5
    assert found.data().params.get() == {"lr": 0.5, "model.depth": 3, "big": 2**60 + 1}
    assert [file["filename"] for file in found.data().files.list()] == ["b.bin"]


def test_an_import_that_is_killed_is_completed_by_the_next(written: Path, tmp_path: Path) -> None:
    """After kill -9 at any moment, the next import writes what is missing, and nothing twice."""
    whole = tmp_path / "whole"
    imported(written, whole)
    expected = contents(whole)
    chances = random.Random(3)  # noqa: S311 - moments of a test
    argv = [sys.executable, "-m", "nemorun_cli", "records", "import", str(written), "--dash-root"]
    for number in range(amount(2, long=60)):
        root = tmp_path / f"killed-{number}"
        process = subprocess.Popen([*argv, str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        files = chances.randrange(len(expected))
        eventually(lambda: process.poll() is not None or len([*root.rglob("*.jsonl")]) >= files)  # noqa: B023 - at once
        process.kill()
        process.wait()
        imported(written, root)
        assert contents(root) == expected


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_files_that_were_cut_anywhere_grow_to_the_same_content(
    written: Path, tmp_path: Path, share: float
) -> None:
    """Whatever byte a kill left a file at, the next import continues there."""
    root = tmp_path / "records"
    imported(written, root)
    expected = contents(root)
    for path in root.rglob("*.jsonl"):
        os.truncate(path, int(path.stat().st_size * share))
    imported(written, root)
    assert contents(root) == expected


def test_what_cannot_be_taken_over_is_named(dash: Path, tmp_path: Path) -> None:
    """Torn lines, missing and changed contents and damaged records are named; the rest is taken over."""
    record = dash / "alice/proj/fold/run-0.6"
    with (record / "metrics/a/data.jsonl").open("a") as stream:
        stream.write('{"index":300,"data":{"lo')
    (blob,) = record.glob("files/models/*/b.bin")
    blob.unlink()
    (text,) = record.glob("files/models/*/t.txt")
    text.write_text("changed")
    (dash / "alice/proj/fold/run-0.11/experiment.json").write_text("{")
    document = imported(dash, tmp_path / "records", code=7)
    (entry,) = document["records"]
    reasons = "\n".join(
        f"{each['where']}: {each['reason']}" for each in [*entry["left_out"], *document["left_out"]]
    )
    assert "metrics/a/data.jsonl:301: this line is not a row" in reasons
    assert "file models/b.bin: " in reasons
    assert "file models/t.txt: its content has the SHA-256" in reasons
    assert "run-0.11/experiment.json: it cannot be read" in reasons
    found = reader.record(tmp_path / "records", "alice/proj/fold/run-0.6")
    assert found is not None
    assert len(found.data().metrics("a").read()) == 300
    assert found.data().files("models/t.txt").read_text() == "changed"


def test_a_prefix_that_leaves_the_folder_and_a_link_are_not_followed(dash: Path, tmp_path: Path) -> None:
    """A folder that somebody else wrote puts nothing outside of the records, and reads nothing elsewhere."""
    secret = tmp_path / "secret"
    secret.write_text('{"timestamp":"2026-01-01T00:00:00Z","level":"info","message":"secret"}\n')
    record = dash / "alice/proj/fold/run-0.6"
    (record / "logs/logs.jsonl").unlink()
    (record / "logs/logs.jsonl").symlink_to(secret)
    about = json.loads((dash / "alice/proj/fold/run-0.11/experiment.json").read_text())
    about["prefix"] = "../../escaped"
    (dash / "alice/proj/fold/run-0.11/experiment.json").write_text(json.dumps(about))
    document = imported(dash, tmp_path / "records", code=7)
    assert not (tmp_path.parent / "escaped").exists()
    assert all("secret" not in text.decode("latin-1") for text in contents(tmp_path / "records").values())
    reasons = json.dumps(document)
    assert "could leave the folder of records" in reasons
    assert "logs.jsonl" in reasons


def test_a_record_that_is_not_from_the_source_is_left_alone(dash: Path, tmp_path: Path) -> None:
    """With another prefix in front, the import finds its place; a dry run writes nothing."""
    root = tmp_path / "records"
    dry = imported(dash, root, "--dry-run")
    assert (dry["is_dry"], root.exists()) == (True, False)
    assert [entry["added"]["metrics"] for entry in dry["records"]] == [600, 600]
    imported(dash, root)
    about = json.loads((dash / "alice/proj/fold/run-0.6/experiment.json").read_text())
    about["created_at"] = "2020-01-02T03:04:05.678901Z"
    (dash / "alice/proj/fold/run-0.6/experiment.json").write_text(json.dumps(about))
    refused = imported(dash, root, code=7)
    assert "is not from this source" in json.dumps(refused["records"])
    below = imported(dash, root, "--prefix", "old/ml-dash", "--status", "completed")
    assert [entry["status"] for entry in below["records"]] == ["COMPLETED", "COMPLETED"]
    assert reader.record(root, "old/ml-dash/alice/proj/fold/run-0.6") is not None


def test_the_content_of_a_server_is_taken_over_once(collector: Collector, tmp_path: Path) -> None:
    """All of a user's records are taken over; a running one ends with a later import."""
    token = collector.server.add_token("carol")

    def ask(method: str, path: str, content: Any = None) -> Any:
        answer = collector.ask(method, path, content, token=token)
        assert answer.status < 300, answer.body
        return answer.json

    fields = {"type": "EXPERIMENT", "name": "run", "parentId": "ROOT", "projectSlug": "p", "tags": ["t"]}
    opened = ask("POST", "/api/namespaces/carol/nodes", fields)
    base = f"/api/experiments/{opened['experiment']['id']}"
    ask("POST", f"{base}/parameters", {"data": {"lr": 0.1}})
    points = b'{"dataPoints":[{"v":NaN,"big":%d,"_ts":1.5},{"v":2,"_ts":2.5}]}' % (2**60 + 1)
    ask("POST", f"{base}/metrics/a/b/append-batch", points)
    ask(
        "POST",
        f"{base}/metrics/None/append-batch",
        {"dataPoints": [{"v": i, "_ts": float(i)} for i in range(3)]},
    )
    line = {
        "timestamp": "2026-01-02T03:04:05.678901Z",
        "level": "fatal",
        "message": "m",
        "metadata": {"k": 1},
    }
    ask("POST", f"{base}/logs", {"logs": [line]})
    ask("POST", f"{base}/tracks/a%2F%2Fb/append_batch", {"entries": [{"timestamp": 1.0, "q": [1]}]})
    root = tmp_path / "records"
    login = {"EXP_DASH_URL": collector.server.url, "EXP_TOKEN": token}
    (first,) = imported(collector.server.url, root, **login)["records"]
    assert first["added"] == {"params": 1, "logs": 1, "metrics": 5, "tracks": 1, "files": 0}
    assert (first["prefix"], first["status"]) == ("carol/p/run", "RUNNING")
    ask("PATCH", f"/api/nodes/{opened['node']['id']}", {"status": "COMPLETED"})
    (second,) = imported(collector.server.url, root, **login)["records"]
    assert (sum(second["added"].values()), second["status"]) == (0, "COMPLETED")
    there, here = collector.data("carol/p/run"), reader.record(root, "carol/p/run")
    assert here is not None
    assert (str(here.status), here.tags) == ("COMPLETED", ["t"])
    for name in ("a/b", None):
        assert repr(here.data().metrics(name).read()) == repr(there.metrics(name).read())
    assert here.data().logs.read() == there.logs.read()
    assert here.data().tracks("a//b").list_entries() == there.tracks("a//b").list_entries()


def test_wrong_sources_are_refused(tmp_path: Path, collector: Collector) -> None:
    """The message names what is missing; a wrong token exits with 2, a server that is away with 6."""
    root = str(tmp_path / "records")
    (tmp_path / "empty").mkdir()
    wrong = {"EXP_DASH_URL": collector.server.url, "EXP_TOKEN": "exp_wrong"}
    away = {"EXP_DASH_URL": "http://127.0.0.1:9", "EXP_TOKEN": "exp_x"}
    for where, environment, code, text in (
        ("nowhere", {}, 3, "there is no folder"),
        ("empty", {}, 3, "has no records of ML-Dash"),
        (collector.server.url, wrong, 2, "HTTP 401"),
        ("http://127.0.0.1:9", away, 6, "does not answer"),
        ("https://example.org", {}, 2, "exp login"),
    ):
        argv = ["records", "import", where, "--dash-root", root]
        env = {"NEMORUN_HOME": str(tmp_path / "home"), **environment}
        got, _, errors = in_process.run(argv, program="exp", folder=tmp_path, env=env)
        assert (got, text in errors) == (code, True), errors
