from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import pytest

from nemorun_cli.errors import LedgerError
from nemorun_cli.experiment.records import targets
from nemorun_cli.experiment.records.compare import compare, rows
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.access import reader, supervisor_api
from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt
from nemorun_cli.tracking.store import record_paths


def track(root: Path, prefix: str, **values: object) -> None:
    """A program that tracks one row."""
    with Experiment(prefix, dash_root=root, print_logs=False).run as program:
        program.metrics("t").log(values)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two experiments, of which one wrote three records, and programs that wrote into the same prefix."""
    for name, lr in (("e_1", 0.1), ("e_2", 0.2)):
        place = record_paths.place(tmp_path, f"s/{name}")
        opening = supervisor_api.open_run(place, TrackedAttempt(name), folder=".", about={})
        supervisor_api.set_params(place, opening.id, {"lr": lr})
        opening.release()
        monkeypatch.setenv("EXP_ID", name)
        monkeypatch.setenv("EXP_TASK", "train")
        track(tmp_path, f"s/{name}/train", loss=lr)
        track(tmp_path, "s/shared/train", loss=lr)
    monkeypatch.delenv("EXP_ID")
    monkeypatch.delenv("EXP_TASK")
    track(tmp_path, "s/shared/train", loss=9)
    return tmp_path


def test_a_record_is_divided_by_the_runs_that_wrote_it(study: Path) -> None:
    """Under a prefix, each run has rows of its own, with the params of its experiment."""
    found = [
        (row.of.experiment, row.of.label, row.params.get("lr"), row.statistic(("t", "loss"), "last"))
        for row in rows(targets.Target(root=study, prefix="s"))
    ]
    assert found == [
        ("e_1", "train", 0.1, 0.1),
        ("e_1", "s/shared/train", 0.1, 0.1),
        ("e_2", "train", 0.2, 0.2),
        ("e_2", "s/shared/train", 0.2, 0.2),
        (None, "s/shared/train", None, 9),
    ]


def test_the_experiment_above_a_prefix_gives_its_params(study: Path) -> None:
    """A prefix of a task finds the experiment's own record where it should be."""
    (row,) = rows(targets.Target(root=study, prefix="s/e_2/train"))
    assert (row.of.label, row.params) == ("train", {"lr": 0.2})


def test_without_a_report_nothing_is_left_out(study: Path) -> None:
    """A record that cannot be read is an error for callers that do not take messages."""
    (opening,) = (study / "s/e_1/train").rglob("openings/*.jsonl")
    opening.write_text("no opening\n")
    with pytest.raises(LedgerError):
        list(rows(targets.Target(root=study, prefix="s")))
    messages: list[str] = []
    assert len(list(rows(targets.Target(root=study, prefix="s"), report=messages.append))) == 4
    assert len(messages) == 1


@pytest.mark.parametrize("last", [None, "diverged", math.nan, True])
def test_a_run_that_ends_without_a_number_is_not_the_best(tmp_path: Path, last: object) -> None:
    """The last value has to be a finite number, although an earlier one is the smallest."""
    for name, values in (("a", [0.1, last]), ("b", [0.5, 0.4])):
        with Experiment(f"x/{name}", dash_root=tmp_path, print_logs=False).run as program:
            for value in values:
                program.metrics("t").log(loss=value)
            program.metrics("t").log(other=1)
    compared = compare(list(rows(targets.Target(root=tmp_path, prefix="x"))), best="loss:min")
    assert [row.of.record.prefix for row in compared.rows] == ["x/b"]
    assert compared.best is not None
    ((_, excluded),) = compared.best.excluded
    shown = "nan" if isinstance(last, float) else json.dumps(last)
    assert (excluded.reason, excluded.message) == ("not_finite", f"ended with t/loss {shown}")


def test_a_run_that_failed_before_its_first_metric_is_a_row(tmp_path: Path) -> None:
    """An empty record is compared too, and is among those that cannot be the best."""
    track(tmp_path, "x/good", loss=1)
    with pytest.raises(ValueError, match="no data"), Experiment("x/bad", dash_root=tmp_path).run:
        raise ValueError("no data")
    found = rows(targets.Target(root=tmp_path, prefix="x"))
    (row,) = compare(found, where=["status=FAILED"]).rows
    assert (row.of.label, row.statistics) == ("x/bad", {})
    chosen = compare(found, best="loss:min").best
    assert chosen is not None
    assert [(row.of.label, why.reason) for row, why in chosen.excluded] == [("x/bad", "status")]


def test_what_a_supervisor_measured_of_a_task_makes_no_run(tmp_path: Path) -> None:
    """A task that tracks nothing is no row, unless it failed; the experiment is the row then."""
    supervisor_api.open_run(
        record_paths.place(tmp_path, "s/e_1"), TrackedAttempt("e_1"), folder=".", about={}
    ).release()
    for task, status in (("prepare", "COMPLETED"), ("broken", "FAILED")):
        place = record_paths.place(tmp_path, f"s/e_1/{task}")
        opening = supervisor_api.open_attempt(place, TrackedAttempt("e_1", task, 1), {})
        measured = Path(place.metric("system"))
        measured.mkdir(parents=True)
        (measured / f"{opening}.1.jsonl").write_text('{"_ts": 1.0, "cpu": 1}\n')
        reader.close_openings(tmp_path, place.prefix, exp_id="e_1", status=status)
    assert [row.of.label for row in rows(targets.Target(root=tmp_path, prefix="s"))] == ["broken"]
    (row,) = rows(targets.Target(root=tmp_path, prefix="s/e_1/prepare"))
    assert (row.of.label, row.statistics) == ("e_1", {})


def test_rows_of_one_attempt_have_its_status_and_params(tmp_path: Path) -> None:
    """An attempt that failed cannot be the best, although a later one completed; later params are not its."""
    for lr, loss in ((0.1, 1), (0.2, 2)):
        with contextlib.suppress(ZeroDivisionError), Experiment("x/a", dash_root=tmp_path).run as program:
            program.params.set({"lr": lr, f"of_{loss}": True})
            program.metrics("t").log(loss=loss)
            if loss == 1:
                1 / 0  # noqa: B018 - what fails
    target = targets.Target(root=tmp_path, prefix="x")
    (first,), (second,) = rows(target, attempts=1), rows(target, attempts=2)
    assert (first.of.status, first.params) == ("FAILED", {"lr": 0.1, "of_1": True})
    assert (second.of.status, second.params) == ("COMPLETED", {"lr": 0.2, "of_1": True, "of_2": True})
    assert compare([first], best="loss:min").rows == []
    track(tmp_path, "x/b", loss=5)
    assert [row.of.label for row in rows(target, attempts=2)] == ["x/a"]
