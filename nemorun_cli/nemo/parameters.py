"""The parameters of a callable: which arguments have names, which are accepted, and their defaults."""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ABSENT: Final = object()  # there is no such parameter, or it has no default


class Parameters:
    """The parameters of a callable; of one without a signature nothing is known, and any name is accepted."""

    __slots__ = ("_all", "_is_known", "signature", "target")

    def __init__(self, target: Callable[..., Any]) -> None:
        self.target = target
        self.signature = arguments.signature_of(target)
        self._is_known = self.signature is not None
        self._all = {} if self.signature is None else dict(self.signature.parameters)

    def names(self) -> list[str]:
        """Those of the arguments that can be given by name."""
        return [
            one.name
            for one in self._all.values()
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        ]

    def accepts(self, name: str) -> bool:
        """Whether an argument can be given by this name."""
        if not self._is_known or name in self.names():
            return True
        return name not in self._all and any(one.kind is one.VAR_KEYWORD for one in self._all.values())

    def bound(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """The arguments by their names, and those that have only a position; raises UsageError."""
        if self.signature is None:
            return dict(named), list(positional)
        found = arguments.bind(self.target, self.signature, positional, named)
        by_name: dict[str, Any] = {}
        by_position: list[Any] = []
        for name, value in found.arguments.items():
            kind = self._all[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                by_position += value
            elif kind is inspect.Parameter.VAR_KEYWORD:
                by_name |= value
            elif kind is inspect.Parameter.POSITIONAL_ONLY:
                by_position.append(value)
            else:
                by_name[name] = value
        return by_name, by_position

    def before_rest(self, count: int) -> tuple[int, list[str]]:
        """Where arguments that have names are among `count` positional ones, and which of them must be there.

        Python takes `*args` only after these.
        """
        only = sum(one.kind is one.POSITIONAL_ONLY for one in self._all.values())
        if not self._is_known or count <= only:
            return count, []
        return only, [one.name for one in self._all.values() if one.kind is one.POSITIONAL_OR_KEYWORD]

    def defaults(self) -> dict[str, Any]:
        """The defaults as the signature has them, by name."""
        return {one.name: one.default for one in self._all.values() if one.default is not one.empty}

    def factory(self, name: str) -> Callable[[], Any] | None:
        """What makes the default of a field of a dataclass."""
        field = getattr(self.target, "__dataclass_fields__", {}).get(name)
        factory = getattr(field, "default_factory", None)
        return factory if callable(factory) else None

    def annotated(self) -> Iterator[tuple[str, Any]]:
        """The names of parameters with what their annotations add: `Annotated[…, Config[T]]`."""
        for name, parameter in self._all.items():
            for added in getattr(parameter.annotation, "__metadata__", ()):
                yield name, added


def callable_given(given: Any) -> Any:
    """What a program means by a callable: `{}` and `dict[str, int]` are `dict`."""
    return dict if type(given) is dict and not given else typing.get_origin(given) or given
