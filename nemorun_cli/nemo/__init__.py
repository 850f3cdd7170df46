"""NeMo-Run's vocabulary: `import nemorun_cli.nemo as run` in place of `import nemo_run as run`.

Its experiments are those of `exp`: they run in a supervisor, have a ledger, and every command shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.cli import program_errors
from nemorun_cli.spec import calling_program
from nemorun_cli.version import __version__ as __version__

if TYPE_CHECKING:
    from nemorun_cli.nemo import cli
    from nemorun_cli.nemo.autoconvert import autoconvert
    from nemorun_cli.nemo.calls import Config, Partial
    from nemorun_cli.nemo.dryrun import dryrun_fn
    from nemorun_cli.nemo.elsewhere import (
        DevSpace,
        DGXCloudExecutor,
        ExecutorMacros,
        FaultTolerance,
        KubeflowExecutor,
        LeptonExecutor,
        PyTorchJobExecutor,
        SkypilotExecutor,
        SkypilotJobsExecutor,
        SlurmRay,
        SlurmTemplate,
    )
    from nemorun_cli.nemo.executor_file import import_executor
    from nemorun_cli.nemo.executors import DockerExecutor, Executor, LocalExecutor, SlurmExecutor
    from nemorun_cli.nemo.experiment import Experiment
    from nemorun_cli.nemo.help_text import help  # noqa: A004 - NeMo-Run's name
    from nemorun_cli.nemo.launchers import Torchrun
    from nemorun_cli.nemo.lazy import LazyEntrypoint, lazy_imports
    from nemorun_cli.nemo.named_fields import ConfigurableMixin
    from nemorun_cli.nemo.one_task import run
    from nemorun_cli.nemo.packagers import (
        GitArchivePackager,
        HybridPackager,
        Packager,
        PatternPackager,
    )
    from nemorun_cli.nemo.plugins import Plugin
    from nemorun_cli.nemo.scripts import Script
    from nemorun_cli.nemo.tunnels import LocalTunnel, SSHTunnel

__package_name__ = "nemorun_cli.nemo"

__all__ = [
    "Config",
    "ConfigurableMixin",
    "DGXCloudExecutor",
    "DevSpace",
    "DockerExecutor",
    "Executor",
    "ExecutorMacros",
    "Experiment",
    "FaultTolerance",
    "GitArchivePackager",
    "HybridPackager",
    "KubeflowExecutor",
    "LazyEntrypoint",
    "LeptonExecutor",
    "LocalExecutor",
    "LocalTunnel",
    "Packager",
    "Partial",
    "PatternPackager",
    "Plugin",
    "PyTorchJobExecutor",
    "SSHTunnel",
    "Script",
    "SkypilotExecutor",
    "SkypilotJobsExecutor",
    "SlurmExecutor",
    "SlurmRay",
    "SlurmTemplate",
    "Torchrun",
    "__package_name__",
    "__version__",
    "autoconvert",
    "cli",
    "dryrun_fn",
    "help",
    "import_executor",
    "lazy_imports",
    "run",
]

if (_program := calling_program.main_program()) is not None:
    program_errors.report_from(_program)

# Imported on first use: a program pays for what it uses.
_MODULES = {
    "autoconvert": ("autoconvert",),
    "calls": ("Config", "Partial"),
    "dryrun": ("dryrun_fn",),
    "elsewhere": (
        "DGXCloudExecutor",
        "DevSpace",
        "ExecutorMacros",
        "FaultTolerance",
        "KubeflowExecutor",
        "LeptonExecutor",
        "PyTorchJobExecutor",
        "SkypilotExecutor",
        "SkypilotJobsExecutor",
        "SlurmRay",
        "SlurmTemplate",
    ),
    "executor_file": ("import_executor",),
    "executors": ("DockerExecutor", "Executor", "LocalExecutor", "SlurmExecutor"),
    "experiment": ("Experiment",),
    "help_text": ("help",),
    "launchers": ("Torchrun",),
    "lazy": ("LazyEntrypoint", "lazy_imports"),
    "named_fields": ("ConfigurableMixin",),
    "one_task": ("run",),
    "packagers": ("GitArchivePackager", "HybridPackager", "Packager", "PatternPackager"),
    "plugins": ("Plugin",),
    "scripts": ("Script",),
    "tunnels": ("LocalTunnel", "SSHTunnel"),
}


def __getattr__(name: str) -> Any:
    """The value of a public name, imported at its first use."""
    import importlib  # noqa: PLC0415 - not needed to read the version

    if name == "cli":
        return importlib.import_module(f"{__name__}.cli")
    for module, names in _MODULES.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
