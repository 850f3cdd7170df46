"""What type checkers know of programs in NeMo-Run's vocabulary; mypy reads this file, and nothing runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

import nemorun_cli.nemo as run


@dataclass
class Model:
    """What a Config describes."""

    hidden: int


def train(model: Model, steps: int = 10) -> None:
    """What a Partial calls."""
    del model, steps


def calls_know_what_they_describe() -> None:
    """A Config of a class is one of its objects; a copy is of the same type."""
    config = run.Config(Model, hidden=3)
    assert_type(config, run.Config[Model])
    assert_type(config.clone(), run.Config[Model])
    config.hidden = 4
    partial = run.Partial(train, model=config)
    assert_type(partial, run.Partial[None])


def a_function_becomes_what_builds_its_result() -> None:
    """`autoconvert` keeps the arguments of a function and gives a Config of what it returns."""

    @run.autoconvert
    def small(hidden: int = 1) -> Model:
        return Model(hidden)

    assert_type(small(hidden=2), run.Config[Model])
    small(width=2)  # type: ignore[call-arg]


def an_experiment_takes_tasks() -> None:
    """It is a context manager, and its tasks have ids."""
    with run.Experiment("Digits", executor=run.LocalExecutor(), log_level="WARNING") as experiment:
        assert_type(experiment, run.Experiment)
        name = experiment.add(run.Script(inline="echo"), executor=run.LocalExecutor(), name="prepare")
        assert_type(name, str)
        experiment.add([run.Script("a.sh"), run.Script("b.sh")], name="both", dependencies=[name])
        experiment.run(detach=True)
    assert_type(run.Experiment.catalog("Digits"), list[str])
    assert_type(run.Experiment.from_id("digits_1"), run.Experiment)


def wrong_programs_are_refused() -> None:
    """Each line is an error for mypy, which reports a comment that is not needed."""
    run.Experiment()  # type: ignore[call-arg]
    run.Experiment("Digits", base_dir=1)  # type: ignore[arg-type]
    run.Partial(train).clone(1)  # type: ignore[call-arg]
    run.Experiment.from_id(1)  # type: ignore[arg-type]
