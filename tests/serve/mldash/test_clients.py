"""Programs of ML-Dash's unmodified clients 0.6.27 and 0.11.0 on this server."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from support.ml_dash_clients import MlDashClient
    from support.ml_dash_collector import Collector

    from nemorun_cli.tracking.experiment import Experiment

PROGRAMS: Final = Path(__file__).parent / "programs"
DATA: Final = bytes(range(256)) * 100
LEVELS: Final = ("debug", "info", "warn", "error", "fatal")


def test_all_calls_of_a_client_work_and_its_record_equals_what_it_logged(
    collector: Collector, ml_dash: MlDashClient
) -> None:
    """Whatever a client logs is in the record on disk, and whatever it reads is what it logged."""
    prefix = f"alice/proj/fold/run-{ml_dash.short}"
    results = ml_dash.home / "results.json"
    output = ml_dash.run(PROGRAMS / "whole_run.py", collector.server.url, prefix, str(results))
    assert "Warning" not in output
    check_rows(collector.data(prefix))
    check_files(collector.data(prefix))
    check_openings(collector, prefix)
    check_commands(collector, prefix)
    check_read(json.loads(results.read_text()), is_old=ml_dash.short == "0.6")


def without_time(rows: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "_ts"} for row in rows]


def check_rows(data: Experiment) -> None:
    """Params, logs, metrics and tracks."""
    assert data.params.get() == {
        "lr": 0.2,
        "model.depth": 3,
        "model.name": "ü",
        "items": [1, "a", None],
        "big": 2**60 + 1,
    }
    lines = data.logs.read()
    assert [(line["level"], line["message"], line["metadata"]) for line in lines] == [
        ("info", "hello", {"epoch": 1}),
        *((level, f"a {level} ü\n", {"step": level}) for level in LEVELS),
    ]
    first = [
        {"loss": 1 / (i + 1), "epoch": i, "name": "t", "flag": i % 2 == 0, "none": None, "nested": {"k": [i]}}
        for i in range(5)
    ]
    rows = data.metrics("a").read(attempts="all")
    unmarked = [{name: row[name] for name in row if name[0] != "_"} for row in rows]
    assert unmarked == [*first, {"loss": math.pi, "epoch": 5}]
    timed = data.metrics("a/b").read()
    moments = [(2**60 + i, 1_700_000_000.123456 + i) for i in range(5)]
    assert [(row["big"], row["_ts"]) for row in timed] == moments
    for name in ("ü", "sp ace", "train/x-1.2"):
        assert [row["v"] for row in data.metrics(name).read()] == list(range(5))
    assert without_time(data.metrics("train").read()) == [{"loss": 0.5, "epoch": i} for i in range(5)]
    assert [row["epoch"] for row in data.metrics().read()] == list(range(5))
    mixed = [{"x": 1}, {"x": 2.5}, {"x": "text", "y": True}, {"z": [1, {"a": 2}]}]
    assert without_time(data.metrics("mixed").read()) == mixed
    assert type(data.metrics("mixed").read()[0]["x"]) is int
    rows = data.metrics("long").read()
    assert sorted(row["i"] for row in rows)[:2500] == list(range(2500))  # 0.6 sends from two threads
    track = [{"timestamp": 1000.0 + i, "q": [0.1, i], "cam": {"x": i}} for i in range(5)]
    assert data.tracks("robot/pos").list_entries() == track
    assert data.tracks.names() == ["/odd//topic", "robot/pos"]


def check_files(data: Experiment) -> None:
    """Saved files, with their contents and descriptions."""
    files = {f"{file['path']}/{file['filename']}": file for file in data.files.list()}
    assert sorted(files) == [
        "/deep/z.txt",
        "/models/b.bin",
        "/models/c.json",
        "/models/data.bin",
        "/models/f.png",
        "/models/m.pt",
        "/models/nothing.bin",
        "/models/t.txt",
        "/other/t.txt",
        "/sub/sub/y.bin",
    ]
    saved = files["/models/data.bin"]
    assert saved["checksum"] == hashlib.sha256(DATA).hexdigest()
    assert saved["sizeBytes"] == len(DATA)
    assert (saved["description"], saved["tags"], saved["metadata"]) == ("d", ["best", "one", "two"], {"m": 1})
    changed = files["/models/c.json"]
    assert (changed["description"], changed["tags"]) == ("new", ["best", "one", "two"])
    contents = {"models/t.txt": "text ü", "other/t.txt": "another", "models/nothing.bin": ""}
    for path, text in contents.items():
        assert data.files(path).read_text() == text
    assert data.files("sub/sub/y.bin").read_bytes() == DATA


def check_openings(collector: Collector, prefix: str) -> None:
    """Each open is an opening, which ends as the program ended it."""
    record = collector.record(prefix)
    assert [str(opening.status) for opening in record.openings] == ["COMPLETED", "COMPLETED"]
    assert [opening.generation for opening in record.openings] == [1, 2]
    assert (record.description, record.tags, record.bindrs) == ("what it is", ["x", "y,z"], ["b"])
    assert record.metadata == {"git": "abc", "list": [1, None]}
    ends = {name: str(collector.record(f"{prefix}-{name}").status) for name in ("failed", "cancelled")}
    assert ends == {"failed": "FAILED", "cancelled": "CANCELLED"}
    for name in ("raised", "interrupted"):
        assert str(collector.record(f"{prefix}-{name}").status) == "FAILED"


def check_commands(collector: Collector, prefix: str) -> None:
    """The commands read the record as any other."""
    (record,) = collector.command("records", prefix)["records"]
    assert (record["status"], len(record["openings"]), record["tags"]) == ("COMPLETED", 2, ["x", "y,z"])
    params = collector.command("params", prefix)
    assert "model.depth" in json.dumps(params)
    files = collector.command("files", prefix)
    assert hashlib.sha256(DATA).hexdigest() in json.dumps(files)
    assert str(2**60 + 4) in json.dumps(collector.command("metrics", prefix))


def check_read(read: dict[str, Any], *, is_old: bool) -> None:
    """What the client read back."""
    assert read["id"] == read["again"]
    assert read["params"]["model.depth"] == read["nested"]["model"]["depth"] == 3
    assert read["stats"]["totalDataPoints"] == "2500"
    assert {"None", "a", "a/b", "sp ace", "train/x-1.2", "ü"} < set(read["names"])
    lengths = [len(page) for page in read["pages"]]
    assert lengths == [1000, 1000, 500]
    assert sorted(i for page in read["pages"] for i in page) == list(range(2500))
    if is_old:
        assert [row["loss"] for row in read["a"]] == [1 / (i + 1) for i in range(5)]
    else:
        kinds = [kinds for kinds, _ in read["blocks"]]
        assert kinds == [
            ["int64", "float64"],
            ["float64", "float64"],
            ["utf8", "bool", "float64"],
            ["utf8", "float64"],
        ]
        assert read["big"] == [2**60 + i for i in range(5)]
        assert read["after"] == list(range(2400, 2501))
    assert read["track"] == [{"timestamp": 1000.0 + i, "q": [0.1, i], "cam": {"x": i}} for i in range(5)]
    assert read["slice"] == 3
    assert len(read["jsonl"].splitlines()) == 5
    assert {"models/t.txt", "other/t.txt", "sub/sub/y.bin"} < set(read["files"])
    assert read["glob"] == ["b.bin", "data.bin", "nothing.bin", "y.bin"]
    assert read["exists"] == [True, True, False]
    assert read["texts"] == ["text ü", "another"]
    assert (read["same"], read["nothing"], read["copies"]) == (True, 0, ["t.txt", "t.txt"])
    assert "p.pkl" not in read["left"]
    assert read["updated"] == ["new", ["best", "one", "two"]]
