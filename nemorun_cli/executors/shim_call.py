"""The command line of the shim, which runs every task of the built-in executors.

The head of `shim.sh` describes its usage and the files it writes.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import attempt_end

if TYPE_CHECKING:
    from nemorun_cli.model.plan import Plan

SHIM: Final = Path(__file__).with_name("shim.sh")  # copied into each experiment, which runs its own copy


def shim_line(attempt: Path, plan: Plan, program: str, *, shim: Path | None = None) -> list[str]:
    """The shim's command line for a plan; `program` is the path that the executor resolved."""
    return [
        "sh",
        str(shim or Path(plan.env["EXP_DIR"]) / "shim"),
        str(attempt),
        plan.workdir,
        f"{_umask():03o}",
        _seconds(plan.timeout or 0),
        attempt_end.short_signal(plan.stop_signal),
        _seconds(plan.stop_grace),
        program,
        *plan.argv[1:],
    ]


def _seconds(value: float) -> str:
    """A time that every `sleep` accepts: an integer if possible, never with an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


@cache
def _umask() -> int:
    value = os.umask(0o077)
    os.umask(value)
    return value
