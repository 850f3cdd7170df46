"""The plugin `preemption`: signals tasks before they are killed, and retries them from their checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.model import units
from nemorun_cli.plugins import Launch, Plugin
from nemorun_cli.plugins.builtin.templates import WORDS, filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CAUSES = ("timeout", "preempted", "node_fail", "lost", "oom")


class Preemption(Plugin):
    """Sets the stop signal, the grace period, the retries and the checkpoint folder.

    See docs/extend/plugins.md.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "signal": {
                "description": "The signal on which a task has to save its state and exit.",
                "title": "the name of a signal, such as USR1 or TERM",
                "type": "string",
                "pattern": "^(SIG)?(TERM|INT|HUP|QUIT|USR1|USR2)$",
                "default": "USR1",
            },
            "before": {
                "description": "How long the task has for that before it is killed.",
                "title": "a duration such as 2m",
                "type": ["string", "number"],
                "default": "2m",
            },
            "retries": {
                "description": "How often to retry.",
                "type": "integer",
                "minimum": 0,
                "default": 10,
            },
            "on": {
                "description": "The causes of failure to retry after.",
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {"enum": list(_CAUSES)},
                "default": ["timeout", "preempted", "node_fail"],
            },
            "checkpoints": {
                "description": f"The folder for checkpoints, with {WORDS}; the same for all attempts. "
                "Default: {task_dir}/checkpoints.",
                "type": "string",
                "minLength": 1,
            },
            "variable": {
                "description": "The variable that is set to that folder.",
                "type": "string",
                "minLength": 1,
                "default": "CHECKPOINT_DIR",
            },
        },
    }

    def __init__(
        self,
        *,
        signal: str = "USR1",
        before: str | float = "2m",
        retries: int = 10,
        on: Sequence[str] = ("timeout", "preempted", "node_fail"),
        checkpoints: str = "{task_dir}/checkpoints",
        variable: str = "CHECKPOINT_DIR",
    ) -> None:
        self._signal, self._before = signal, units.duration(before)
        self._retries, self._on = retries, tuple(on)
        self._checkpoints, self._variable = checkpoints, variable

    def change(self, launch: Launch) -> Launch:
        """Set the signal, the grace period and the folder, and add to the retries of the spec."""
        retry = launch.retry
        causes: tuple[int | str, ...] = self._on
        if retry.limit:
            causes = retry.on if "any" in retry.on else tuple(dict.fromkeys((*retry.on, *self._on)))
        return replace(
            launch.with_env(**{self._variable: filled(self._checkpoints, launch)}),
            stop_signal=self._signal,
            stop_grace=self._before,
            retry=replace(retry, limit=max(retry.limit, self._retries), on=causes),
        )
