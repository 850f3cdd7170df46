"""Calls of NeMo-Run on a tracked experiment: each is an error that shows what to write."""

from __future__ import annotations

from typing import Final, NoReturn

RUNS_TASKS: Final = "nemorun_cli.nemo.Experiment (as in NeMo-Run) or nemorun_cli.Builder"

# Arguments of NeMo-Run's Experiment.
ARGUMENTS: Final = frozenset(
    {
        *("title", "executor", "id", "log_level", "jobs", "base_dir", "clean_mode", "threadpool_workers"),
        *("enable_goodbye_message", "skip_status_at_exit", "serialize_metadata_for_scripts", "tunnels"),
    }
)


class ForeignCallError(TypeError, AttributeError):
    """A call of NeMo-Run's Experiment on one that tracks; `hasattr` is false for its names."""


class ForeignName:
    """A name of NeMo-Run's Experiment, on the class and on its instances."""

    def __init__(self, replacement: str) -> None:
        self._replacement = replacement
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise ForeignCallError(
            f"{owner.__name__}.{self._name} is NeMo-Run's: this {owner.__name__} tracks what one program"
            f" measures. Write {self._replacement}"
        )


def is_title(path: object) -> bool:
    """Whether this is the title of an experiment of NeMo-Run, rather than a prefix: words without a slash."""
    return isinstance(path, str) and "/" not in path and "{" not in path and len(path.split()) > 1


def titled(title: str) -> ForeignCallError:
    """The error for `Experiment("My Experiment")`."""
    return ForeignCallError(
        f"Experiment({title!r}) has the title of an experiment that runs tasks, as in NeMo-Run; this"
        " Experiment tracks what one program measures. Write\n"
        f"  nemorun_cli.nemo.Experiment({title!r})  to run tasks with the calls of NeMo-Run\n"
        f"  nemorun_cli.Builder({title!r})  to run tasks\n"
        '  nemorun_cli.Experiment(prefix="owner/project/name")  to track'
    )


def argument(name: str) -> ForeignCallError:
    """The error for an argument of NeMo-Run's Experiment."""
    return ForeignCallError(
        f"Experiment() has no argument {name!r}: it tracks what one program measures. An experiment that runs"
        f" tasks is {RUNS_TASKS}"
    )


def entered(name: str) -> ForeignCallError:
    """The error for `with Experiment(…) as e`."""
    return ForeignCallError(
        f"{name} is no context manager: write `with {name}(…).run as experiment` to track. An experiment that"
        f" runs tasks in its `with` block is {RUNS_TASKS}"
    )


def started() -> ForeignCallError:
    """The error for `exp.run()`."""
    return ForeignCallError(
        "experiment.run is the life cycle of a record: write `with experiment.run`, experiment.run.start(),"
        f" or @experiment.run above a function. An experiment whose run() starts tasks is {RUNS_TASKS}"
    )


def logs_of_a_task() -> ForeignCallError:
    """The error for `exp.logs("task")`."""
    return ForeignCallError(
        "experiment.logs writes lines: experiment.logs.info(text), and reads them: experiment.logs.read()."
        ' The log of a task is nemorun_cli.find(name).logs("task")'
    )


def logged(fields: object) -> ForeignCallError:
    """The error for `log({"loss": 0.1})` and for `log(loss=0.1)`."""
    shown = f"{fields!r:.60}"
    return ForeignCallError(
        f"log() writes a line of text, not {shown}: write experiment.metrics.log(loss=0.1) or"
        ' experiment.metrics("train").log(loss=0.1) for numbers, experiment.params.set(lr=0.1) for parameters'
    )
