"""Buffered numbers: what is buffered, where, and what closing the record logs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from nemorun_cli.errors import StateError
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.metric_buffers import AGGREGATIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Odd:
    """A value that shows and converts itself as badly as possible."""

    def __float__(self) -> NoReturn:
        raise ZeroDivisionError

    __repr__ = __float__  # type: ignore[assignment] # what is tested


@pytest.mark.parametrize(
    "value", ["0.5", b"1", [1], 10**400, object(), Odd()], ids=lambda value: type(value).__name__
)
def test_what_is_no_number_is_not_buffered(experiment: Experiment, value: Any) -> None:
    """Texts are refused, and what `float` cannot take, whatever it raises; the buffers stay as they were."""
    metric = experiment.metrics("m")
    for keep in (metric.buffer, metric.summary_cache.store):
        with pytest.raises(TypeError, match="x: only numbers can be buffered"):
            keep(loss=1, x=value)
    assert (experiment.metrics.buffer.peek(), metric.summary_cache.peek()) == ({}, {})


def test_numbers_of_any_size_are_summarised(experiment: Experiment) -> None:
    """Aggregates of numbers whose squares exceed the largest float are numbers."""
    for number in (1e200, -1e200, 1e200):
        experiment.metrics("m").buffer(x=number)
    experiment.metrics.buffer.log_summary(*AGGREGATIONS)
    assert experiment.metrics("m").last("x.std") == pytest.approx(2e200 / math.sqrt(3))


BUFFERED: list[Callable[[Experiment], object]] = [
    lambda it: it.metrics("m").buffer(loss=1),
    lambda it: it.metrics("m").summary_cache.store(loss=1),
    lambda it: it.metrics("m").summary_cache.set(epoch=1),
    lambda it: it.metrics("m").summary_cache.summarize(),
    lambda it: it.metrics.buffer.log_summary(),
]


@pytest.mark.parametrize("call", BUFFERED)
def test_a_record_that_is_not_open_buffers_nothing(root: Path, call: Callable[[Experiment], object]) -> None:
    """Before it is opened and after its end it is a StateError, and the next opening logs none of it."""
    experiment = Experiment("a", dash_root=root)
    with pytest.raises(StateError):
        call(experiment)
    experiment.run.start().run.complete()
    with pytest.raises(StateError):
        call(experiment)
    experiment.run.start().run.complete()
    assert experiment.metrics.names() == []


def test_closing_repeats_no_summary(root: Path) -> None:
    """What `summarize(clear=False)` logged is not logged again; later numbers are, with all before them."""
    for more, counts in ((False, [1, 2]), (True, [1, 2, 3])):
        with Experiment(f"a/{more}", dash_root=root).run as experiment:
            cache = experiment.metrics("train").summary_cache
            for loss in (0.5, 0.3):
                cache.store(loss=loss)
                cache.summarize(clear=False)
            if more:
                cache.store(loss=0.1)
        assert [row["loss.count"] for row in experiment.metrics("train").read()] == counts


@pytest.mark.parametrize("extra", [{"_ts": 1}, {"x": object()}])
def test_a_bad_field_of_a_summary_fails_its_own_call(root: Path, extra: dict[str, Any]) -> None:
    """It is refused when it is set, and the record closes with the summary."""
    with Experiment("a", dash_root=root).run as experiment:
        cache = experiment.metrics("m").summary_cache
        cache.store(loss=1)
        with pytest.raises(TypeError):
            cache.set(epoch=1, **extra)
        with pytest.raises(TypeError):
            experiment.metrics("m").buffer(y=1) and experiment.metrics.buffer.log_summary(**extra)
    assert [row.get("loss.count", row.get("y.count")) for row in experiment.metrics("m").read()] == [1, 1]
    assert experiment.metrics("m").last("epoch") is None
