"""What type checkers know of programs that track; mypy reads this file, and nothing runs it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, assert_type

from nemorun_cli import Experiment, dash, ml_dash_experiment


def a_record_is_opened_and_written() -> None:
    """The context manager gives the experiment itself, and so do the calls that can be chained."""
    with Experiment(prefix="alice/vision/resnet", tags=["a"], resume="must").run as experiment:
        assert_type(experiment, Experiment)
        experiment.params.set(learning_rate=0.001, model={"depth": 50})
        experiment.metrics("train").log(loss=0.5, epoch=1)
        experiment.log("begins", level="info", step=1)
        assert_type(experiment.flush(), Experiment)
        assert_type(experiment.tag("best", remove=["a"]), list[str])
        assert_type(experiment.files("models").read_bytes("m.pt"), bytes)
    assert_type(experiment.prefix, str)
    assert_type(experiment.status, str | None)
    assert_type(experiment.params.get(), dict[str, Any])


def a_function_keeps_what_it_returns() -> None:
    """The decorator fills in the argument `experiment`, so the others are not checked."""

    @ml_dash_experiment(prefix="alice/vision/resnet", params=True)
    def train(steps: int, experiment: Experiment) -> float:
        return steps / len(experiment.name)

    @ml_dash_experiment()
    async def serve(experiment: Experiment) -> str:
        return experiment.name

    @dash.ml_dash_experiment("alice/vision/resnet")
    def evaluate(experiment: dash.Experiment) -> bool:
        return bool(experiment.name)

    assert_type(train, Callable[..., float])
    assert_type(serve, Callable[..., Coroutine[Any, Any, str]])
    assert_type(evaluate, Callable[..., bool])
    assert_type(train(3), float)


def the_names_of_ml_dash_are_those_of_its_classes() -> None:
    """`nemorun_cli.dash` has a class of its own, which is an `Experiment`."""
    with dash.Experiment(prefix="alice/vision/resnet").run as experiment:
        assert_type(experiment, dash.Experiment)
        own: Experiment = experiment
        assert_type(experiment.mode, dash.OperationMode)
    assert_type(own.owner, str | None)
    assert_type(dash.RUN(prefix="a/b/c").date, str)


def wrong_programs_are_refused(experiment: Experiment) -> None:
    """Each line is an error for mypy, which reports a comment that is not needed."""
    Experiment(prefix=1)  # type: ignore[arg-type]
    Experiment(prefix="a/b/c", tags=1)  # type: ignore[arg-type]
    experiment.log("begins", level=1)  # type: ignore[arg-type]
    experiment.prefix = "d/e/f"  # type: ignore[misc]
    experiment.finish()  # type: ignore[attr-defined]
