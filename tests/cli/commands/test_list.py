from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from support.patience import eventually

from nemorun_cli.system import user

if TYPE_CHECKING:
    from support.workspace import Exp

GOOD = "name: good\ndescription: A good one\ntags: [x, y]\ntasks: {a: {command: 'true'}}\n"
BAD = "name: bad\ntags: [x]\ntasks: {a: {command: 'false'}}\n"
WAITING = """
name: waiting
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done"}
"""


def _ids(exp: Exp, *options: str) -> list[str]:
    return exp("list", "-q", *options).stdout.split()


def test_the_newest_comes_first(exp: Exp) -> None:
    """Experiments are listed with status, time, tasks, tags and key, the newest first."""
    good = exp("run", exp.spec(GOOD), "-q", "--key", "k1").stdout.strip()
    bad = exp("run", exp.spec(BAD), "-q", code=1).stdout.strip()
    assert _ids(exp) == [bad, good]
    lines = exp("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "CREATED", "DURATION", "TASKS", "TAGS", "KEY"]
    assert lines[1].split()[:2] == [bad, "FAILED"]
    assert lines[2].split()[0:2] + lines[2].split()[4:] == [good, "COMPLETED", "1/1", "x,", "y", "k1"]


def test_the_document_tells_the_same(exp: Exp) -> None:
    """`exp.list/1` has id, name, status, created, ended, counts, tags and key of each."""
    experiment_id = exp("run", exp.spec(GOOD), "-q").stdout.strip()
    document = exp("list", "--json").json
    assert document["schema"] == "exp.list/1"
    (entry,) = document["experiments"]
    status = exp.status()
    assert entry == {
        "id": experiment_id,
        "name": "good",
        "title": None,
        "status": "COMPLETED",
        "created": status["created"],
        "ended": status["ended"],
        "active": status["active"],
        "counts": {"SUCCEEDED": 1},
        "tags": ["x", "y"],
        "notes": [],
        "key": None,
        "problem": None,
        "responding": None,
        "unsupervised": None,
        "not_observed": None,
    }


def test_filters_narrow_it(exp: Exp) -> None:
    """Name (or glob), status, tags (all), executor, text, owner, age and number choose what is listed."""
    good = exp("run", exp.spec(GOOD), "-q").stdout.strip()
    bad = exp("run", exp.spec(BAD), "-q", code=1).stdout.strip()
    assert _ids(exp, "--name", "good") == [good]
    assert _ids(exp, "--name", "g*") == [good]
    assert _ids(exp, "--status", "failed") == [bad]
    assert _ids(exp, "--tag", "x") == [bad, good]
    assert _ids(exp, "--tag", "x", "--tag", "y") == [good]
    assert _ids(exp, "--executor", "local") == [bad, good]
    assert _ids(exp, "--executor", "elsewhere") == []
    assert _ids(exp, "--text", "A GOOD o") == [good]
    assert _ids(exp, "--text", "bad_", "--executor", "local") == [bad]
    assert _ids(exp, "--owner", user.name(), "--owner", "alice") == [bad, good]
    assert _ids(exp, "--owner", "alice") == []
    assert _ids(exp, "--since", "1h") == [bad, good]
    assert _ids(exp, "--since", "2999-01-01") == []
    assert _ids(exp, "--limit", "1") == [bad]


def test_wrong_filters_are_wrong_usage(exp: Exp) -> None:
    """A status, number or time that is none is exit code 2, with what would be one."""
    assert "COMPLETED" in exp("list", "--status", "done", code=2).stderr
    assert "whole number" in exp("list", "--limit", "-1", code=2).stderr
    assert "2026-11-22" in exp("list", "--since", "soon", code=2).stderr


def test_a_table_is_cut_and_says_so(exp: Exp) -> None:
    """A table ends after as many as were asked for and says that there are more."""
    spec = exp.spec(GOOD)
    exp("run", spec, "-q")
    exp("run", spec, "-q")
    assert "for more: exp list --limit" in exp("list", "--limit", "1").stderr
    assert exp("list", "--limit", "2").stderr == ""


def test_without_a_supervisor_the_truth_is_told(exp: Exp) -> None:
    """Tasks that run on without their supervisor are told with the remedy; without them it is not RUNNING."""
    exp("run", exp.spec(WAITING), "-d")
    eventually((exp.folder / "begun").exists)
    assert exp("list", "--json").json["experiments"][0]["status"] == "RUNNING"
    os.kill(exp.status()["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: exp("list", "--json").json["experiments"][0]["unsupervised"] == 1)
    listed = exp("list", "--json")
    (entry,) = listed.json["experiments"]
    assert entry["status"] == "RUNNING"
    assert f"1 task(s) still running; continue with: exp resume {entry['id']}" in listed.stderr
    (exp.folder / "go").touch()
    eventually(lambda: exp("list", "--json").json["experiments"][0]["status"] == "COMPLETED")


def test_an_unreadable_ledger_is_listed_as_that(exp: Exp) -> None:
    """A damaged ledger does not hide the other experiments, nor itself."""
    good = exp("run", exp.spec(GOOD), "-q").stdout.strip()
    bad = exp("run", exp.spec(BAD), "-q", code=1).stdout.strip()
    ledger = exp.directory(bad) / "ledger.jsonl"
    eventually(lambda: b"supervisor_ended" in ledger.read_bytes())
    ledger.write_bytes(ledger.read_bytes().replace(b'"event":"finished"', b'"event":"fin\x00shed"'))
    told = exp("list", "--json")
    listed = {entry["id"]: entry["status"] for entry in told.json["experiments"]}
    assert listed == {bad: None, good: "COMPLETED"}
    assert bad in told.stderr


def test_foreign_folders_are_not_ours(exp: Exp) -> None:
    """A folder without a ledger is not listed."""
    (exp.home / "experiments" / "theirs" / "theirs_1700000000").mkdir(parents=True)
    assert _ids(exp) == []


def test_a_ledger_that_goes_on_after_its_end_is_read_in_full(exp: Exp) -> None:
    """A resume after the end counts: the list says how it ended then."""
    spec = exp.spec("name: twice\ntasks: {a: {inline: test -e go}}\n")
    exp("run", spec, "-q", code=1)
    (exp.folder / "go").touch()
    exp("resume", "twice")
    assert exp("list", "--json").json["experiments"][0]["status"] == "COMPLETED"
