"""Dataclasses that check the names of their fields: when an instance is made, and when a field is set."""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices, nearest

if TYPE_CHECKING:
    from collections.abc import Collection

_IN_QUOTES: Final = re.compile("'([^']+)'")


class FieldNames(type):
    """The metaclass: a call with a wrong field is a UsageError that names it, and no TypeError."""

    def __call__(cls, *values: Any, **named: Any) -> Any:
        """A new instance.

        Raises:
            UsageError: a field does not exist, is missing, or is given by position.
        """
        signature = cls.__signature__
        try:
            signature.bind(*values, **named)
        except TypeError as error:
            raise _explained(cls.__name__, error, [*signature.parameters], named) from None
        return super().__call__(*values, **named)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The fields as `inspect.signature` has them, which would take those of `__call__`."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]  # that of the class itself
        return own.replace(parameters=list(own.parameters.values())[1:])


def _explained(kind: str, error: TypeError, known: list[str], named: dict[str, Any]) -> UsageError:
    if unknown := [name for name in named if name not in known]:
        return UsageError(f"{kind} has no field {unknown[0]!r}", hint=choices(unknown[0], known))
    name = _IN_QUOTES.search(str(error))
    if name is None:  # too many positional arguments
        return UsageError(f"{kind} takes its fields by name", hint=f"there are: {', '.join(known)}")
    return UsageError(f"{kind} needs the field {name[0]}", hint=f"write {kind}({name[1]}=…)")


class NamedFields(metaclass=FieldNames):
    """The base class: such an object can be changed, cloned, compared and pickled."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            self._require_known(name)
        object.__setattr__(self, name, value)

    def _require_known(self, name: str) -> None:
        """Refuse a name that is no field; a derived class may have attributes with names of their own."""
        known = field_names(self)
        is_derived = type(self).__module__.partition(".")[0] != __name__.partition(".")[0]
        if name not in known and not (is_derived and nearest(name, known) is None):
            raise UsageError(f"{type(self).__name__} has no field {name!r}", hint=choices(name, known))

    def clone(self) -> Self:
        """An independent copy."""
        return copy.deepcopy(self)


class ConfigurableMixin:
    """The base class of a program's own dataclasses: they can be cloned."""

    def clone(self) -> Self:
        """An independent copy."""
        return copy.deepcopy(self)


def field_names(instance: Any) -> list[str]:
    """The names of the fields of a dataclass instance."""
    return [field.name for field in fields(instance)]


def is_default(instance: Any, name: str) -> bool:
    """Whether a field of a dataclass instance has its default value; a field without one never has."""
    field: Field[Any] = next(field for field in fields(instance) if field.name == name)
    made = field.default_factory
    default = field.default if made is MISSING else made()
    return default is not MISSING and bool(getattr(instance, name) == default)


# Values that a type of a field accepts; a text may be a number, as in `mem=0`.
_BUILT_IN: Final[dict[str, tuple[type, ...]]] = {
    "bool": (bool,),
    "dict": (dict,),
    "float": (float, int),
    "int": (int,),
    "list": (list, tuple),
    "str": (str, int),
}


def require_types(instance: Any, names: Collection[str]) -> None:
    """Check the values of these fields of a dataclass instance; None is accepted everywhere.

    Raises:
        UsageError: a value has another type than its field.
    """
    for item in fields(instance):
        value = getattr(instance, item.name)
        if item.name in names and value is not None and isinstance(item.type, str):
            wanted = [kind.partition("[")[0] for kind in item.type.split(" | ")]
            if not any(_is_of(value, kind) for kind in wanted):
                words = " or ".join(kind for kind in wanted if kind != "None")
                raise UsageError(
                    f"{type(instance).__name__}.{item.name} is {value!r}", hint=f"give it {words}"
                )


def _is_of(value: Any, kind: str) -> bool:
    if kind in _BUILT_IN:
        return isinstance(value, _BUILT_IN[kind]) and (kind == "bool" or not isinstance(value, bool))
    return kind == "Any" or kind in (base.__name__ for base in type(value).__mro__)
