"""The class that a spec's `uses` names: looked up offline, or imported with the spec's folder first."""

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
    """The names that need no module: built in, and of installed packages, of which nothing is imported."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and only for names that are not built in

    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def target(uses: str) -> str | None:
    """The `module:Class` behind what a spec says, or None if no plugin has that name."""
    if ":" in uses:
        return uses
    if built_in := BUILT_IN.get(uses):
        return built_in
    from importlib.metadata import entry_points  # noqa: PLC0415 - as in `names`

    found = entry_points(group=ENTRY_POINTS, name=uses)
    return next((point.value.replace(" ", "") for point in found), None)


def find(uses: str) -> type[Any]:
    """The class, imported; raises whatever its module raises, and LookupError where it has no such name."""
    wanted = target(uses)
    if wanted is None:
        raise LookupError(f"no plugin is called {uses!r} ({choices(uses, names())})")
    module, _, path = wanted.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not isinstance(found, type):
        raise TypeError(f"{wanted} is no class but of type {type(found).__name__}")
    return found


@contextlib.contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """While the block runs, modules are found in the folder first; after it those are forgotten.

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
