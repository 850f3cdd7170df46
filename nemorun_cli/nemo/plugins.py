"""NeMo-Run's plugins, which change a task and its executor when the task is added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nemorun_cli.nemo.named_fields import FieldNames


@dataclass(kw_only=True)
class Plugin(metaclass=FieldNames):
    """The base class of plugins: a derived class changes the task or the executor in `setup`."""

    experiment_id: str | None = None

    def assign(self, experiment_id: str) -> None:
        """Note the experiment that the plugin is used in; `add` calls this before `setup`."""
        self.experiment_id = experiment_id

    def setup(self, task: Any, executor: Any) -> None:
        """Change the task (a Partial or a Script) and its executor; both are copies of what `add` got."""
        raise NotImplementedError(f"{type(self).__name__} has no method setup(task, executor)")
