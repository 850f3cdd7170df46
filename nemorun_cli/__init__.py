"""Run multi-task machine-learning experiments that are described in YAML, and record every event in a ledger.

From Python: `run` starts an experiment, `find` finds one and `runs` lists them, each as a `Run`, which reads
its status, params and metrics, cancels, resumes, tags or removes it; `restore` undoes a removal. A `Builder`
collects tasks call by call. `find_record` finds what a program tracked, to tag, close or remove it.
`Experiment` and `ml_dash_experiment` track the metrics of a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.version import __version__ as __version__

if TYPE_CHECKING:
    from nemorun_cli.builder import Builder
    from nemorun_cli.errors import ExpError, SpecError
    from nemorun_cli.experiment.launch import run
    from nemorun_cli.experiment.organize import close_record, find_record, remove_record, restore
    from nemorun_cli.experiment.run import Run, find, runs
    from nemorun_cli.parts import (
        Command,
        Config,
        DockerExecutor,
        Executor,
        LocalExecutor,
        Partial,
        Script,
        SlurmExecutor,
    )
    from nemorun_cli.tracking import Experiment, ml_dash_experiment
    from nemorun_cli.views.snapshot import Snapshot

__all__ = [
    "Builder",
    "Command",
    "Config",
    "DockerExecutor",
    "Executor",
    "ExpError",
    "Experiment",
    "LocalExecutor",
    "Partial",
    "Run",
    "Script",
    "SlurmExecutor",
    "Snapshot",
    "SpecError",
    "close_record",
    "find",
    "find_record",
    "ml_dash_experiment",
    "remove_record",
    "restore",
    "run",
    "runs",
]

# Imported on first use: `exp status` must not import tracking, nor a training script the runner.
_MODULES = {
    "Builder": "builder",
    "Command": "parts",
    "Config": "parts",
    "DockerExecutor": "parts",
    "Executor": "parts",
    "LocalExecutor": "parts",
    "Partial": "parts",
    "Script": "parts",
    "SlurmExecutor": "parts",
    "Experiment": "tracking",
    "ExpError": "errors",
    "Run": "experiment.run",
    "Snapshot": "views.snapshot",
    "SpecError": "errors",
    "close_record": "experiment.organize",
    "find": "experiment.run",
    "find_record": "experiment.organize",
    "ml_dash_experiment": "tracking",
    "remove_record": "experiment.organize",
    "restore": "experiment.organize",
    "run": "experiment.launch",
    "runs": "experiment.run",
}


def __getattr__(name: str) -> Any:
    """The value of a public name, imported at its first use."""
    if name not in _MODULES:
        if not name.startswith("_"):
            from nemorun_cli.tracking import foreign_calls  # noqa: PLC0415 - only needed for an error

            if error := foreign_calls.in_package(name):
                raise error
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - not needed to read the version

    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
