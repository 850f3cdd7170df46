"""What senders report as running: ages by the server's clock, skew, restarts, rights."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import small_disks
from support.view_sites import Reader, collector, reading, replica

from nemorun_cli.model import clock
from nemorun_cli.serve.heard import FOLDER, Reports

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = "/v1/views/records"
OPENING = "0001-x-1"


def report(reader: Reader, *alive: str, ahead: float = 0.0, code: int = 200, **others: Any) -> Any:
    """Report records as alive, from a machine whose clock is ahead."""
    document = {
        "machine": {"host": "far", "boot": "boot-1"},
        "time": clock.stamp(time.time() + ahead),
        "alive": [[prefix, OPENING] for prefix in alive],
        "supervised": [],
    }
    return reader.ask("POST", "/v1/heard", body={**document, **others}, code=code).json()


def heard(reader: Reader, prefix: str = "alice/a") -> Any:
    """The field `heard` of a record, which is the same in its list and in its view."""
    listed = reader.json(f"{RECORDS}?prefix={prefix}")["records"][0]
    own = reader.json(f"{RECORDS}/{prefix}/.record")["record"]
    assert listed["status"] == own["status"]
    for name in ("machine", "skew"):
        assert (listed["heard"] or {}).get(name) == (own["heard"] or {}).get(name)
    return own["heard"]


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_ages_are_by_the_clock_of_the_server(tmp_path: Path, ahead: float) -> None:
    """A report of a machine whose clock is an hour off is a moment old, and the skew is shown."""
    replica(tmp_path, "alice/a", end=None)
    with reading(collector(tmp_path)) as (alice,):
        answer = report(alice, "alice/a", ahead=ahead)
        assert answer["kept"] == 1
        assert abs(answer["skew"] - ahead) < 30
        found = heard(alice)
        assert found["age"] < 30
        assert (found["machine"], abs(found["skew"] - ahead) < 30) == ("far", True)
        report(alice, "alice/a", ahead=2.0)
        assert heard(alice)["skew"] is None


def test_silence_is_no_failure(tmp_path: Path) -> None:
    """A record that has not finished is RUNNING however old the last report is, also on one machine."""
    here = {"host": os.uname().nodename, "boot": None, "pid": 2**22 + 1, "process_started": 1.0}
    folder = replica(tmp_path, "alice/a", end=None, rows={"m": [{"loss": 1.0}]}, **here)
    before = time.time() - 86400
    for path in folder.rglob("*.jsonl"):
        os.utime(path, (before, before))
    with reading(collector(tmp_path)) as (alice,):
        found = heard(alice)
        assert abs(found["age"] - 86400) < 60
        assert alice.json(RECORDS)["counts"] == {"RUNNING": 1}
        assert alice.json(f"{RECORDS}/alice/a/.record/openings")["openings"][0]["state"] == "elsewhere"
        replica(tmp_path, "alice/a", **here)
        alice.app.state.changes.record("alice/a", "openings/x")
        assert heard(alice) is None


def test_reports_survive_a_restart(tmp_path: Path) -> None:
    """A restarted server knows how old each report is, and continues counting."""
    replica(tmp_path, "alice/a", end=None)
    site = collector(tmp_path)
    with reading(site) as (alice,):
        report(alice, "alice/a", ahead=60.0)
        first = heard(alice)
    (site.own / FOLDER / "damaged.json").write_text("{")
    with reading(site) as (alice,):
        found = heard(alice)
        assert found["age"] >= first["age"]
        assert abs(found["skew"] - 60) < 30


def test_a_report_counts_for_own_prefixes_alone(tmp_path: Path) -> None:
    """What a token may not write is not kept; a report with nothing else is still an answer."""
    replica(tmp_path, "alice/a", end=None)
    with reading(collector(tmp_path), "alice", "mallory") as (alice, mallory):
        assert report(mallory, "alice/a")["refused"] == 1
        assert heard(alice)["machine"] == "far"  # by the age of its files
        assert report(mallory, supervised=[["alice", "home", "x_1"]])["kept"] == 0
        assert not (tmp_path / ".server" / FOLDER).exists() or report(alice, "alice/a")["kept"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"machine": {}}, {"machine": {"host": "x" * 300}}, {"time": "soon"}, {"time": 1e300}, {"time": None},
        {"alive": [["a"]]}, {"alive": [[1, 2]]}, {"alive": "x"}, {"alive": [["a", "b"]] * 10_001},
        {"supervised": [["a", "b"]]},
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """A report of another form is a 400, and nothing of it is kept."""
    with reading(collector(tmp_path)) as (alice,):
        assert report(alice, code=400, **wrong)["code"] == "malformed"


def test_a_full_disk_loses_no_report(tmp_path: Path) -> None:
    """On a full disk reports are kept in memory, and answered."""
    disk = tmp_path / "disk"
    with small_disks.mounted(disk, 1024):
        replica(disk, "alice/a", end=None)
        with reading(collector(disk)) as (alice,), small_disks.full(disk):
            assert report(alice, "alice/a")["kept"] == 1
            assert heard(alice)["machine"] == "far"


def test_the_machines_of_a_user_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each user only so many machines are kept, the latest ones; no user displaces those of another."""
    monkeypatch.setattr("nemorun_cli.serve.heard.MOST_MACHINES", 3)
    reports = Reports(tmp_path, is_collector=True)
    reports.add("bob\nhost\nboot", "host", [("bob/a", OPENING)], skew=0.0)
    for number in range(5):
        subjects = [(f"alice/{number}", OPENING)]
        reports.add(f"alice\nhost-{number}\nboot", f"host-{number}", subjects, skew=0.0)
    kept = [number for number in range(5) if reports.of_record(f"alice/{number}", [OPENING])]
    assert kept == [2, 3, 4]
    assert reports.of_record("bob/a", [OPENING])
    assert len(list((tmp_path / FOLDER).iterdir())) == 4
