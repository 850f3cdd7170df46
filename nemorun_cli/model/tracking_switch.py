"""The environment variable that turns tracking off in programs."""

from __future__ import annotations

from typing import Final

VARIABLE: Final = "EXP_TRACKING"
OFF: Final = "off"
VALUES: Final = ("on", OFF)
