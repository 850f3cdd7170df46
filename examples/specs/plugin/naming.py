"""A plugin of one's own: it names each task's run for whatever the task reports to, and keeps a diary."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar


class Naming:
    """Sets RUN_NAME, lowers the priority of the command, and writes down how tasks end."""

    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "niceness": {
                "description": "How nice tasks are to others.",
                "type": "integer",
                "minimum": 0,
                "maximum": 19,
            },
        },
    }

    def __init__(self, niceness: int = 5) -> None:
        self.niceness = niceness

    def change(self, launch: Any) -> Any:
        """Called for each task before anything is created; `exp run --dry-run` shows what comes of it."""
        name = f"{launch.experiment.name}-{launch.task.replace('/', '-')}"
        return launch.with_env(RUN_NAME=name).with_prefix("nice", "-n", str(self.niceness))

    def on_event(self, event: dict[str, Any], run: Any) -> None:
        """Called for each event of the ledger, in a process of its own."""
        if event["event"] == "ended":
            with Path(run.directory, "diary").open("a") as diary:
                diary.write(f"{event['task']} is {event['status']}\n")
