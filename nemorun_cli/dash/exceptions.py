"""ML-Dash's errors, as names of this package's."""

from __future__ import annotations

from typing import Final

from nemorun_cli.errors import ExpError, NotFoundError, StateError, UsageError

MlDashError: Final = ExpError
ConfigurationError: Final = UsageError
ExperimentError: Final = StateError
StorageError: Final = NotFoundError


class NetworkError(ExpError):
    """An error of ML-Dash's remote mode; never raised here."""


class AuthenticationError(ExpError):
    """An error of ML-Dash's remote mode; never raised here."""
