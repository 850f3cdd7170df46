"""The plugin `wandb`: each task is a run of its own in Weights & Biases, the same one in every attempt."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.plugins import Launch, Plugin
from nemorun_cli.plugins.builtin.templates import WORDS, with_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEXT = {"type": "string", "minLength": 1}


class Wandb(Plugin):
    """Sets the variables that `wandb.init()` reads. See docs/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "project": {"description": "The project. Default: {name}.", **_TEXT},
            "entity": {"description": "The user or team.", **_TEXT},
            "name": {"description": f"The name of the run, with {WORDS}. Default: {{task}}.", **_TEXT},
            "group": {"description": "What runs are grouped by. Default: {experiment}.", **_TEXT},
            "job_type": {"description": "The kind of run. Default: {group}.", **_TEXT},
            "tags": {"description": "Tags of the runs.", "type": "array", "items": _TEXT},
            "mode": {"description": "Where runs go.", "enum": ["online", "offline", "disabled"]},
            "dir": {"description": "The folder for its files.", **_TEXT},
            "resume": {
                "description": "Whether later attempts and resumes go on with the run of the first one.",
                "type": "boolean",
                "default": True,
            },
        },
    }

    def __init__(
        self,
        *,
        resume: bool = True,
        tags: Sequence[str] = (),
        **names: str,
    ) -> None:
        self._resume = resume
        self._wanted = {f"WANDB_{_VARIABLES.get(key, key.upper())}": text for key, text in names.items()}
        if tags:
            self._wanted["WANDB_TAGS"] = ",".join(tags)

    def change(self, launch: Launch) -> Launch:
        """With the variables; those that nobody asked for give way to what the spec sets."""
        defaults = {
            "WANDB_PROJECT": "{name}",
            "WANDB_NAME": "{task}",
            "WANDB_RUN_GROUP": "{experiment}",
            "WANDB_JOB_TYPE": "{group}",
        }
        if self._resume:
            defaults |= {"WANDB_RUN_ID": run_id(launch), "WANDB_RESUME": "allow"}
        return with_defaults(launch, self._wanted, defaults)


_VARIABLES = {"group": "RUN_GROUP"}


def run_id(launch: Launch) -> str:
    """An id for a task of an experiment, the same for all of its attempts and for no other task anywhere."""
    place = f"{launch.tracked}\n{launch.experiment.directory}\n{launch.task}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]
