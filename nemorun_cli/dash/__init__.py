"""ML-Dash's names over this package's tracking, for records on this machine and on a server of `exp serve`.

In a program that tracks with ML-Dash, replace `ml_dash` by `nemorun_cli.dash`: `Experiment`,
`ml_dash_experiment`, `RUN`, `dxp`, `LogLevel` and the errors. docs/coming-from/ml-dash-calls.md lists what
differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nemorun_cli.dash.auto_start import dxp
    from nemorun_cli.dash.exceptions import (
        AuthenticationError,
        ConfigurationError,
        ExperimentError,
        MlDashError,
        NetworkError,
        StorageError,
    )
    from nemorun_cli.dash.experiment import Experiment, OperationMode, ParametersBuilder, ml_dash_experiment
    from nemorun_cli.dash.log import LogBuilder, LogLevel
    from nemorun_cli.dash.run import RUN

__all__ = [
    "RUN",
    "AuthenticationError",
    "ConfigurationError",
    "Experiment",
    "ExperimentError",
    "LogBuilder",
    "LogLevel",
    "MlDashError",
    "NetworkError",
    "OperationMode",
    "ParametersBuilder",
    "StorageError",
    "dxp",
    "ml_dash_experiment",
]

_EXCEPTIONS = "nemorun_cli.dash.exceptions"
_EXPERIMENT = "nemorun_cli.dash.experiment"
# Imported on first use: `dxp` opens nothing, but reads the environment. `rdxp` needs a server to be known,
# and is not among the names that `import *` takes.
_MODULES = {
    "RUN": "nemorun_cli.dash.run",
    "AuthenticationError": _EXCEPTIONS,
    "ConfigurationError": _EXCEPTIONS,
    "Experiment": _EXPERIMENT,
    "ExperimentError": _EXCEPTIONS,
    "LogBuilder": "nemorun_cli.dash.log",
    "LogLevel": "nemorun_cli.dash.log",
    "MlDashError": _EXCEPTIONS,
    "NetworkError": _EXCEPTIONS,
    "OperationMode": _EXPERIMENT,
    "ParametersBuilder": _EXPERIMENT,
    "StorageError": _EXCEPTIONS,
    "dxp": "nemorun_cli.dash.auto_start",
    "ml_dash_experiment": _EXPERIMENT,
    "rdxp": "nemorun_cli.dash.remote_auto_start",
}
_ABSENT = {
    "LocalStorage": "records have another layout on disk: read them with nemorun_cli.tracking.record",
    "RemoteClient": "a process of its own sends records to a server: write Experiment(dash_url=…)",
    "userinfo": "`exp whoami` prints who is logged in; RUN.user is the name of the local user",
}


def __getattr__(name: str) -> Any:
    """The value of a public name, imported at its first use."""
    if name in _ABSENT:
        from nemorun_cli.errors import UsageError  # noqa: PLC0415 - only needed for an error

        raise UsageError(f"{name} of ML-Dash is not available: {_ABSENT[name]}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - not needed to import a submodule

    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
