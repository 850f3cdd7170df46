from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from support.terminals import Terminal
from support.workspace import until

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = f"""
name: learned
prefix: alice/learned
tasks:
  one:
    inline: 'echo "loss=0.5 epoch=1"; echo "loss=0.25 epoch=2"; {until("go")}; echo "loss=nan epoch=3"'
    metrics: {{train: 'loss=(?P<loss>\\S+) epoch=(?P<epoch>\\d+)'}}
  two: {{inline: "true"}}
"""


@pytest.fixture(scope="module")
def learned(shared: Exp) -> Exp:
    """An experiment that is over, one of whose tasks measured something."""
    (shared.folder / "go").touch()
    shared("run", shared.spec(SPEC))
    return shared


def test_metrics_are_told_in_short(learned: Exp) -> None:
    """A line for each field of each series says how many values there are and what they come to."""
    lines = [line.split() for line in learned("metrics").stdout.splitlines()]
    assert lines == [
        ["RECORD", "METRIC", "COUNT", "LAST", "MIN", "MAX", "MEAN", "NAN"],
        ["one", "train/loss", "3", "nan", "0.25", "0.5", "0.375", "1"],
    ]
    assert "no metrics" in learned("metrics", "learned", "two").stderr
    assert learned("metrics", "alice/learned/one").stdout.splitlines()[1].split()[0] == "alice/learned/one"


def test_curves_are_drawn_into_a_file(learned: Exp) -> None:
    """By its ending the file is SVG, a page with it, or PNG; an old one is replaced; its size is said."""
    written = learned("metrics", "--plot-file", "loss.svg", "-k", "loss")
    assert written.stdout == "loss.svg\n"
    assert written.stderr.strip().endswith("K")
    svg = (learned.folder / "loss.svg").read_text()
    assert svg.startswith("<svg ")
    assert ">train/loss</text>" in svg
    learned("metrics", "--plot-file", "loss.svg", "--log")
    assert (learned.folder / "loss.svg").read_text() != svg
    learned("metrics", "--plot-file", "loss.html")
    assert "<svg " in (learned.folder / "loss.html").read_text()
    learned("metrics", "--plot-file", "loss.png")
    assert (learned.folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    for wrong, words in (
        (["--plot-file", "loss.pdf"], "must end with .svg, .html, .png"),
        (["--plot-file", "no/such/folder/a.svg"], "cannot write"),
        (["--plot-file", "a.svg", "--plot"], "cannot be combined with --plot"),
        (["--plot-file", "a.svg", "-f"], "cannot be combined with --follow"),
        (["--log"], "--log needs --plot-file"),
    ):
        assert words in learned("metrics", *wrong, code=2).stderr
    assert (
        "cannot be combined" in learned("metrics", "--plot-file", "a.svg", "--json", code=2).json["message"]
    )


def test_rows_are_told_in_each_form(learned: Exp) -> None:
    """The last rows as a table; all of them as CSV or JSON, in which what is not finite is kept."""
    table = [line.split()[1:] for line in learned("metrics", "-n", "2").stdout.splitlines()]
    assert table[1:] == [["epoch", "loss"], ["2", "0.25"], ["3", "nan"]]
    rows = list(csv.DictReader(io.StringIO(learned("metrics", "--format", "csv").stdout)))
    assert [(row["task"], row["series"], row["epoch"], row["loss"]) for row in rows] == [
        ("one", "train", "1", "0.5"),
        ("one", "train", "2", "0.25"),
        ("one", "train", "3", "nan"),
    ]
    document = learned("metrics", "--json", "-k", "loss").json
    (series,) = document["series"]
    assert [row["loss"] for row in series["rows"]] == [0.5, 0.25, "NaN"]
    assert series["rows"][0].keys() == {"_ts", "loss", "epoch", "_attempt", "_rank"}
    assert series["statistics"]["loss"]["mean"] == 0.375


def test_a_metric_that_nobody_measured_is_refused(learned: Exp) -> None:
    """A key that fits nothing is a mistake, told with the metrics there are, unless no metrics."""
    told = learned("metrics", "-k", "loss", "-k", "nope", code=2).stderr
    assert "there is no metric 'nope'" in told
    assert "there are: train/loss" in told
    assert learned("metrics", "--json", "-k", "nope", code=2).json["hint"] == "there are: train/loss"
    assert "no metrics" in learned("metrics", "learned", "two", "-k", "nope").stderr


def test_curves_are_drawn(learned: Exp) -> None:
    """--plot draws a picture for each key; it is for people."""
    shown = learned("metrics", "--plot").stdout
    assert shown.startswith("train/loss   one\n")
    assert "(epoch)" in shown
    assert "\x1b" not in shown
    assert "cannot be combined" in learned("metrics", "--plot", "--json", code=2).json["message"]
    learned("metrics", "--format", "xml", code=2)
    learned("metrics", "--follow", "--format", "csv", code=2)


def test_rows_are_followed_until_the_experiment_is_over(exp: Exp) -> None:
    """Rows come while the task runs, each once, as lines or as documents, and the end ends it."""
    exp("run", exp.spec(SPEC), "-d")
    lines = exp.start("metrics", "learned", "-f", "-n", "1")
    documents = exp.start("metrics", "learned", "one", "-f", "--json")
    assert lines.stdout is not None
    assert documents.stdout is not None
    first = json.loads(documents.stdout.readline())
    assert first["series"][0]["status"] == "RUNNING"
    begun = lines.stdout.readline()
    (exp.folder / "go").touch()
    rest, _ = lines.communicate(timeout=60)
    told, _ = documents.communicate(timeout=60)
    assert f"{begun}{rest}".splitlines()[-1] == "one | train: epoch=3 loss=nan"
    rows = [
        row
        for text in [json.dumps(first), *told.splitlines()]
        for row in json.loads(text)["series"][0]["rows"]
    ]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert (lines.returncode, documents.returncode) == (0, 0)


def test_curves_grow_on_a_terminal(exp: Exp) -> None:
    """On a terminal the picture is drawn while the task runs, in colour, and again as rows come."""
    exp("run", exp.spec(SPEC), "-d")
    terminal = Terminal([*exp.argv, "metrics", "learned", "-f", "--plot"], env=exp.env, cwd=exp.folder)
    terminal.until("train/loss")
    terminal.until("(epoch)")
    (exp.folder / "go").touch()
    assert terminal.end() == 0
    assert "\x1b[36m" in terminal.seen


def test_a_program_of_its_own_is_followed(exp: Exp) -> None:
    """A record that no experiment wrote is followed by its prefix until it is closed."""
    experiment = Experiment("bob/own", dash_root=exp.folder / ".dash", print_logs=False)
    experiment.run.start()
    experiment.metrics.log(loss=1.5)
    following = exp.start("metrics", "bob/own", "--dash-root", ".dash", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "(unnamed): loss=1.5\n"
    experiment.metrics("eval").log(loss=math.inf)
    experiment.run.complete()
    out, _ = following.communicate(timeout=60)
    assert out == "eval: loss=inf\n"


def test_an_interrupted_experiment_ends_the_following(exp: Exp) -> None:
    """Where nothing can come by itself any more, it says so and ends with the exit code for that."""
    waiting = "{{inline: 'echo loss=1; {}', metrics: {{train: 'loss=(?P<loss>\\S+)'}}}}".format(until("go"))
    tasks = f"{{one: {waiting}, two: {{command: [echo, hi], dependencies: [one]}}}}"
    exp("run", exp.spec(f"name: learned\ntasks: {tasks}\n"), "-d")
    following = exp.start("metrics", "learned", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "one | train: loss=1\n"
    psutil.Process(exp.status()["supervisor"]["pid"]).kill()
    (exp.folder / "go").touch()
    _, told = following.communicate(timeout=60)
    assert following.returncode == 9
    assert "exp resume" in told


def test_a_row_that_is_not_whole_is_told(exp: Exp) -> None:
    """The end of a file that was cut off is passed over and told on standard error."""
    root = exp.folder / ".dash"
    with Experiment("bob", dash_root=root, print_logs=False).run as experiment:
        experiment.metrics("train").log(loss=1)
    (path,) = root.glob("bob/.record/metrics/train/*.jsonl")
    path.write_text(path.read_text() + '{"_ts": 1')
    shown = exp("metrics", "bob", "--dash-root", ".dash")
    assert "train/loss" in shown.stdout
    assert "an incomplete row" in shown.stderr


def test_plotting_is_loaded_only_to_draw(learned: Exp) -> None:
    """The library that draws is not imported by a command that draws nothing."""
    argv = [sys.executable, "-X", "importtime", *learned.argv, "metrics"]
    told = subprocess.run(
        argv, env=learned.env, capture_output=True, text=True, timeout=60, check=True
    ).stderr
    assert "plotille" not in told


def test_a_time_that_no_calendar_has_ends_no_reader(exp: Exp) -> None:
    """Whatever time a row was given, each form shows the row; CSV has the number of seconds."""
    with Experiment("bob/early", dash_root=exp.folder / ".dash", print_logs=False).run as experiment:
        experiment.metrics().log(x=1, _ts=1e300).log(x=2, _ts=-5.5)
        assert experiment.metrics().described()["firstDataAt"] is None
        assert experiment.metrics().read()["data"][0]["createdAt"] is None
    for options in ((), ("-n", "9"), ("--json",), ("--plot",), ("-f",)):
        exp("metrics", "bob/early", "--dash-root", ".dash", *options)
    shown = exp("metrics", "bob/early", "--dash-root", ".dash", "--format", "csv").stdout
    assert [line.split(",")[5:] for line in shown.splitlines()[1:]] == [["1e+300", "1"], ["-5.5", "2"]]


def test_rows_without_numbers_are_named(exp: Exp) -> None:
    """A summary or curves that show nothing of a series name it, and say what shows its rows."""
    with Experiment("a/b", dash_root=exp.folder / "h", print_logs=False).run as program:
        program.metrics("texts").log(note="hello", step=1)
        program.metrics("axes").log(epoch=7)
        program.metrics("train").log(loss=1, note="mixed")
    words = ("metrics", "a/b", "--dash-root", "h")
    for options in ((), ("--plot",)):
        said = exp(*words, *options).stderr
        assert "rows without numbers: axes of a/b, texts of a/b\n" in said
        assert "-n 5" in said
        assert "--format csv" in said
        assert "texts of a/b, train of a/b\n" in exp(*words, *options, "-k", "note").stderr
        assert exp(*words, *options, "-k", "loss").stderr == ""
    for options in (("-n", "5"), ("--format", "csv"), ("--json",)):
        shown = exp(*words, *options)
        assert "hello" in shown.stdout
        assert shown.stderr == ""


def test_an_exact_key_is_followed_before_a_glob(exp: Exp) -> None:
    """With -f, too, a key that is the name of a field selects this field alone."""
    with Experiment("a/b", dash_root=exp.folder / "h", print_logs=False).run as program:
        program.metrics("m").log({"a*b": 3.5, "axb": 4.5, "l[0]": 5.5, "l0": 6.5})
        program.metrics("m").log({"axb": 7.5, "l0": 8.5})
    words = ("metrics", "a/b", "--dash-root", "h", "-k")
    for key, value in (("a*b", "3.5"), ("m/a*b", "3.5"), ("l[0]", "5.5")):
        assert exp(*words, key, "-f").stdout == f"m: {key.removeprefix('m/')}={value}\n"
        assert exp(*words, key, "-f", "--plot").stdout.count("a/b") == 1
        (_, line) = exp(*words, key).stdout.splitlines()
        assert line.split()[1:4] == [f"m/{key.removeprefix('m/')}", "1", value]
        assert exp(*words, key, "-n", "1", "--json").json["series"] == []
    assert exp(*words, "l*", "-f").stdout == "m: l[0]=5.5 l0=6.5\nm: l0=8.5\n"


def test_a_number_of_rows_is_positive(exp: Exp) -> None:
    """No rows are shown by no option; only before new ones they make sense."""
    exp("run", exp.spec("name: few\ntasks: {a: {inline: echo loss=1, metrics: {t: 'loss=(?P<loss>.+)'}}}"))
    for number in ("0", "-3", "x"):
        assert "must be a whole number, 1 or more" in exp("metrics", "few", "-n", number, code=2).stderr
    assert exp("metrics", "few", "-f", "-n", "0").stdout == ""


def test_a_new_attempt_is_announced_while_rows_are_followed(exp: Exp) -> None:
    """The steps that it repeats follow a line with its number."""
    inline = f"echo step=1 loss=$EXP_ATTEMPT; {until('go')}; test $EXP_ATTEMPT = 2"
    metrics = "{t: 'step=(?P<step>.) loss=(?P<loss>.)'}"
    task = f"{{inline: '{inline}', retry: {{limit: 1, delay: 0}}, metrics: {metrics}}}"
    exp("run", exp.spec(f"name: again\ntasks: {{one: {task}}}"), "-d")
    following = exp.start("metrics", "again", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "one | t: step=1 loss=1\n"
    (exp.folder / "go").touch()
    out, _ = following.communicate(timeout=60)
    assert out == "one | t: attempt 2:\none | t: step=1 loss=2\n"
