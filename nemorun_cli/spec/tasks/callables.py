"""Checks that a callable named in a spec exists: looks up its file and its name, imports nothing."""

from __future__ import annotations

import ast
import functools
import shutil
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec

    from nemorun_cli.model.problems import Place


class TargetNotFoundError(LookupError):
    """The target does not exist; `hint` names what does."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def search_path(workdir: str, *, python_path: str, interpreter: str) -> tuple[str, ...]:
    """Return the folders where a task's interpreter finds modules, as far as known without running it."""
    own = [entry for entry in sys.path if entry]
    return (workdir, *filter(None, python_path.split(":")), *_site_packages(interpreter), *own)


@functools.cache
def look_up(target: str, folders: tuple[str, ...]) -> None:
    """Raise TargetNotFoundError unless `module:name` is in one of the folders."""
    module, _, path = target.partition(":")
    name = path.partition(".")[0]
    spec = _find(module, folders)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        if spec is not None and not spec.submodule_search_locations:
            return  # compiled or built in: there is no source to parse
        raise TargetNotFoundError(
            f"there is no module {module!r}", hint=f"looked in {folders[0]} and sys.path"
        )
    names, is_open = _defined_names(Path(spec.origin))
    if name not in names and not is_open:
        hint = choices(name, sorted(known for known in names if not known.startswith("_")))
        raise TargetNotFoundError(f"there is no {name!r} in {spec.origin}", hint=hint)


def targets(value: Any, place: Place) -> list[tuple[str, Place]]:
    """Return every `_target_` in a partial's arguments with its place."""
    if isinstance(value, dict):
        own = [(str(value["_target_"]), (*place, "_target_"))] if "_target_" in value else []
        return own + [target for key, item in value.items() for target in targets(item, (*place, key))]
    if isinstance(value, list):
        return [target for index, item in enumerate(value) for target in targets(item, (*place, index))]
    return []


def _find(module: str, folders: Sequence[str]) -> ModuleSpec | None:
    """Find a module's spec through its packages by path alone, so that none of their code runs."""
    if module in sys.builtin_module_names:
        return BuiltinImporter.find_spec(module)
    search: Sequence[str] | None = folders
    name, spec = "", None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        if search is None:
            return None
        spec = PathFinder.find_spec(name, list(search))
        if spec is None and "." not in name:
            spec = FrozenImporter.find_spec(name)
        if spec is None:
            return None
        search = spec.submodule_search_locations
    return spec


@functools.cache
def _defined_names(path: Path) -> tuple[frozenset[str], bool]:
    """Return the names that a module binds at top level, and whether it may bind others."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as fault:
        raise TargetNotFoundError(f"{path} is not valid Python: {fault.msg} in line {fault.lineno}") from None
    except (OSError, ValueError) as fault:
        raise TargetNotFoundError(f"{path} cannot be read: {fault}") from None
    names = frozenset(_bound_names(tree.body))
    return names, "*" in names or "__getattr__" in names


def _bound_names(body: Sequence[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0]
        else:
            yield from _assigned_names(statement)
            for field in ("body", "orelse", "finalbody"):
                yield from _bound_names(getattr(statement, field, ()))
            for handler in getattr(statement, "handlers", ()):
                yield from _bound_names(handler.body)


def _assigned_names(statement: ast.stmt) -> Iterator[str]:
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    for target in targets:
        if target is not None:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


@functools.cache
def _site_packages(interpreter: str) -> tuple[str, ...]:
    """Return the folders of packages installed for an interpreter, which may differ from the one of exp."""
    program = shutil.which(interpreter)
    if program is None:
        return ()
    prefixes = {Path(program).absolute().parent.parent, Path(program).resolve().parent.parent}
    patterns = ("lib/python3*/site-packages", "lib/python3/dist-packages", "local/lib/python3*/dist-packages")
    return tuple(str(path) for prefix in prefixes for pattern in patterns for path in prefix.glob(pattern))
