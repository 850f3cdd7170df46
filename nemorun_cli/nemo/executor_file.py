"""NeMo-Run's file of executors: a Python file in the home, whose functions make executors by name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo.executors import Executor
from nemorun_cli.storage.paths import Home, executors_distrust

if TYPE_CHECKING:
    import os
    from types import ModuleType

FILE: Final = "executors.py"  # in the home
MAP: Final = "EXECUTOR_MAP"  # a mapping of names to executors, which the file may have
_MODULE: Final = "nemorun_cli_executor_file"


def import_executor(
    name: str,
    file_path: str | os.PathLike[str] | None = None,
    call: bool = True,  # noqa: FBT001, FBT002 - NeMo-Run's signature
    **kwargs: Any,
) -> Any:
    """An executor by its name in a Python file, by default `executors.py` in the home.

    Args:
        name: a function of the file that makes an executor, an executor, or a key of its `EXECUTOR_MAP`.
        file_path: the file.
        call: whether a function is called; otherwise the function is the result.
        kwargs: the function's arguments.

    Raises:
        UsageError: the file is missing or belongs to another user, or has no such executor.
    """
    path = _file(file_path)
    found = _by_name(_loaded(path), name, path)
    if not call:
        return found
    executor = found(**kwargs) if callable(found) else found
    if not isinstance(executor, Executor):
        raise UsageError(f"{path}: {name} is no executor, but {type(executor).__name__}")
    return executor


def _file(given: str | os.PathLike[str] | None) -> Path:
    path = Home.from_environment().executors.with_name(FILE) if given is None else Path(given)
    path = path.expanduser().absolute()
    if not path.is_file():
        raise UsageError(
            f"there is no file of executors {path}",
            hint="write a function in it for each executor, or use executors.yaml"
            " (docs/reference/spec/executors.md)",
        )
    if (distrust := executors_distrust(path)) is not None:
        raise UsageError(distrust.message, hint=distrust.remedy)
    return path


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file", hint="give it the suffix .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses that the file defines look for it there
    spec.loader.exec_module(module)
    return module


def _by_name(module: ModuleType, name: str, path: Path) -> Any:
    own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    known = {**getattr(module, MAP, {}), **own}
    if name in known:
        return known[name]
    listed = [key for key, value in known.items() if _is_made_here(value, module)]
    raise UsageError(f"{path} has no executor {name!r}", hint=choices(name, listed))


def _is_made_here(value: Any, module: ModuleType) -> bool:
    return isinstance(value, Executor) or (callable(value) and value.__module__ == module.__name__)
