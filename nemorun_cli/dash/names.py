"""ML-Dash's errors, and names of types that its programs may mention."""

from __future__ import annotations

from enum import Enum
from typing import Final

from nemorun_cli.errors import ExpError, NotFoundError, StateError, UsageError
from nemorun_cli.tracking.params import Params

MlDashError: Final = ExpError
ConfigurationError: Final = UsageError
ExperimentError: Final = StateError
StorageError: Final = NotFoundError
ParametersBuilder: Final = Params


class NetworkError(ExpError):
    """An error of ML-Dash's remote mode; never raised here."""


class AuthenticationError(ExpError):
    """An error of ML-Dash's remote mode; never raised here."""


class OperationMode(Enum):
    """Where records are stored: always on this machine."""

    LOCAL = "local"
    REMOTE = "remote"
    HYBRID = "hybrid"
