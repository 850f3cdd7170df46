"""The name of the running program, as one plain part of a prefix."""

from __future__ import annotations

import os
import re
import sys
from typing import Final

COMMAND: Final = "command"  # of `python -c`
STDIN: Final = "stdin"
INTERACTIVE: Final = "interactive"
NOTEBOOK: Final = "notebook"  # of a notebook whose file is not known
LONGEST: Final = 60  # characters

_UNSAFE: Final = r"[^\w.-]"


def script() -> str:
    """The stem of the program's file; that of a package for `python -m package`.

    Without a file it is `notebook`, `interactive`, `stdin` or `command` (`python -c`).
    """
    name = re.sub(_UNSAFE, "_", _stem()).strip(".")[:LONGEST]
    return name or COMMAND


def _stem() -> str:
    if "ipykernel" in sys.modules:
        return _without_ending(os.environ.get("JPY_SESSION_NAME") or NOTEBOOK)
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(path, str) and path != "<stdin>":
        stem = _without_ending(path)
        return _without_ending(os.path.dirname(os.path.abspath(path))) if stem == "__main__" else stem
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return INTERACTIVE
    return COMMAND if sys.argv[:1] == ["-c"] else STDIN


def _without_ending(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
