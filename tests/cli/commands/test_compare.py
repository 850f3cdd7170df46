from __future__ import annotations

import csv
import io
import json
import math
import statistics
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.store import json_values

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: swept
prefix: alice/swept
params: {epochs: 3, note: "a|b"}
tasks:
  train:
    inline: 'echo "loss=$1"'
    args: ["${{ matrix.lr }}"]
    matrix: {lr: [0.3, 0.1, 0.2]}
    metrics: {train: 'loss=(?P<loss>\\S+)'}
  report: {inline: "true", dependencies: [train]}
"""


@pytest.fixture(scope="module")
def swept(shared: Exp) -> Exp:
    """A sweep that is over."""
    shared("run", shared.spec(SPEC))
    return shared


def cells(text: str) -> list[list[str]]:
    """A table by lines and words."""
    return [line.split() for line in text.splitlines()]


def test_the_tasks_of_a_sweep_are_compared(swept: Exp) -> None:
    """Each task that recorded something is a row; params that are the same everywhere are left out."""
    assert cells(swept("compare", "swept", "--sort", "loss").stdout) == [
        ["RECORD", "STATUS", "lr", "train/loss"],
        ["train/lr=0.1", "COMPLETED", "0.1", "0.1"],
        ["train/lr=0.2", "COMPLETED", "0.2", "0.2"],
        ["train/lr=0.3", "COMPLETED", "0.3", "0.3"],
    ]
    best = cells(swept("compare", "--best", "loss:max", "--all-params").stdout)
    assert best[1][:5] == ["train/lr=0.3", "COMPLETED", "3", "a|b", "0.3"]
    assert len(cells(swept("compare", "--task", "train/lr=0.1").stdout)) == 2
    assert len(cells(swept("compare", "alice/swept", "--where", "loss<=0.2").stdout)) == 3


def test_experiments_are_compared(exp: Exp) -> None:
    """Rows of several experiments are told apart, and by the params of their experiments."""
    exp("run", exp.spec(SPEC))
    exp("run", exp.spec(SPEC), "-p", "epochs=5")
    ids = [one["id"] for one in exp("list", "--json").json["experiments"]]
    rows = cells(exp("compare", *ids, "--sort", "epochs", "--limit", "4", "--where", "lr=0.1").stdout)
    assert rows[0] == ["EXPERIMENT", "RECORD", "STATUS", "epochs", "train/loss"]
    assert [(row[0], row[3]) for row in rows[1:]] == [(ids[1], "3"), (ids[0], "5")]


def test_a_comparison_is_written_in_each_form(swept: Exp) -> None:
    """CSV and Markdown hold the table, JSON all params and all that the metrics come to."""
    rows = list(csv.reader(io.StringIO(swept("compare", "--format", "csv", "--sort", "lr").stdout)))
    assert rows[:2] == [["RECORD", "STATUS", "lr", "train/loss"], ["train/lr=0.1", "COMPLETED", "0.1", "0.1"]]
    markdown = swept("compare", "--format", "markdown", "--sort", "lr", "--all-params").stdout.splitlines()
    assert markdown[0] == "| RECORD | STATUS | epochs | note | lr | train/loss |"
    assert markdown[2] == r"| train/lr=0.1 | COMPLETED | 3 | a\|b | 0.1 | 0.1 |"
    document = swept("compare", "--json", "--best", "loss:min").json
    assert document["differing"] == ["lr"]
    (row,) = document["rows"]
    assert row["params"] == {"epochs": 3, "note": "a|b", "lr": 0.1}
    assert row["metrics"]["train/loss"]["min"] == 0.1
    swept("compare", "--format", "xml", code=2)


def test_a_run_whose_tasks_recorded_nothing_is_compared_by_its_params(exp: Exp) -> None:
    """An experiment without records of tasks is a row itself."""
    exp("run", exp.spec("name: a\nparams: {x: 1}\ntasks: {a: {command: [echo, hi]}}"))
    assert cells(exp("compare").stdout)[1][1:] == ["COMPLETED", "1"]


@pytest.mark.parametrize("condition", ["lr=<1", "lr=>1", "lr<>1", "lr=!1", "lr"])
def test_a_condition_that_is_mistyped_is_refused(swept: Exp, condition: str) -> None:
    """What is no comparison is refused with the operators there are, instead of fitting nothing."""
    told = swept("compare", "--where", condition, code=2).stderr
    assert f"--where {condition}: not a condition" in told
    assert "the operators are =, ==, !=, <, <=, > and >=" in told


def test_a_status_that_no_record_can_have_is_refused(swept: Exp) -> None:
    """A word that is no status fails with the words there are; that of tasks means that of records."""
    refused = swept("compare", "--where", "status=SUCCESSFUL", code=2).stderr
    assert "records have no such status" in refused
    assert "there are: RUNNING, COMPLETED, FAILED" in refused
    assert swept("compare", "--where", "status!=FAILED").stdout
    assert len(cells(swept("compare", "--where", "status=SUCCEEDED").stdout)) == 4
    assert len(cells(swept("compare", "--where", "status=completed").stdout)) == 4


def test_the_words_for_success_are_one_in_every_filter(swept: Exp) -> None:
    """SUCCEEDED and COMPLETED select the same experiments and records, in any case."""
    for words in (("list", "-q"), ("records", "-q")):
        expected = swept(*words, "--status", "COMPLETED").stdout
        assert expected
        assert swept(*words, "--status", "succeeded").stdout == expected


ENDS = """
name: ends
prefix: alice/ends
tasks:
  t:
    inline: 'for v in $1; do echo "loss=$v"; done; exit $2'
    args: ["${{ params.runs[matrix.m][0] }}", "${{ params.runs[matrix.m][1] }}"]
    matrix: {m: [good, twin, nan, bad, silent]}
    metrics: {t: 'loss=(?P<loss>\\S+)'}
params:
  runs: {good: ["0.5 0.3", 0], twin: ["0.4 0.3", 0], nan: ["0.1 nan", 0], bad: ["0.2", 3], silent: ["x", 0]}
"""


@pytest.fixture(scope="module")
def ended(shared: Exp) -> Exp:
    """A sweep of which two members are the best and three cannot be."""
    shared("run", shared.spec(ENDS, "ends.yaml"), code=1)
    return shared


def test_the_best_completed_and_ended_with_a_number(ended: Exp) -> None:
    """Who was left out, and who is as good, is said, and is in the document."""
    result = ended("compare", "ends", "--best", "loss", "--goal", "minimize", "--json")
    document = result.json
    assert [row["task"] for row in document["rows"]] == ["t/m=good"]
    assert document["best"] == {"metric": "t/loss", "goal": "minimize"}
    assert [row["task"] for row in document["ties"]] == ["t/m=twin"]
    reasons = {row["task"]: row["reason"] for row in document["excluded"]}
    assert reasons == {"t/m=nan": "not_finite", "t/m=bad": "status", "t/m=silent": "missing"}
    assert "t/m=bad is FAILED" in result.stderr
    assert "t/m=nan ended with t/loss nan" in result.stderr
    assert "as good as the best: " in result.stderr
    (row,) = ended("compare", "ends", "--best", "loss:max", "--json").json["rows"]
    assert row["task"] == "t/m=good"


def test_nobody_qualifies(ended: Exp) -> None:
    """Where no record can be the best, there is no row, the reasons are said, and the code is 3."""
    result = ended("compare", "ends", "--where", "status=FAILED", "--best", "loss:min", "--json", code=3)
    assert result.json["rows"] == []
    assert len(result.json["excluded"]) == 1
    assert "no record qualifies as the best by t/loss:min" in result.stderr
    assert "hint: for records in any state: --sort t/loss:min --limit 1" in result.stderr
    ended("compare", "ends", "--where", "m=none", "--best", "loss:min", code=3)
    assert "m is good, twin" in ended("compare", "ends", "--where", "m=none", "--json").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--best", "loss"], "the direction is missing"),
        (["--best", "loss:mean"], "the direction is missing"),
        (["--best", "loss:count", "--goal", "maximize"], "a count is not compared"),
        (["--best", "m", "--goal", "maximize"], "'m' is a param, not a metric"),
        (["--best", "loss", "--goal", "max"], "must be one of minimize, maximize"),
        (["--goal", "maximize"], "--goal needs --best KEY"),
        (["--over", "m"], "--over needs --group-by PARAM"),
        (["--group-by", "m", "--all-params"], "cannot be combined"),
    ],
)
def test_a_best_that_is_not_one_is_refused(ended: Exp, arguments: list[str], message: str) -> None:
    """A missing or wrong direction, and what is no metric, is wrong usage."""
    assert message in ended("compare", "ends", *arguments, code=2).stderr


def test_a_prefix_is_a_study(exp: Exp) -> None:
    """Experiments and programs under a prefix have a row for each run, with params and metrics."""
    for lr in (0.1, 0.5):
        exp("run", exp.spec(STUDY), "-p", f"lr={lr}", "--set", f"prefix=alice/study/{lr}")
    with Experiment("alice/study/by/hand", dash_root=exp.home / "dash", print_logs=False).run as program:
        program.params.set(lr=0.9)
        program.metrics("t").log(acc=1.0)
    rows = exp("compare", "alice/study/", "--json").json["rows"]
    shown = [(row["task"], row["params"].get("lr"), row["metrics"]["t/acc"]["last"]) for row in rows]
    assert shown == [("train", 0.1, 0.1), ("train", 0.5, 0.5), (None, 0.9, 1.0)]
    ids = [row["experiment"] for row in rows[:2]]
    assert exp("compare", *ids, "--json").json["rows"] == rows[:2]
    assert exp("compare", "alice/study/", "alice/study/0.1", ids[1], "--json").json["rows"] == rows
    (row,) = exp("compare", "alice/study/0.5/train", "--json").json["rows"]
    assert row["params"] == {"lr": 0.5, "seed": 1}
    damaged = next((exp.home / "dash/alice/study/0.1/train").rglob("openings/*.jsonl"))
    damaged.write_text("no opening\n")
    result = exp("compare", "alice/study/", "--json")
    assert "alice/study/0.1/train: " in result.stderr
    assert [row["params"]["lr"] for row in result.json["rows"]] == [0.1, 0.5, 0.9]


def test_curves_are_those_of_the_best(exp: Exp) -> None:
    """With more records than colours, the leading ones are drawn, and who is left out is said."""
    spec = """
name: many
tasks:
  t:
    inline: 'echo "loss=$1"; echo "loss=1 acc=$1"; test "$1" != 1'
    args: ["${{ matrix.v }}"]
    matrix: {v: [9, 8, 7, 6, 5, 4, 3, 2, 1]}
    metrics: {t: ['loss=(?P<loss>\\S+)', 'acc=(?P<acc>\\S+)']}
"""
    exp("run", exp.spec(spec), code=1)
    plain = exp("metrics", "many", "-k", "loss", "--plot")
    assert "a t/v=9   b t/v=8" in plain.stdout
    assert "note: 2 of 9 records are not drawn" in plain.stderr
    best = exp("metrics", "many", "-k", "acc", "--plot", "--best", "loss:max", "--goal", "minimize")
    assert "t/acc   a t/v=2   b t/v=3" in best.stdout
    assert "t/v=1 is FAILED" in best.stderr
    assert "the 7 best of 8 by loss:max are drawn" in best.stderr
    following = exp("metrics", "many", "--plot", "-f", "--best", "acc", "--goal", "minimize")
    assert "t/acc   a t/v=2   b t/v=3" in following.stdout
    assert not exp("metrics", "many", "t/v=9", "--plot").stderr
    for refused in (["--best", "acc:min"], ["--plot", "--goal", "minimize"], ["--plot", "--best", "acc"]):
        exp("metrics", "many", *refused, code=2)


STUDY = """
name: study
params: {lr: 0.1, seed: 1}
tasks:
  train: {inline: 'echo "acc=$1"', args: ["${{ params.lr }}"], metrics: {t: 'acc=(?P<acc>\\S+)'}}
"""


def test_groups_are_written_in_each_form(shared: Exp) -> None:
    """The table shows mean, deviation and what was not averaged; the other forms round nothing."""
    values = {("a", 1): 0.1234567891, ("a", 2): 0.5, ("b", 1): math.nan, ("b", 2): 2.0}
    for (model, seed), value in values.items():
        with Experiment(f"g/{model}{seed}", dash_root=shared.home / "d", print_logs=False).run as program:
            program.params.set(model=model, seed=seed, sizes=[1, 2])
            program.metrics("t").log(acc=value)
    command = ("compare", "g/", "--dash-root", shared.home / "d", "--group-by", "model")
    table = shared(*command, "--over", "seed")
    assert cells(table.stdout) == [
        ["model", "RUNS", "STATUS", "t/acc"],
        ["a", "2", "COMPLETED", "0.311728", "±0.27"],
        ["b", "2", "COMPLETED", "2", "(n=1)"],
    ]
    assert "t/acc: 1 not finite" in table.stderr
    assert "averaged over seed" in shared(*command).stderr
    (row, *_) = csv.DictReader(io.StringIO(shared(*command, "--format", "csv").stdout))
    assert float(row["t/acc mean"]) == statistics.fmean([0.1234567891, 0.5])
    assert float(row["t/acc std"]) == pytest.approx(statistics.stdev([0.1234567891, 0.5]))
    assert row["t/acc n"] == "2"
    assert "0.31172839455" in shared(*command, "--format", "markdown").stdout
    document = shared(*command, "--json", "--best", "acc", "--goal", "maximize").json
    (group,) = document["groups"]
    assert group["params"] == {"model": "b"}
    assert [row["params"]["seed"] for row in document["rows"]] == [2]


def test_what_programs_read_is_not_rounded(shared: Exp) -> None:
    """CSV and Markdown have every digit, NaN and infinities, and lists as JSON."""
    root = shared.home / "e"
    values = {"x": 0.9123456789, "y": 1234567.25, "big": 2**70, "nan": math.nan, "inf": -math.inf}
    for name, lr in (("one", 0.00012345678), ("two", 2.0)):
        with Experiment(f"r/{name}", dash_root=root, print_logs=False).run as program:
            program.params.set(lr=lr, sizes=[name, 1])
            program.metrics("m").log(values)
    out = shared("compare", "r/", "--dash-root", root, "--format", "csv").stdout
    row = next(csv.DictReader(io.StringIO(out)))
    assert {key: float(row[f"m/{key}"]) for key in ("x", "y", "inf")} == {
        key: values[key] for key in ("x", "y", "inf")
    }
    assert (row["m/nan"], row["m/big"], row["lr"]) == ("nan", str(2**70), "0.00012345678")
    assert json.loads(row["sizes"]) == ["one", 1]
    assert "| 0.00012345678 |" in shared("compare", "r/", "--dash-root", root, "--format", "markdown").stdout


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@settings(
    max_examples=amount(6, long=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    params=st.dictionaries(
        st.text("ab=", min_size=1, max_size=3), PLAIN | st.lists(PLAIN, max_size=2), max_size=3
    ),
    numbers=st.dictionaries(st.text("xy:/", min_size=1, max_size=3), st.integers() | st.floats(), max_size=3),
)
def test_what_was_recorded_is_given_back(
    exp: Exp, params: dict[str, object], numbers: dict[str, float]
) -> None:
    """Params and last values are equal in JSON, and in CSV with --raw, to those that were recorded."""
    root = exp.home / f"{len(list(exp.home.glob('*')))}"
    with Experiment("p/q", dash_root=root, print_logs=False).run as program:
        program.params.set(**{f"p{name}": value for name, value in params.items()}, last=1)
        program.metrics("m").log({f"v{name}": value for name, value in numbers.items()} | {"one": 1})
    command = ("compare", "p/", "--dash-root", root, "--all-params")
    (row,) = json_values.load(exp(*command, "--json").stdout)["rows"]
    (cells_of,) = csv.DictReader(io.StringIO(exp(*command, "--format", "csv", "--raw").stdout, newline=""))
    for name, value in params.items():
        assert same(row["params"][f"p{name}"], value)
        assert same(of_text(cells_of[f"p{name}"], value), value)
    for name, value in numbers.items():
        assert same(row["metrics"][f"m/v{name}"]["last"], value)
        assert same(of_text(cells_of[f"m/v{name}"], value), value)


def same(first: object, second: object) -> bool:
    """Whether two values are equal, NaN included."""
    return json_values.dump(first) == json_values.dump(second)


def of_text(text: str, value: object) -> object:
    """A cell as a value of the kind of `value`."""
    if value is None or isinstance(value, str):
        return text or (None if value is None else "")
    return float(text) if isinstance(value, float) else json_values.load(text)


def test_metrics_with_one_key_are_all_reached(shared: Exp) -> None:
    """Each is a column, and is selected, sorted and drawn by the key that is shown."""
    root = shared.home / "f"
    for name, value in (("one", 1.0), ("two", 2.0)):
        with Experiment(f"k/{name}", dash_root=root, print_logs=False).run as program:
            program.metrics.log({"train/loss": value, "a*b": 7.0, "a-b": 8.0})
            program.metrics("train").log(loss=-value)
            program.metrics("a").log({"b/c": value})
            program.metrics("a/b").log(c=-value)
    where = ("k/", "--dash-root", root)
    keys = {"train/loss": -2.0, "./train%2Floss": 2.0, "a/b%2Fc": 2.0, "a%2Fb/c": -2.0}
    rows = shared("compare", *where, "--json").json["rows"]
    assert {key: rows[1]["metrics"][key]["last"] for key in keys} == keys
    header = next(csv.reader(io.StringIO(shared("compare", *where, "--format", "csv").stdout)))
    assert set(keys) <= set(header)
    for key, value in keys.items():
        assert cells(shared("compare", *where, "-k", key, "--where", f"{key}={value}").stdout)[1:] == [
            ["k/two", "COMPLETED", f"{value:g}"]
        ]
        best = shared("compare", *where, "--best", f"{key}:max").stdout
        assert cells(best)[1][0] == ("k/two" if value > 0 else "k/one")
        names = [row[1] for row in cells(shared("metrics", *where, "-k", key).stdout)[1:]]
        assert len(names) == 2
        assert shared("metrics", *where, "-k", key, "--plot").stdout
    assert (
        "matches several metrics: a/b%2Fc, a%2Fb/c"
        in shared("compare", *where, "--sort", "a/b/c", code=2).stderr
    )
    summary = {row[1] for row in cells(shared("metrics", *where).stdout)[1:]}
    assert set(keys) <= summary
    assert {row[1] for row in cells(shared("metrics", *where, "-k", "a*b").stdout)[1:]} == {"a*b"}


def test_a_damaged_record_hides_no_other_one(shared: Exp) -> None:
    """Under a prefix it is named, and left out if it cannot be read; if nothing can be, it is the error."""
    root = shared.home / "h"
    for name in ("one", "two"):
        with Experiment(f"d/{name}", dash_root=root, print_logs=False).run as program:
            program.metrics("train").log(loss=1.0)
            program.params.set(name=name)
    (params,) = (root / "d/one/.record/params").rglob("*.jsonl")
    params.write_text("no row\n{}\n")
    result = shared("compare", "d/", "--dash-root", root, "--json")
    rows = [(row["prefix"], row["params"], len(row["metrics"])) for row in result.json["rows"]]
    assert rows == [("d/one", {}, 1), ("d/two", {"name": "two"}, 1)]
    assert f"ignored {params}:1: " in result.stderr
    (opening,) = (root / "d/one").rglob("openings/*.jsonl")
    opening.write_text("no opening\n")
    result = shared("compare", "d/", "--dash-root", root, "--json")
    assert [row["prefix"] for row in result.json["rows"]] == ["d/two"]
    assert "d/one: " in result.stderr
    shared("compare", "d/one", "--dash-root", root, code=7)


def test_a_text_that_looks_like_a_number_is_quoted(exp: Exp) -> None:
    """No two rows of groups look the same, in no format; a table of records shows the difference, too."""
    for name, lr in (("a", 0.1), ("b", "0.1"), ("c", "x")):
        with Experiment(f"q/{name}", dash_root=exp.home / "dash", print_logs=False).run as program:
            program.params.set(lr=lr)
    grouped = exp("compare", "q/", "--group-by", "lr").stdout
    assert [row[0] for row in cells(grouped)] == ["lr", "0.1", '"0.1"', "x"]
    csv_text = exp("compare", "q/", "--group-by", "lr", "--format", "csv").stdout
    assert [row[1] for row in csv.reader(io.StringIO(csv_text))] == ["lr", "0.1", '"0.1"', "x"]
    assert [row[2] for row in cells(exp("compare", "q/").stdout)] == ["lr", "0.1", '"0.1"', "x"]
    assert [row[2] for row in csv.reader(io.StringIO(exp("compare", "q/", "--format", "csv").stdout))][
        2
    ] == "0.1"
    assert "write it as one: q/a/t" in exp("compare", "q/a/", "--task", "t", code=2).stderr


def test_reasons_of_several_rows_have_a_plural(exp: Exp) -> None:
    """A note about several rows is a correct sentence."""
    for name in ("a", "b"):
        program = Experiment(f"p/{name}", dash_root=exp.home / "dash", print_logs=False).run
        program.start().metrics("t").log(loss=1)
        program.fail()
    assert "p/a, p/b are FAILED" in exp("compare", "p/", "--best", "loss:min", code=3).stderr


def test_tasks_that_only_the_machine_measured_are_mentioned(exp: Exp) -> None:
    """Without other metrics, the experiment is the row, and a hint names the key of what was measured."""
    measured = "$EXP_DASH_ROOT/$EXP_PREFIX/$EXP_TASK/.record/metrics/system"
    task = f"{{inline: 'until test -e {measured}; do sleep 0.05; done'}}"
    exp("run", exp.spec(f"name: used\ntracking: {{system: 1s}}\ntasks: {{a: {task}}}"))
    compared = exp("compare", "used")
    assert len(cells(compared.stdout)) == 2
    assert "hint: no metrics but those of the machine; see: -k system/memory:max" in compared.stderr
    assert cells(exp("compare", "used", "-k", "system/memory:max").stdout)[1][0] == "a"
