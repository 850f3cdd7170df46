"""Finds the class that a spec's `uses` names: by metadata alone, or by importing it."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import choices
from nemorun_cli.plugins import BUILT_IN, ENTRY_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator


def names() -> list[str]:
    """Return the names of built-in plugins and of those in installed packages; imports none of them."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, only for plugins that are not built in

    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def target(uses: str) -> str | None:
    """Return the `module:Class` of a `uses`, or None if no plugin has that name."""
    if ":" in uses:
        return uses
    if built_in := BUILT_IN.get(uses):
        return built_in
    from importlib.metadata import entry_points  # noqa: PLC0415 - as in `names`

    points = entry_points(group=ENTRY_POINTS, name=uses)
    return next((point.value.replace(" ", "") for point in points), None)


def find(uses: str) -> type[Any]:
    """Import the class and return it; raises LookupError for an unknown name, and what its module raises."""
    class_path = target(uses)
    if class_path is None:
        raise LookupError(f"no plugin is called {uses!r} ({choices(uses, names())})")
    module, _, path = class_path.partition(":")
    try:
        plugin: Any = importlib.import_module(module)
    except SystemExit as error:  # it must not end this program, and the handlers of callers see errors only
        raise ImportError(
            f"{module} ends the program when it is imported (exit code {error.code})"
        ) from error
    for name in path.split("."):
        plugin = getattr(plugin, name)
    if not isinstance(plugin, type):
        raise TypeError(f"{class_path} is not a class but a {type(plugin).__name__}")
    return plugin


@contextlib.contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """Search the folder first for modules within the block; afterwards remove those from `sys.modules`.

    Two specs in one program may each have a module `plugins` of their own.
    """
    before = set(sys.modules)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None) or ""
            if origin.startswith(f"{folder}/"):
                del sys.modules[name]
