from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import StateError
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.store.row_selection import downsample, mean, statistics


@dataclass
class Result:
    """Fields as users have them."""

    loss: float
    accuracy: float


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _steps(experiment: Experiment, **how: object) -> list[int]:
    return [row["step"] for row in experiment.metrics("m").read(**how)]  # type: ignore[arg-type] # each test gives what fits


def test_row_is_in_the_file_when_log_returns(experiment: Experiment) -> None:
    """What was logged is read at once, with the fields as they were given and the time."""
    metric = experiment.metrics("train")
    assert metric.log(loss=0.5, epoch=1) is metric
    (row,) = metric.read()
    assert row.pop("_ts") > 0
    assert row == {"loss": 0.5, "epoch": 1}


def test_fields_are_given_by_name_or_as_one_value(experiment: Experiment) -> None:
    """A mapping, a dataclass and keywords are all fields, and keywords win."""
    metric = experiment.metrics("m")
    metric.log({"loss": 1, "epoch": 1}, epoch=2)
    metric.log(Result(0.1, 0.9), step=3)
    assert metric.read(keys=["loss", "epoch", "accuracy", "step"]).columns() == {
        "loss": [1, 0.1],
        "epoch": [2, None],
        "accuracy": [None, 0.9],
        "step": [None, 3],
        "_ts": [row["_ts"] for row in metric.read()],
    }
    with pytest.raises(TypeError, match="mapping"):
        metric.log([1, 2])  # type: ignore[arg-type] # what is tested


def test_nested_mappings_go_to_their_series(experiment: Experiment) -> None:
    """`metrics.log(epoch=3, train={…}, eval={…})` is a row of each with the epoch, and an unnamed one."""
    experiment.metrics.log(epoch=3, train={"loss": 0.1}, eval={"loss": 0.2})
    assert experiment.metrics.names() == [None, "eval", "train"]
    assert experiment.metrics("train").last("epoch") == 3
    assert experiment.metrics("eval").last("loss") == 0.2
    assert experiment.metrics().last("epoch") == 3
    assert len({experiment.metrics(name).last("_ts") for name in (None, "train", "eval")}) == 1


def test_unnamed_series_is_no_name(experiment: Experiment) -> None:
    """A metric called None or @ is not the unnamed one."""
    experiment.metrics.log(x=0)
    experiment.metrics("None").log(x=1)
    experiment.metrics("@").log(x=2)
    assert [experiment.metrics(name).last("x") for name in (None, "None", "@")] == [0, 1, 2]


def test_time_is_given_or_that_of_the_row_before(experiment: Experiment) -> None:
    """`_ts` sets the time, and -1 takes that of this thread's last row, over metrics and tracks."""
    experiment.metrics("m").log(x=1, _ts=5.5)
    experiment.metrics("n").log(x=1, _ts=-1)
    experiment.tracks("t").append(x=1, _ts=-1)
    assert experiment.metrics("n").last("_ts") == 5.5
    assert experiment.tracks("t").read()[0]["timestamp"] == 5.5
    for bad in ("now", math.nan, None.__class__):
        with pytest.raises(TypeError, match="_ts"):
            experiment.metrics("m").log(x=1, _ts=bad)  # type: ignore[arg-type] # what is tested


def test_reading_selects(experiment: Experiment) -> None:
    """Rows are selected by index, step, time, keys and from the end."""
    for step in range(10):
        experiment.metrics("m").log(
            loss=step / 10, step=step, _ts=100.0 + step, **({"lr": 1} if step % 2 else {})
        )
    assert _steps(experiment, start_index=7) == [7, 8, 9]
    assert _steps(experiment, start_index=2, limit=3) == [2, 3, 4]
    assert _steps(experiment, step=4) == [4]
    assert _steps(experiment, step=(3, 5)) == [3, 4, 5]
    assert _steps(experiment, step=(None, 1)) == [0, 1]
    assert _steps(experiment, time=(107.5, None)) == [8, 9]
    assert _steps(experiment, tail=2) == [8, 9]
    assert _steps(experiment, keys=["lr", "step"], tail=3) == [7, 8, 9]
    assert [sorted(row) for row in experiment.metrics("m").read(keys=["lr"])] == [["_ts", "lr"]] * 5
    with pytest.raises(ValueError, match="negative"):
        experiment.metrics("m").read(-1)


def test_result_also_reads_as_ml_dash_has_it(experiment: Experiment) -> None:
    """`result["data"]` holds index, data and createdAt, and the other keys of ML-Dash are there."""
    for step in range(5):
        experiment.metrics("m").log(step=step)
    result = experiment.metrics("m").read(start_index=1, limit=2)
    assert [(point["index"], point["data"]["step"]) for point in result["data"]] == [(1, 1), (2, 2)]
    assert (result["startIndex"], result["endIndex"], result["total"], result["hasMore"]) == (1, 2, 2, True)
    with pytest.raises(KeyError):
        result["rows"]


def test_last_is_the_row_or_the_value(experiment: Experiment) -> None:
    """`last()` is the last row, `last(key)` the last value of a field however far back, else the default."""
    metric = experiment.metrics("m")
    assert metric.last() is None
    assert metric.last("epoch", -1) == -1
    metric.log(accuracy=0.9)
    for step in range(500):
        metric.log(step=step)
    assert metric.last()["step"] == 499
    assert metric.last("accuracy") == 0.9
    assert metric.last("epoch", 0) == 0


def test_stats_are_numbers(experiment: Experiment) -> None:
    """Of each field with numbers: last, min, max, mean, count; NaN is counted and spoils nothing."""
    for value in (1, 2.0, math.nan, 6):
        experiment.metrics("m").log(loss=value, name="x", best=True)
    assert experiment.metrics("m").stats() == {
        "loss": {"last": 6, "min": 1, "max": 6, "mean": 3.0, "count": 4, "nan": 1}
    }


def test_statistics_of_the_extremes() -> None:
    """Sums past the largest float and infinities give what they come to, and no error."""
    assert mean([1e308, 1e308]) == 1e308
    assert math.isnan(mean([math.inf, -math.inf]))
    assert statistics([{"x": math.inf}, {"x": 1}])["x"]["mean"] == math.inf
    assert math.isnan(statistics([{"x": math.nan}])["x"]["min"])


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=300), st.integers(2, 60))
def test_downsampling_keeps_the_ends_and_never_more_than_asked(values: list[float], count: int) -> None:
    """At most so many rows are left, in order, with the first and the last among them."""
    rows = [{"_ts": float(index), "loss": value} for index, value in enumerate(values)]
    kept = downsample(rows, count)
    assert len(kept) <= count
    assert kept[0] is rows[0]
    assert kept[-1] is rows[-1]
    moments = [row["_ts"] for row in kept]
    assert moments == sorted(set(moments))


def test_downsampling_keeps_a_spike(experiment: Experiment) -> None:
    """One bad step among a thousand is still seen in forty."""
    for step in range(1000):
        experiment.metrics("m").log(loss=99.0 if step == 637 else 0.1, step=step)
    read = experiment.metrics("m").read(downsample=40)
    assert len(read) <= 40
    assert 637 in [row["step"] for row in read]
    with pytest.raises(ValueError, match="2 or more"):
        experiment.metrics("m").read(downsample=1)


def test_description_of_a_metric_is_kept(experiment: Experiment) -> None:
    """Description, tags and metadata given with a name are read back, and flushing is nothing to do."""
    experiment.metrics("train", description="per step", tags=["a"], metadata={"unit": "nats"}).log(
        x=1
    ).flush()
    experiment.metrics("eval").log(x=1)
    about = {"name": "train", "description": "per step", "tags": ["a"], "metadata": {"unit": "nats"}}
    assert experiment.metrics.list_all() == [{"name": "eval"}, about]
    assert experiment.metrics("train").list_all() == experiment.metrics.flush().list_all()


def test_buffer_is_summarised(experiment: Experiment) -> None:
    """Buffered numbers become `loss.mean` and the like in one row of each series, and start afresh."""
    for number in (1.0, 2.0, 3.0, None, math.nan, 10.0):
        experiment.metrics("train").buffer(loss=number)
    experiment.metrics("eval").buffer(loss=7)
    assert experiment.metrics.buffer.peek("train", limit=2)["loss"][-1] == 10.0
    assert sorted(experiment.metrics.buffer.peek()) == ["eval/loss", "train/loss"]
    names = (
        "mean",
        "std",
        "min",
        "max",
        "count",
        "median",
        "sum",
        "first",
        "last",
        "p50",
        "p90",
        "p95",
        "p99",
    )
    experiment.metrics.buffer.log_summary(*names, step=5)
    row = experiment.metrics("train").last()
    expected = (4.0, 4.08248290463863, 1.0, 10.0, 4, 2.5, 16.0, 1.0, 10.0, 2.5, 7.9, 8.95, 9.79)
    assert [row[f"loss.{name}"] for name in names] == pytest.approx(expected)
    assert row["step"] == 5
    assert experiment.metrics("eval").last("loss.std") == 0.0
    experiment.metrics.buffer.log_summary()
    assert len(experiment.metrics("train").read()) == 1


def test_buffer_takes_numbers_only(experiment: Experiment) -> None:
    """What is no number is refused with its field, and nothing of that call is kept."""
    with pytest.raises(TypeError, match="name"):
        experiment.metrics("m").buffer(loss=1, name="x")  # type: ignore[arg-type] # what is tested
    assert experiment.metrics.buffer.peek() == {}
    with pytest.raises(ValueError, match=r"mode.*mean"):
        experiment.metrics.buffer.log_summary("mode")


def test_summary_cache_of_old(experiment: Experiment) -> None:
    """ML-Dash's older calls: store, set, summarize with and without clearing, peek."""
    cache = experiment.metrics("m").summary_cache
    cache.store(loss=1)
    cache.store(loss=3)
    cache.set(epoch=2)
    assert cache.peek("loss") == {"loss": [1.0, 3.0]}
    cache.summarize(clear=False)
    cache.store(loss=5)
    cache.summarize()
    cache.summarize()
    assert [row["loss.mean"] for row in experiment.metrics("m").read()] == [2.0, 3.0]
    assert experiment.metrics("m").last("epoch") == 2


def test_no_thread_and_no_descriptor_is_left(experiment: Experiment) -> None:
    """Closing the record closes its files."""
    for number in range(20):
        experiment.metrics(f"m{number}").log(x=1)
    before = _descriptors()
    experiment.run.complete()
    assert _descriptors() <= before - 20
    experiment.run.start()


def test_a_field_has_a_name(experiment: Experiment) -> None:
    """An empty one is refused, as in params, and nothing is written."""
    for call in (
        lambda: experiment.metrics("m").log({"": 1}),
        lambda: experiment.metrics.log({"": 1}),
        lambda: experiment.metrics.log(m={"": 1}),
        lambda: experiment.tracks("t").append({"": 1}),
    ):
        with pytest.raises(TypeError, match="name of a field is empty"):
            call()
    assert experiment.metrics.names() == []


def test_a_row_has_fields(experiment: Experiment, root: Path) -> None:
    """A call without any writes nothing, and still needs an open record."""
    for call in (
        lambda it: it.metrics("m").log(),
        lambda it: it.metrics("m").log({}),
        lambda it: it.metrics.log(),
        lambda it: it.metrics.log(m={}),
    ):
        call(experiment)
        with pytest.raises(StateError):
            call(Experiment("o/p/closed", dash_root=root))
    assert experiment.metrics.names() == []
