"""How much the tests try: a short, seeded form in every run, and a long one for `tests/run --long`."""

from __future__ import annotations

import os
from typing import Final

IS_LONG: Final = os.environ.get("EXP_TEST_LONG") == "1"


def amount(short: int, *, long: int) -> int:
    """How many cases to try."""
    return long if IS_LONG else short
