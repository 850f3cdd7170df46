"""Classes that a spec refers to by a short name: built-in ones, and those of installed packages."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import ExpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The classes of one kind; a built-in name takes precedence over an installed one.

    Attributes:
        kind: the kind's name in messages.
        group: the entry-point group under which packages register their classes.
        built_in: `module:Class` by name.
        pinned: classes of installed packages that stay available if their metadata is removed.
    """

    kind: str
    group: str
    built_in: Mapping[str, str]
    pinned: dict[str, Any] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted({*self.built_in, *(point.name for point in self._installed())})

    def has(self, name: str) -> bool:
        """Whether the name is registered."""
        is_loaded = name in self.built_in or name in self.pinned
        return is_loaded or any(point.name == name for point in self._installed())

    def find(self, name: str) -> Any:
        """The class of a name.

        Raises:
            UsageError: the name is not registered, or its package cannot be loaded.
        """
        if path := self.built_in.get(name):
            module, _, attribute = path.partition(":")
            return getattr(importlib.import_module(module), attribute)
        if name in self.pinned:
            return self.pinned[name]
        for point in self._installed():
            if point.name == name:
                return self._load(point)
        raise UsageError(f"there is no {self.kind} {name!r} (there are: {', '.join(self.names())})")

    def pin(self, name: str) -> None:
        """Keep the class of a name, for a process that outlives an upgrade of the package."""
        if name not in self.built_in:
            self.pinned[name] = self.find(name)

    def _installed(self) -> Iterable[Any]:
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and needed only for other packages

        return entry_points(group=self.group)

    def _load(self, point: Any) -> Any:
        try:
            return point.load()
        except ExpError:
            raise
        except (Exception, SystemExit) as error:  # a package may raise anything; the cause is kept
            reason = "it ends the program when it is imported" if isinstance(error, SystemExit) else error
            raise UsageError(
                f"the {self.kind} {point.name!r} ({point.value}) cannot be loaded: {reason}"
            ) from error
