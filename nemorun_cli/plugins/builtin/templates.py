"""Placeholders in the options of plugins, such as `{name}/{task}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.plain_text import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.plugins import Launch

WORDS: Final = "{task}, {group}, {experiment}, {name}, {tracked}, {executor}, {task_dir} and {matrix.AXIS}"

_WORD: Final = re.compile(
    r"\{(task|group|experiment|name|tracked|executor|task_dir|matrix\.([A-Za-z_][\w-]*))\}", re.ASCII
)


def filled(text: str, launch: Launch) -> str:
    """Return the text with its placeholders filled in; other braces remain.

    Raises:
        ValueError: a placeholder names an axis that the task's matrix does not have.
    """
    values: Mapping[str, Any] = {
        "task": launch.task,
        "group": launch.group or launch.task,
        "experiment": launch.experiment.id,
        "name": launch.experiment.name,
        "tracked": launch.tracked,
        "executor": launch.executor,
        "task_dir": f"{launch.experiment.directory}/tasks/{launch.task}",
    }

    def fill(placeholder: re.Match[str]) -> str:
        axis = placeholder[2]
        if axis is None:
            return str(values[placeholder[1]])
        if axis not in launch.matrix:
            known = ", ".join(launch.matrix) or "none"
            raise ValueError(f"{placeholder[0]}: {launch.task} has no such axis (there are: {known})")
        return text_of(launch.matrix[axis])

    return _WORD.sub(fill, text)


def with_defaults(launch: Launch, variables: Mapping[str, str | None], defaults: Mapping[str, str]) -> Launch:
    """Return the launch with these variables, and with defaults for those not set by it or the spec."""
    explicit = {name: filled(text, launch) for name, text in variables.items() if text is not None}
    assigned = explicit.keys() | launch.env.keys() | set(launch.secrets)
    implicit = {name: filled(text, launch) for name, text in defaults.items() if name not in assigned}
    return launch.with_env(**{**implicit, **explicit})
