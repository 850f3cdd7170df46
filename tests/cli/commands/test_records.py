from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.store.record_paths import Place
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: tuned
prefix: alice/tuned
tags: [swept]
tasks:
  train: {inline: "true", matrix: {lr: [1]}}
"""


@pytest.fixture
def some(exp: Exp) -> Exp:
    """A home with records of a run and of programs of their own."""
    exp("run", exp.spec(SPEC))
    with Experiment("bob/a", dash_root=exp.home / "dash", tags=["x", "y"]).run:
        pass
    with pytest.raises(ValueError, match="bad"), Experiment("bob/b", dash_root=exp.home / "dash").run:
        raise ValueError("bad")
    return exp


def prefixes(exp: Exp, *arguments: str) -> list[str]:
    """What the command lists."""
    return exp("records", *arguments, "-q").stdout.split()


@pytest.mark.parametrize("name", ["EXP_DASH_ROOT", "--dash-root"])
def test_a_tilde_is_the_folder_of_the_user(name: str, some: Exp) -> None:
    """`--dash-root=~/dash`, in which no shell replaces it, and the variable mean the user's folder."""
    arguments = ["--dash-root=~/dash"] if name == "--dash-root" else []
    variables = {"HOME": str(some.home), **({} if arguments else {name: "~/dash"})}
    listed = some("records", "bob/", "-q", *arguments, env=variables).stdout.split()
    assert listed == ["bob/a", "bob/b"]


def test_records_are_listed_by_prefix_status_and_tag(some: Exp) -> None:
    """All records, or those under a prefix, that fit a glob, of an experiment, in a status, with a tag."""
    exp = some
    assert prefixes(exp) == ["alice/tuned", "alice/tuned/train/lr=1", "bob/a", "bob/b"]
    assert prefixes(exp, "alice/tuned") == ["alice/tuned", "alice/tuned/train/lr=1"]
    assert prefixes(exp, "*/a") == ["bob/a"]
    assert prefixes(exp, "tuned", "train") == ["alice/tuned/train/lr=1"]
    assert prefixes(exp, "--status", "failed") == ["bob/b"]
    assert prefixes(exp, "--tag", "x", "--tag", "y") == ["bob/a"]
    assert prefixes(exp, "--limit", "1") == ["alice/tuned"]
    assert prefixes(exp, "--limit", "0") == []
    assert prefixes(exp, "--dash-root", str(exp.folder)) == []


def test_each_record_is_told_with_its_openings(some: Exp) -> None:
    """A record is told with how it ended and why, and who had it open."""
    table = some("records", "bob/b").stdout
    assert "FAILED" in table
    assert "ValueError: bad" in table
    (entry,) = some("records", "tuned", "train", "--json").json["records"]
    assert entry["openings"][0]["task"] == "train/lr=1"
    assert entry["openings"][0]["attempt"] == 1


def test_a_damaged_record_hides_no_other(some: Exp) -> None:
    """What cannot be read is told on standard error, and all others are listed."""
    (opening,) = (some.home / "dash" / "bob/a" / ".record" / "openings").glob("*.jsonl")
    opening.write_text("rubbish\n")
    shown = some("records", "-q")
    assert "bob/b" in shown.stdout
    assert "bob/a" in shown.stderr


def test_a_status_that_no_record_has_is_refused(exp: Exp) -> None:
    """The known ones are listed."""
    assert "CANCELLED, COMPLETED, FAILED, RUNNING" in exp("records", "--status", "INTERRUPTED", code=2).stderr


BESIDES = """
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.store.record_paths import Place
from nemorun_cli.tracking.store.sessions import OpenSession
for prefix in (None, "eyes/x", "eyes/" + __import__("os").environ["EXP_TASK"]):
    with (Experiment(prefix=prefix) if prefix else Experiment()).run as record:
        record.metrics("train").log(loss=1.0)
"""


def test_records_of_one_task_are_told_apart(exp: Exp) -> None:
    """A task's own record goes by its id, any other by its prefix, and one that tasks share is told once."""
    command = [sys.executable, "-c", BESIDES]
    exp("run", exp.spec(json.dumps({"name": "a", "tasks": {name: {"command": command} for name in "st"}})))
    counts = {"s": "1", "eyes/x": "2", "eyes/s": "1", "t": "1", "eyes/t": "1"}
    told = [line.split() for line in exp("metrics").stdout.splitlines()[1:]]
    assert [(line[0], line[2]) for line in told] == list(counts.items())
    assert [line.split()[0] for line in exp("compare").stdout.splitlines()[1:]] == list(counts)
    listed = prefixes(exp, "a")
    assert len(listed) == len(set(listed)) == len(counts) + 1
    assert [one["task"] for one in exp("records", "a", "--json").json["records"]] == [
        None,
        "s",
        None,
        "s",
        "t",
        "t",
    ]


def test_tracking_that_is_off_leaves_the_record_of_the_experiment(exp: Exp) -> None:
    """With `EXP_TRACKING=off` local tasks write no record; the experiment's own one is complete."""
    (exp.folder / "track.py").write_text(
        "from nemorun_cli import Experiment\nwith Experiment().run as e:\n    e.metrics.log(x=1)\n"
    )
    spec = exp.spec(f"name: t\nprefix: alice/t\ntasks: {{a: {{command: [{sys.executable}, track.py]}}}}")
    exp("run", spec, env={"EXP_TRACKING": "off"})
    listed = exp("records", "--status", "completed", "-q", env={"EXP_TRACKING": "off"})
    assert listed.stdout.split() == ["alice/t"]


def test_a_huge_message_of_an_earlier_version_is_shown_to_a_bound(exp: Exp) -> None:
    """Of a message of megabytes that a record holds the table shows the beginning and the end."""
    session = OpenSession.start(Place(str(exp.home / "dash"), "bob/a"), about={}, process={})
    session.end(ExperimentStatus.FAILED, message=f"begin{'y' * 3_000_000}end")
    shown = exp("records").stdout
    assert "begin" in shown
    assert len(shown) < 100_000


def test_a_reason_is_written_once(exp: Exp) -> None:
    """A message that begins with the reason replaces it, and an exit has its code."""
    exp("run", exp.spec("name: odd\nprefix: o\ntasks: {a: {inline: exit 3, metrics: {t: json}}}"), code=1)
    assert exp("records", "o/a").stdout.splitlines()[1].endswith("exit code 3")
    assert exp("why").stdout == exp("why", "latest").stdout
    with Experiment("o/x", dash_root=exp.home / "dash", print_logs=False).run as program:
        pass
    (opening,) = (exp.home / "dash/o/x").rglob("openings/*.jsonl")
    opening.write_text(opening.read_text().splitlines()[0] + "\n")
    del program
    exp("close", "o/x")
    assert "closed: closed" not in exp("records", "o/x").stdout
    assert "closed by " in exp("records", "o/x").stdout


def test_records_in_the_folder_of_the_program_are_found(exp: Exp) -> None:
    """What finds nothing in the home names the option for `.dash`, if the records are there."""
    with Experiment("al/x", dash_root=exp.folder / ".dash", print_logs=False).run:
        pass
    hint = "for the records in ./.dash: --dash-root .dash"
    for command in ("compare", "params", "metrics", "files"):
        assert f"hint: start one: exp run SPEC; {hint}" in exp(command, code=3).stderr
        assert f"hint: {hint}" in exp(command, "al/", code=3).stderr
        assert hint not in exp(command, "other/", code=3).stderr
    assert f"hint: {hint}" in exp("records").stderr
    assert exp("records", "--dash-root", ".dash").stderr == ""


def test_what_has_not_arrived_on_a_server_is_shown_and_kept(
    exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`exp records` shows what a server does not have; `exp rm` keeps it, or removes it with `--force`."""
    task = {"EXP_TASK": "train"}  # in a task nothing is sent by the program
    monkeypatch.setenv("EXP_TASK", "train")
    root, url = exp.home / "dash", "http://127.0.0.1:9"
    with Experiment("bob/sent", dash_root=root, dash_url=url).run, Experiment("bob/a", dash_root=root).run:
        pass
    rows = [line.split() for line in exp("records", "bob/").stdout.splitlines()]
    assert rows[0][2] == "UNSENT"
    assert rows[1][2] == "-"
    assert rows[2][2].endswith("K")
    listed = {
        entry["prefix"]: entry for entry in json.loads(exp("records", "bob/", "--json").stdout)["records"]
    }
    assert listed["bob/a"]["sync"] is None
    sync = listed["bob/sent"]["sync"]
    assert sync["pending"] > 0
    assert sync == {"url": url, "pending": sync["pending"], "last": None, "error": None}
    assert "exp sync" in exp("rm", "bob/sent", code=4).stderr
    exp("rm", "bob/sent", "--force")
    for marker in root.glob(".outbox/*/pending/*"):
        marker.unlink()  # as a sender does with those of a record that is not there
    exp("rm", "--restore", "bob/sent", env=task)
    assert list(root.glob(".outbox/*/pending/change-*"))
