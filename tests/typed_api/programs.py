"""What type checkers know of a program that builds a spec; mypy reads this file, and nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

from nemorun_cli import (
    Builder,
    Command,
    Config,
    DockerExecutor,
    Executor,
    LocalExecutor,
    Partial,
    Run,
    Script,
    SlurmExecutor,
)


def train(*, steps: int) -> None:
    """What a partial calls."""
    del steps


def a_builder_takes_tasks_and_executors() -> None:
    """Tasks have ids, which are texts; an executor is a value or a name."""
    with Builder("digits", LocalExecutor(cpus=2), tags=["night"]) as builder:
        assert_type(builder, Builder)
        first = builder.add(Script("prepare.sh", args=[1, "two"], env={"SEED": 1}))
        assert_type(first, str)
        builder.add(Partial(train, steps=3), "cluster", dependencies=[first], timeout="2h")
        builder.add(Script("b.sh"), cache=True)
        builder.add(Script("b.sh"), cache={"inputs": ["data/*"], "outputs": ("m.pt",), "also": [1, "a"]})
        builder.add(Command(["echo", 1]), dependencies=[{"experiment": "other", "task": "train"}])
        builder.add(
            [Script(inline="echo"), Command("echo 2"), Partial("module:function")],
            [LocalExecutor(), "cluster", DockerExecutor(image="alpine")],
            name="group",
        )
        assert_type(builder.spec, dict[str, Any])
        assert_type(builder.run(detach=True, tail_logs=False), Run)


def executors_are_values_of_one_class() -> None:
    """The classes of the types are those of `Executor`, which takes any type."""
    executors: list[Executor] = [SlurmExecutor(partition="a100", name="night"), Executor("moon", orbit=1)]
    assert_type(executors[0].name, str | None)
    assert_type(Config(train, steps=1), Config)


def wrong_programs_are_refused() -> None:
    """Each line is an error for mypy, which reports a comment that is not needed."""
    builder = Builder("digits")
    builder.add("train.sh")  # type: ignore[arg-type]  # a task, not a text
    builder.add(Script("a.sh"), dependencies=1)  # type: ignore[arg-type]
    builder.add(Script("a.sh"), cache="yes")  # type: ignore[arg-type]
    builder.add(Script("a.sh"), cache={"input": ["a"]})  # type: ignore[arg-type]
    builder.add(Script("a.sh"), name=None)  # type: ignore[arg-type]
    builder.run(True)  # type: ignore[call-arg]
    builder.run(detached=True)  # type: ignore[call-arg]
    Builder()  # type: ignore[call-arg]
    Script("a.sh", None, "bash")  # type: ignore[call-arg]
    DockerExecutor("alpine")  # type: ignore[call-arg]
    Script("a.sh").path = "b.sh"  # type: ignore[misc]  # a value does not change
