"""Texts that name a task: `{name}/{task}` and the like, as options of plugins have them."""

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
    """The text with what it says of the task put in; other braces stay.

    Raises:
        ValueError: it names an axis that the task's matrix does not have.
    """
    words: Mapping[str, Any] = {
        "task": launch.task,
        "group": launch.group or launch.task,
        "experiment": launch.experiment.id,
        "name": launch.experiment.name,
        "tracked": launch.tracked,
        "executor": launch.executor,
        "task_dir": f"{launch.experiment.directory}/tasks/{launch.task}",
    }

    def fill(found: re.Match[str]) -> str:
        axis = found[2]
        if axis is None:
            return str(words[found[1]])
        if axis not in launch.matrix:
            known = ", ".join(launch.matrix) or "none"
            raise ValueError(f"{found[0]}: {launch.task} has no such axis (there are: {known})")
        return text_of(launch.matrix[axis])

    return _WORD.sub(fill, text)


def with_defaults(launch: Launch, wanted: Mapping[str, str | None], defaults: Mapping[str, str]) -> Launch:
    """The launch with the variables that are wanted, and with defaults for those that nobody sets."""
    chosen = {name: filled(text, launch) for name, text in wanted.items() if text is not None}
    known = chosen.keys() | launch.env.keys() | set(launch.secrets)
    rest = {name: filled(text, launch) for name, text in defaults.items() if name not in known}
    return launch.with_env(**{**rest, **chosen})
