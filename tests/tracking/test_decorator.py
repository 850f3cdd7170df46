from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.tracking import Experiment, ml_dash_experiment, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


def _status(root: Path) -> str | None:
    return Experiment("a", dash_root=root).status


def test_function_runs_with_a_record_of_its_own(root: Path) -> None:
    """Each call opens the record, gives it to who asks for it, returns the function's value, closes it."""

    @ml_dash_experiment(prefix="a", dash_root=root)
    def train(scale: int, experiment: Experiment) -> str:
        """Docs."""
        experiment.metrics("m").log(x=scale)
        return f"{experiment.status} {scale}"

    assert train(1) == "RUNNING 1"
    assert train(scale=2) == "RUNNING 2"
    assert (train.__name__, train.__doc__) == ("train", "Docs.")
    told = record(root, "a")
    assert told is not None
    assert [opening.status for opening in told.openings] == ["COMPLETED", "COMPLETED"]
    assert [row["x"] for row in told.data().metrics("m").read(attempts="all")] == [1, 2]


def test_function_that_does_not_ask_gets_nothing(root: Path) -> None:
    """A function without the parameter is called as it was written, and a failure is recorded."""

    @ml_dash_experiment("a", dash_root=root)
    def work(value: int) -> int:
        assert _status(root) == "RUNNING"
        return 1 // value

    assert work(1) == 1
    assert _status(root) == "COMPLETED"
    with pytest.raises(ZeroDivisionError):
        work(0)
    assert _status(root) == "FAILED"


def test_coroutine_keeps_the_record_open_until_it_is_done(root: Path) -> None:
    """The body of an async function runs with its record open; cancelling it cancels the record."""

    @ml_dash_experiment("a", dash_root=root)
    async def train(experiment: Experiment) -> str | None:
        await asyncio.sleep(0)
        experiment.metrics("m").log(x=1)
        return experiment.status

    @ml_dash_experiment("b", dash_root=root)
    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    async def cancelled() -> None:
        task = asyncio.ensure_future(hang())
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert asyncio.run(train()) == "RUNNING"
    assert _status(root) == "COMPLETED"
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert Experiment("b", dash_root=root).status == "CANCELLED"


def test_generator_keeps_the_record_open_until_it_is_done(root: Path) -> None:
    """The record opens at the first step and closes after the last; what is sent or thrown passes through."""

    @ml_dash_experiment("a", dash_root=root)
    def steps(experiment: Experiment) -> Iterator[Any]:
        received = yield experiment.status
        experiment.metrics("m").log(x=received)
        yield received
        return "end"

    walk = steps()
    assert _status(root) is None
    assert next(walk) == "RUNNING"
    assert walk.send(5) == 5
    with pytest.raises(StopIteration, match="end"):
        next(walk)
    assert _status(root) == "COMPLETED"
    walk = steps()
    next(walk)
    walk.close()
    assert _status(root) == "COMPLETED"
    walk = steps()
    next(walk)
    with pytest.raises(KeyError):
        walk.throw(KeyError("x"))
    assert _status(root) == "FAILED"


def test_async_generator_keeps_the_record_open_until_it_is_done(root: Path) -> None:
    """The same for an async generator, whose cleanup runs while the record is open."""

    @ml_dash_experiment("a", dash_root=root)
    async def steps(experiment: Experiment) -> AsyncIterator[int]:
        try:
            for number in range(3):
                experiment.metrics("m").log(x=number)
                yield number
        finally:
            experiment.log("cleaned up", done=True)

    async def walk() -> list[int]:
        return [number async for number in steps()]

    assert asyncio.run(walk()) == [0, 1, 2]
    assert _status(root) == "COMPLETED"
    assert len(Experiment("a", dash_root=root).logs.read()) == 1


def test_arguments_become_params_if_wanted(root: Path) -> None:
    """With `params=True` what the function is called with is recorded, defaults and extra names too."""

    @ml_dash_experiment("a", dash_root=root, params=True)
    def train(lr: float, *sizes: int, epochs: int = 3, experiment: Experiment, **more: Any) -> None:
        assert experiment.params.get() == {"lr": lr, "sizes": list(sizes), "epochs": epochs, **more}

    train(0.1, 1, 2, seed=7)
    assert Experiment("a", dash_root=root).params.get() == {
        "lr": 0.1,
        "sizes": [1, 2],
        "epochs": 3,
        "seed": 7,
    }


def test_run_decorates_too(root: Path) -> None:
    """`@experiment.run` opens that experiment around each call."""
    experiment = Experiment("a", dash_root=root)

    @experiment.run
    def work() -> str | None:
        return experiment.status

    assert (work(), work(), experiment.status) == ("RUNNING", "RUNNING", "COMPLETED")


def test_unknown_option_is_told_when_decorating() -> None:
    """A mistake in an option is an error of the decorator, not of the first call."""
    with pytest.raises(TypeError, match="dash_root"):
        ml_dash_experiment("a", dashroot="x")
