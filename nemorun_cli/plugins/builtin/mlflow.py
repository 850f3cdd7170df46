"""The plugin `mlflow`: tags the MLflow runs that a task starts with their experiment and task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.model.plain_text import text_of
from nemorun_cli.plugins import Launch, Plugin
from nemorun_cli.plugins.builtin.templates import WORDS, filled, with_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT = {"type": "string", "minLength": 1}


class Mlflow(Plugin):
    """Sets the variables that `mlflow.start_run()` reads. See docs/extend/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "uri": {"description": "The tracking server or store.", **_TEXT},
            "experiment": {"description": f"MLflow's experiment, with {WORDS}. Default: {{name}}.", **_TEXT},
            "run_name": {"description": "The name of the run. Default: {task}.", **_TEXT},
            "tags": {
                "description": "Tags, in addition to exp.id, exp.task, exp.tracked and exp.matrix.AXIS.",
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
        },
    }

    def __init__(
        self,
        *,
        uri: str | None = None,
        experiment: str | None = None,
        run_name: str = "{task}",
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        self._variables = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_NAME": experiment}
        self._run_name = run_name
        self._tags = {name: text_of(value) for name, value in (tags or {}).items()}

    def change(self, launch: Launch) -> Launch:
        """Set the variables; tags in the form that MLflow reads and in that of Transformers."""
        tags = {
            "exp.id": launch.experiment.id,
            "exp.task": launch.task,
            "exp.tracked": launch.tracked,
            **{f"exp.matrix.{axis}": text_of(value) for axis, value in launch.matrix.items()},
            **{name: filled(text, launch) for name, text in self._tags.items()},
        }
        context = {"mlflow.runName": filled(self._run_name, launch), **tags}
        changed = with_defaults(launch, self._variables, {"MLFLOW_EXPERIMENT_NAME": "{name}"})
        return changed.with_env(
            MLFLOW_RUN_CONTEXT=json.dumps(context, ensure_ascii=False),
            MLFLOW_TAGS=json.dumps(tags, ensure_ascii=False),
        )
