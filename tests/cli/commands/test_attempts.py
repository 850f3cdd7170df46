from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import find
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

TRAIN = """
import os, signal
from nemorun_cli import Experiment
attempt = int(os.environ["EXP_ATTEMPT"])
with Experiment().run as record:
    for step in range(16) if attempt == 1 else range(10, 20):
        fields = {"loss": 100 * attempt + step, "_own": step, "attempt": "mine", "_rank": "own"}
        record.metrics("train").log(fields, step=step)
    record.metrics("eval").log(accuracy=attempt)
    record.metrics("once").log(x=attempt, step=attempt) if attempt == 1 else None
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""
RANKS = """
import os, subprocess, sys, time
from nemorun_cli import Experiment
rank = os.environ.get("RANK")
if rank is None:
    ranks = [subprocess.Popen([sys.executable, __file__], env={**os.environ, "RANK": str(n)}) for n in (0, 1)]
    sys.exit(max([process.wait() for process in ranks] + [int(os.environ["EXP_ATTEMPT"] == "1")]))
with Experiment().run as record:
    for step in range(2):
        record.metrics("m").log(of=[int(os.environ["EXP_ATTEMPT"]), int(rank)], step=step)
    open(f"opened-{rank}-{os.environ['EXP_ATTEMPT']}", "w").close()
    while not os.path.exists(f"opened-{1 - int(rank)}-{os.environ['EXP_ATTEMPT']}"):
        time.sleep(0.005)
"""
SPEC = r"""
name: tried
prefix: alice/tried
tasks:
  output:
    inline: |
      if [ "$EXP_ATTEMPT" = 1 ]; then for i in 1 2 3; do echo "step $i loss -99$i"; done; exit 1; fi
      for i in 2 3; do echo "step $i loss 0.$i"; done
    retry: {limit: 1, delay: 0}
    metrics: {train: 'step (?P<step>\d+) loss (?P<loss>\S+)'}
"""


@pytest.fixture(scope="module")
def tried(shared: Exp) -> Exp:
    """An experiment whose tasks were retried, or killed and resumed, each with two attempts."""
    for name, text in {"train.py": TRAIN, "ranks.py": RANKS}.items():
        (shared.folder / name).write_text(text)
    command = json.dumps([sys.executable, str(shared.folder / "train.py")])
    ranks = json.dumps([sys.executable, str(shared.folder / "ranks.py")])
    tasks = (
        f"  killed: {{command: {command}}}\n  ranks: {{command: {ranks}, retry: {{limit: 1, delay: 0}}}}\n"
    )
    shared("run", shared.spec(SPEC + tasks), code=1)
    shared("resume", "tried")
    return shared


def _series(exp: Exp, *args: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of each series of a task."""
    document = exp("metrics", "tried", *args, "--json").json
    return {series["name"]: series["rows"] for series in document["series"]}


def test_a_task_that_was_killed_and_resumed_has_each_step_once(tried: Exp) -> None:
    """It was killed after step 15 and began again from step 10; a series that is not logged again stays."""
    rows = _series(tried, "killed")["train"]
    assert [row["loss"] for row in rows] == [*range(100, 110), *range(210, 220)]
    assert [row["_attempt"] for row in rows] == [1] * 10 + [2] * 10
    assert _series(tried, "killed")["eval"] == [{**_series(tried, "killed")["eval"][0], "accuracy": 2}]
    assert [row["x"] for row in _series(tried, "killed")["once"]] == [1]
    assert len(_series(tried, "killed", "-n", "12")["train"]) == 12
    lines = tried("metrics", "tried", "killed", "-k", "train/loss", "-f", "-n", "11").stdout.splitlines()
    assert [line.split()[1] for line in lines] == [f"step={step}" for step in range(9, 20)]


def test_rows_of_an_attempt_that_failed_count_nowhere(tried: Exp) -> None:
    """Of what a pattern found in the output, the row before the second attempt's first step remains."""
    (_, loss) = tried("metrics", "tried", "output").stdout.splitlines()
    assert loss.split() == ["output", "train/loss", "3", "0.3", "-991", "0.3", "-330.167", "-"]
    compared = tried("compare", "tried", "--task", "output", "-k", "loss:min", "--format", "csv").stdout
    assert compared.splitlines()[-1].endswith(",-991")
    data = Experiment("alice/tried/output", dash_root=tried.home / "dash").metrics("train")
    assert [row["loss"] for row in data.read()] == [-991, 0.2, 0.3]
    assert (data.last("loss"), data.stats()["loss"]["count"]) == (0.3, 3)
    assert data.list_all()[0]["totalDataPoints"] == 3


def test_superseded_rows_come_back(tried: Exp) -> None:
    """--attempt and --all-attempts show them, with their origin; so does Python."""
    assert len(_series(tried, "killed", "--attempt", "1")["train"]) == 16
    assert len(_series(tried, "killed", "--all-attempts")["train"]) == 26
    table = tried("metrics", "tried", "output", "--all-attempts", "-n", "9").stdout.splitlines()
    assert [line.split()[1:3] for line in table[1:]] == [
        ["ATTEMPT", "step"], ["1", "1"], ["1", "2"], ["1", "3"], ["2", "2"], ["2", "3"]
    ]  # fmt: skip
    for options, least in ((("--attempt", "1"), "-993"), (("--all-attempts",), "-993"), ((), "-991")):
        compared = tried(
            "compare", "tried", "-k", "loss:min", "--format", "csv", "--task", "output", *options
        )
        assert compared.stdout.splitlines()[-1].endswith(f",{least}")
    data = Experiment("alice/tried/output", dash_root=tried.home / "dash").metrics("train")
    assert [(row["_attempt"], row["loss"]) for row in data.read(attempts=1)] == [
        (1, -991),
        (1, -992),
        (1, -993),
    ]
    assert [row["_attempt"] for row in data.read(attempts="all", keys=["loss"])] == [1, 1, 1, 2, 2]
    assert data.read(attempts=2, keys="loss")[-1].keys() == {"loss", "_ts", "_attempt", "_rank"}
    assert (data.last("loss", attempts=1), data.stats(attempts="all")["loss"]["count"]) == (-993, 5)
    (series,) = find("tried", home=tried.home).metrics("output", attempts=1)["series"]
    assert [row["_attempt"] for row in series["rows"]] == [1, 1, 1]
    assert "_attempt" not in data.read()[0]
    assert "_attempt" not in data.stats(attempts="all")


def test_a_choice_of_attempts_that_selects_nothing_is_refused(tried: Exp) -> None:
    """The message lists the attempts there are; the two options exclude each other."""
    refused = tried("metrics", "tried", "output", "--attempt", "3", code=3).stderr
    assert "there is no attempt 3" in refused
    assert "there are: 1, 2" in refused
    for words in (("tried",), ("tried", "--task", "output"), ("alice/tried/",), ("tried", "tried")):
        refused = tried("compare", *words, "--attempt", "3", "--json", code=3)
        assert refused.json["hint"] == "there are: 1, 2"
    assert "cannot be combined" in tried("metrics", "--attempt", "1", "--all-attempts", code=2).stderr
    assert "numbered from 1" in tried("compare", "--attempt", "0", code=2).stderr


def test_curves_do_not_run_back_over_themselves(tried: Exp) -> None:
    """There is one curve for the rows that count, and one for each attempt if all are wanted."""
    assert tried("metrics", "tried", "killed", "--plot", "-k", "train/loss").stdout.startswith(
        "train/loss   killed\n"
    )
    shown = tried("metrics", "tried", "killed", "--plot", "-k", "train/loss", "--all-attempts").stdout
    assert shown.startswith("train/loss   a killed attempt 1   b killed attempt 2\n")
    live = tried("metrics", "tried", "killed", "--plot", "-f", "-k", "train/loss").stdout
    assert live.startswith("train/loss   killed\n")


def test_ranks_do_not_supersede_each_other(tried: Exp) -> None:
    """All ranks of the last attempt count; rows name their rank."""
    rows = _series(tried, "ranks")["m"]
    assert sorted((row["of"], row["step"]) for row in rows) == [
        ([2, rank], step) for rank in (0, 1) for step in (0, 1)
    ]
    assert {row["_rank"] for row in rows} == {0, 1}
    assert all(row["of"] == [row["_attempt"], row["_rank"]] for row in rows)
    assert len(_series(tried, "ranks", "--all-attempts")["m"]) == 8


def test_a_program_s_own_fields_are_told_from_those_of_the_attempt(tried: Exp) -> None:
    """Columns of CSV for the attempt and the rank come first; own fields of such names get an underscore."""
    shown = tried("metrics", "tried", "killed", "-k", "train", "--format", "csv").stdout
    assert shown.splitlines()[0] == "prefix,task,series,attempt,rank,time,step,loss,_own,attempt_,_rank"
    first = next(csv.DictReader(io.StringIO(shown)))
    assert (first["attempt"], first["attempt_"], first["rank"], first["_rank"]) == ("1", "mine", "", "own")
    row = _series(tried, "killed")["train"][0]
    assert (row["_attempt"], row["attempt"], row["_rank"], row["__rank"]) == (1, "mine", None, "own")


def test_fields_with_an_underscore_are_shown(tried: Exp) -> None:
    """Readers hide only what the product itself wrote: the place in the output."""
    assert "train/_own" in tried("metrics", "tried", "killed").stdout
    assert _series(tried, "output")["train"][0].keys() == {"_ts", "step", "loss", "_attempt", "_rank"}


def test_a_damaged_line_ends_no_command(exp: Exp) -> None:
    """Each command shows the rest, names the line on standard error, and succeeds."""
    with Experiment("alice/a", dash_root=exp.folder / ".dash", print_logs=False).run as experiment:
        for number in range(3):
            experiment.metrics("train").log(loss=number)
            experiment.params.set(**{f"p{number}": number})
            experiment.files.save_text("text", to=f"{number}.txt")
    damaged = [
        _damage(exp.folder / ".dash/alice/a/.record" / kind) for kind in ("metrics/train", "params", "files")
    ]
    opening = _damage(exp.folder / ".dash/alice/a/.record/openings")
    for command, shown, hidden, path in (
        ("metrics", "train/loss      2", "", damaged[0]),
        ("params", "p2", "p1", damaged[1]),
        ("files", "2.txt", "1.txt", damaged[2]),
        ("compare", "train/loss", "p1", damaged[0]),
        ("records", "alice/a", "no record", opening),
    ):
        result = exp(command, "alice/a", "--dash-root", ".dash")
        assert shown in result.stdout
        assert not hidden or hidden not in result.stdout
        assert f"ignored {path}:2: not a row" in result.stderr


def test_what_cannot_be_read_hides_no_other(exp: Exp) -> None:
    """A record, or a series, that cannot be read is named, and the others are shown; alone it is an error."""
    root = exp.folder / ".dash"
    for name in ("good", "bad"):
        with Experiment(f"alice/{name}", dash_root=root, print_logs=False).run as experiment:
            experiment.metrics("a").log(x=1)
            experiment.metrics("b").log(y=1)
            experiment.params.set(lr=1)
    (opening,) = root.glob("alice/bad/.record/openings/*.jsonl")
    opening.write_text("rubbish\n")
    for command in ("metrics", "params", "compare", "files"):
        result = exp(command, "alice", "--dash-root", ".dash")
        assert f"{opening}:1" in result.stderr
        assert command == "files" or "alice/good" in result.stdout
        assert f"{opening}:1" in exp(command, "alice/bad", "--dash-root", ".dash", code=7).stderr
    (series,) = root.glob("alice/good/.record/metrics/a/*.jsonl")
    series.unlink()
    os.mkfifo(series)
    result = exp("metrics", "alice/good", "--dash-root", ".dash")
    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == ["b/y"]
    assert str(series) in result.stderr
    shutil.rmtree(series.parent.parent / "b")
    exp("metrics", "alice/good", "--dash-root", ".dash", code=7)


def _damage(folder: Path) -> Path:
    """Replace the second line of the file in a folder by what a crash leaves."""
    (path,) = folder.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\0" * 20 + b"\n", *lines[2:]]))
    return path
