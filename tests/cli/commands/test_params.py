from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: tuned
prefix: alice/tuned
params: {epochs: 3}
tasks:
  train: {inline: "true", matrix: {lr: [0.1, 0.2]}}
  plain: {inline: "true"}
"""


def test_params_of_an_experiment_and_of_its_tasks(exp: Exp) -> None:
    """An experiment shows its params and those of each task, a task or group only its own."""
    exp("run", exp.spec(SPEC))
    lines = [line.split() for line in exp("params").stdout.splitlines()]
    assert [line[1:] for line in lines] == [["PARAM", "VALUE"], ["epochs", "3"], ["lr", "0.1"], ["lr", "0.2"]]
    assert [line[0] for line in lines[2:]] == ["train/lr=0.1", "train/lr=0.2"]
    documents = exp("params", "tuned", "train", "--json").json["records"]
    assert [entry["params"] for entry in documents] == [{"lr": 0.1}, {"lr": 0.2}]
    assert {entry["status"] for entry in documents} == {"COMPLETED"}


def test_an_experiment_shows_its_own_and_a_prefix_everything(exp: Exp) -> None:
    """Of two runs under one prefix each shows what it set; the prefix shows what holds now."""
    exp("run", exp.spec(SPEC))
    first = exp.status()["id"]
    exp("run", exp.spec(SPEC), "-p", "epochs=5")
    assert exp("params", first, "--json").json["records"][0]["params"] == {"epochs": 3}
    assert exp("params", "latest", "--json").json["records"][0]["params"] == {"epochs": 5}
    under = exp("params", "alice/tuned", "--json").json["records"]
    assert [entry["prefix"] for entry in under] == [
        "alice/tuned",
        "alice/tuned/train/lr=0.1",
        "alice/tuned/train/lr=0.2",
    ]
    assert under[0]["params"] == {"epochs": 5}


def test_params_of_a_program_of_its_own(exp: Exp) -> None:
    """Records of programs that no experiment started are shown by their prefix and folder."""
    with Experiment("bob", dash_root=exp.folder / ".dash", print_logs=False).run as experiment:
        experiment.params.set(model={"depth": 3}, name="x")
    shown = exp("params", "bob", "--dash-root", ".dash")
    assert [line.split() for line in shown.stdout.splitlines()[1:]] == [
        ["bob", "model.depth", "3"],
        ["bob", "name", "x"],
    ]
    (entry,) = exp("params", "bob", "--dash-root", ".dash", "--json").json["records"]
    assert entry["nested"] == {"model": {"depth": 3}, "name": "x"}


def test_params_as_csv_are_a_row_each(exp: Exp) -> None:
    """CSV has exact numbers and a row for each param; texts are guarded against spreadsheets unless raw."""
    with Experiment("bob", dash_root=exp.folder / ".dash", print_logs=False).run as experiment:
        experiment.params.set(a="=1+1", b=0.1 + 0.2, c=10**30, d=[1, None], e=None, f=True)
    of = ("params", "bob", "--dash-root", ".dash", "--format")
    rows = list(csv.reader(io.StringIO(exp(*of, "csv", "--raw").stdout)))
    assert rows[0] == ["prefix", "task", "param", "value"]
    assert [row[3] for row in rows[1:]] == ["=1+1", repr(0.1 + 0.2), str(10**30), "[1,null]", "", "true"]
    assert exp(*of, "csv").stdout.splitlines()[1] == "bob,,a,'=1+1"
    assert exp(*of, "json").json == exp(*of[:-1], "--json").json
    exp(*of, "table", "--raw", code=2)
    assert "must be one of table, csv, json" in exp(*of, "xml", code=2).stderr


def test_a_record_that_is_not_there_is_told(exp: Exp) -> None:
    """A prefix without a record is an error that says how to see what there is; a prefix has no tasks."""
    assert "exp records" in exp("params", "alice/none", code=3).stderr
    assert "has no tasks" in exp("params", "alice/none", "train", code=2).stderr
    exp("params", "../x", "--dash-root", ".", code=2)
