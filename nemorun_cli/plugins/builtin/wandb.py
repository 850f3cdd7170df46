"""The plugin `wandb`: makes each task one run in Weights & Biases, shared by all of its attempts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.plugins import Launch, Plugin
from nemorun_cli.plugins.builtin.templates import WORDS, with_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEXT = {"type": "string", "minLength": 1}


class Wandb(Plugin):
    """Sets the variables that `wandb.init()` reads. See docs/extend/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "project": {"description": "The project. Default: {name}.", **_TEXT},
            "entity": {"description": "The user or team.", **_TEXT},
            "name": {"description": f"The name of the run, with {WORDS}. Default: {{task}}.", **_TEXT},
            "group": {"description": "The group of the run. Default: {experiment}.", **_TEXT},
            "job_type": {"description": "The kind of run. Default: {group}.", **_TEXT},
            "tags": {"description": "Tags of the runs.", "type": "array", "items": _TEXT},
            "mode": {"description": "The mode of W&B.", "enum": ["online", "offline", "disabled"]},
            "dir": {"description": "The folder for the files of W&B.", **_TEXT},
            "resume": {
                "description": "Whether later attempts and resumes continue the run of the first attempt.",
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
        self._variables = {f"WANDB_{_VARIABLES.get(key, key.upper())}": text for key, text in names.items()}
        if tags:
            self._variables["WANDB_TAGS"] = ",".join(tags)

    def change(self, launch: Launch) -> Launch:
        """Set the variables; variables of the spec take precedence over the defaults."""
        defaults = {
            "WANDB_PROJECT": "{name}",
            "WANDB_NAME": "{task}",
            "WANDB_RUN_GROUP": "{experiment}",
            "WANDB_JOB_TYPE": "{group}",
        }
        if self._resume:
            defaults |= {"WANDB_RUN_ID": run_id(launch), "WANDB_RESUME": "allow"}
        return with_defaults(launch, self._variables, defaults)


_VARIABLES = {"group": "RUN_GROUP"}


def run_id(launch: Launch) -> str:
    """Return a globally unique id for a task of an experiment, the same for all of its attempts."""
    identity = f"{launch.tracked}\n{launch.experiment.directory}\n{launch.task}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
