"""Checks that a callable named in a spec exists: looks up its file and its name, imports nothing."""

from __future__ import annotations

import ast
import functools
import shutil
import sys
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import choices
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.tasks.signatures import Signature


@dataclass(frozen=True, slots=True)
class CalledTarget:
    """A callable that a spec names, with what it is called with.

    Attributes:
        name: `module:name`.
        place: of the name in the spec.
        arguments: the place of the arguments.
        count: of the arguments by position; None if it is not called.
        named: the names of the others.
        is_partial: whether its receiver adds more arguments.
    """

    name: str
    place: Place
    arguments: Place = ()
    count: int | None = None
    named: tuple[str, ...] = ()
    is_partial: bool = False


STANDARD_LIBRARY: Final = Path(ast.__file__).parent
LARGEST_MODULE: Final = 1 << 24  # bytes of a module in which a function is looked up


class TargetNotFoundError(LookupError):
    """The target does not exist; `hint` names what does."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def search_path(
    workdir: str, *, python_path: str, interpreter: str, has_environment: bool = False
) -> tuple[str, ...]:
    """Return the folders where a task's interpreter finds modules, as far as known without running it.

    Args:
        workdir: of the task.
        python_path: the value of its PYTHONPATH.
        interpreter: its program.
        has_environment: whether that has packages of its own, and not those of this process.
    """
    own = [entry for entry in sys.path if entry and not (has_environment and "site-packages" in entry)]
    return (workdir, *filter(None, python_path.split(":")), *_site_packages(interpreter), *own)


@functools.cache
def look_up(target: str, folders: tuple[str, ...]) -> Signature | None:
    """What a callable takes, if its file states that for certain.

    Raises:
        TargetNotFoundError: `module:name`, or `module.name`, is in none of the folders.
    """
    module, path = _split(target, folders)
    name = path.partition(".")[0]
    spec = _find(module, folders)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        if spec is not None and not spec.submodule_search_locations:
            return None  # compiled or built in: there is no source to parse
        raise TargetNotFoundError(
            f"there is no module {module!r}", hint=f"looked in {folders[0]} and sys.path"
        )
    names, is_open, body = _parsed(Path(spec.origin))
    if name not in names and not is_open:
        hint = choices(name, sorted(known for known in names if not known.startswith("_")))
        raise TargetNotFoundError(f"there is no {name!r} in {spec.origin}", hint=hint)
    if is_open or names.count(name) > 1:
        return None
    from nemorun_cli.spec.tasks import signatures  # noqa: PLC0415 - few specs have partials

    return signatures.in_module(body, path)


def module_file(target: str, folders: tuple[str, ...]) -> Path | None:
    """The file of the module of a callable; None if it is not found, or has no source."""
    spec = _find(_split(target, folders)[0], folders)
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


def _split(target: str, folders: tuple[str, ...]) -> tuple[str, str]:
    """The module and the name of a target; of a dotted one the longest part that is a module."""
    module, separator, path = target.partition(":")
    if separator:
        return module, path
    parts = target.split(".")
    lengths = range(len(parts) - 1, 0, -1)
    found = (length for length in lengths if _find(".".join(parts[:length]), folders) is not None)
    length = next(found, len(parts) - 1)
    return ".".join(parts[:length]), ".".join(parts[length:])


def called(name: str, args: Any, place: Place, *, at: Place) -> CalledTarget:
    """A callable with these arguments; `place` is that of its name, `at` that of the arguments."""
    by_position = args.get("_args_") if isinstance(args, dict) else None
    named = tuple(key for key in args if key not in RESERVED) if isinstance(args, dict) else ()
    count = len(by_position) if isinstance(by_position, list) else 0
    is_partial = isinstance(args, dict) and "_target_" in args and bool(args.get("_partial_"))
    return CalledTarget(name, place, at, count, named, is_partial)


def targets(value: Any, place: Place) -> list[CalledTarget]:
    """Return every callable that a partial's arguments name."""
    if isinstance(value, dict):
        own = []
        if "_target_" in value:
            own = [called(str(value["_target_"]), value, (*place, "_target_"), at=place)]
        elif value.keys() == {"_ref_"}:
            own = [CalledTarget(str(value["_ref_"]), (*place, "_ref_"))]
        return own + [target for key, item in value.items() for target in targets(item, (*place, key))]
    if isinstance(value, list):
        return [target for index, item in enumerate(value) for target in targets(item, (*place, index))]
    return []


def unmade(value: Any, place: Place, made: list[Any]) -> Iterator[tuple[Place, Any]]:
    """Each `_same_` that no earlier mapping makes, with its place; `made` has the `_id_` of those before."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from unmade(item, (*place, index), made)
    elif isinstance(value, dict):
        if value.keys() == {"_same_"} and value["_same_"] not in made:
            yield (*place, "_same_"), value["_same_"]
        for key, item in value.items():
            yield from unmade(item, (*place, key), made)
        if "_target_" in value and isinstance(value.get("_id_"), (int, str)):
            made.append(value["_id_"])


RESERVED = frozenset(("_target_", "_args_", "_partial_", "_ref_", "_id_", "_same_"))


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
def _parsed(path: Path) -> tuple[tuple[str, ...], bool, list[ast.stmt]]:
    """Return the names that a module binds at top level, whether it may bind others, and its statements."""
    try:
        tree = ast.parse(read_bytes(path, limit=LARGEST_MODULE))
    except SyntaxError as fault:
        raise TargetNotFoundError(f"{path} is not valid Python: {fault.msg} in line {fault.lineno}") from None
    except (OSError, ValueError) as fault:
        raise TargetNotFoundError(f"{path} cannot be read: {fault}") from None
    names = tuple(_bound_names(tree.body))
    return names, "*" in names or "__getattr__" in names, tree.body


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
