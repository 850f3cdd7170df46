"""The plugin `env`: sets variables from the names of a task, and limits the threads of libraries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.model.plain_text import text_of
from nemorun_cli.plugins import Launch, Plugin
from nemorun_cli.plugins.builtin.templates import WORDS, with_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

THREADS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Env(Plugin):
    """Sets variables for each task. See docs/extend/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {
            "set": {
                "description": f"Variables; their values may contain {WORDS}.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "threads": {
                "description": "Threads for libraries: a number, or true for as many as the task has CPUs.",
                "title": "true or a number of threads",
                "anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 1}],
            },
        },
    }

    def __init__(
        self,
        *,
        set: Mapping[str, Any] | None = None,  # noqa: A002 - a key of its `with`
        threads: bool | int = False,
    ) -> None:
        self._set = {name: text_of(value) for name, value in (set or {}).items()}
        self._threads = threads

    def change(self, launch: Launch) -> Launch:
        """Set the variables; the spec takes precedence for the number of threads."""
        count = self._threads
        if count is True:
            count = max(1, math.floor(launch.resources.cpus)) if launch.resources.cpus else 0
        defaults = dict.fromkeys(THREADS, str(int(count))) if count else {}
        return with_defaults(launch, self._set, defaults)
