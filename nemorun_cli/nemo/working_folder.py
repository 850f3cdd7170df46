"""Where local tasks run: as with NeMo-Run in the folder in which the program was started."""

from __future__ import annotations

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

    A script is searched there first; a partial finds the modules in `program`, next to the program, as well.
    """
    current = Path.cwd()
    is_elsewhere = executor.options["type"] != "local" or "packager" in executor.options
    if is_elsewhere or _is_same(current, program) or {"workdir", "packager"} & keys.keys():
        return task, dict(keys)
    if isinstance(task, parts.Script) and task.path is not None and (current / task.path).is_file():
        task = replace(task, path=current / task.path)
    return task, {"workdir": str(current), **keys}


def _is_same(folder: Path, other: Path) -> bool:
    """Whether these are one folder, also by a link; one that no longer exists is another."""
    try:
        return folder.samefile(other)
    except OSError:
        return False
