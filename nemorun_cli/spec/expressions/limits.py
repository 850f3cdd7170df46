"""The limits of an expression that a process of its own evaluates."""

from __future__ import annotations

from typing import Final

PROCESSOR_TIME: Final = 2.0  # seconds for one expression
TIME: Final = 10.0  # seconds for one expression, on a machine that does something else
MEMORY: Final = 512 << 20  # bytes that the process may use in addition
ANSWER_TIME: Final = 15.0  # seconds until a process that does not answer is killed
SEND_TIME: Final = 2.0  # seconds until a process that does not read is killed
ALL_TIME: Final = 60.0  # seconds for all expressions of a spec
