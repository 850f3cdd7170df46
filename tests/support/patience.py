"""Waiting for what should come to pass, with an end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds until something that should come to pass has failed to
PAUSE = 0.01  # seconds between looks


def eventually(condition: Callable[[], Any], *, within: float = PATIENCE) -> Any:
    """The first true value of a condition; fails if there is none in time."""
    end = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"did not come to pass within {within:g} s: {condition}")
        time.sleep(PAUSE)
    return value
