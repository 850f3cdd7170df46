"""Where local tasks run: as with NeMo-Run in the folder in which the program was started."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli import parts

if TYPE_CHECKING:
    from collections.abc import Mapping


def placed(
    task: Any, executor: parts.Executor, keys: Mapping[str, Any], *, program: Path
) -> tuple[Any, dict[str, Any]]:
    """The task and its keys, with the current folder as its working folder if it runs on this machine.

    A script is searched there first. A partial finds the modules next to the program, in `program`, too.
    """
    current = Path.cwd()
    is_elsewhere = executor.options["type"] != "local" or "packager" in executor.options
    if is_elsewhere or current == program or {"workdir", "packager"} & keys.keys():
        return task, dict(keys)
    if isinstance(task, parts.Script) and task.path is not None and (current / task.path).is_file():
        task = replace(task, path=current / task.path)
    own: dict[str, Any] = {"workdir": str(current), **keys}
    if isinstance(task, parts.Partial):
        path = [str(program), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        own["env"] = {"PYTHONPATH": os.pathsep.join(filter(None, path)), **own.get("env", {})}
    return task, own
