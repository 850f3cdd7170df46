"""The fields of objects that group values, such as mappings, dataclasses and classes of settings.

Libraries are recognised by what their classes have, and none is imported that the program did not import.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

MOST_SHOWN: Final = 200  # characters of an error of another library
_NAMESPACES: Final = frozenset({("argparse", "Namespace"), ("types", "SimpleNamespace")})


def guarded(act: Callable[[], Result], value: object, where: str) -> Result:
    """What a function of another library returns.

    Raises:
        TypeError: it raised an error; the message names the field and contains that error.
    """
    try:
        return act()
    except Exception as error:
        raise TypeError(
            f"{_prefix(where)}{kind_of(value)} cannot be recorded: {type(error).__name__}:"
            f" {str(error)[:MOST_SHOWN]}"
        ) from error


def kind_of(value: object) -> str:
    """The type of a value, for messages."""
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _prefix(where: str) -> str:
    return f"{where}: " if where else ""


def fields_of(value: Any, where: str = "") -> Mapping[Any, Any] | None:
    """The fields of an object that groups values; None for all others.

    These are mappings, also those that only behave like one, dataclasses, attrs, pydantic and msgspec
    objects, named tuples and namespaces. A pydantic object has its extra and computed fields too.

    Raises:
        TypeError: a field cannot be read.
    """
    kind = type(value)
    if kind is dict:
        return value  # type: ignore[no-any-return] # a dict
    if isinstance(value, type):
        return None
    if isinstance(value, Mapping):
        return guarded(lambda: dict(value.items()), value, where)
    reader = _reader(kind)
    return None if reader is None else guarded(lambda: reader(value), value, where)


def _reader(kind: type) -> Callable[[Any], dict[Any, Any]] | None:  # noqa: PLR0911 - one return per kind of value
    """The function that reads the fields of objects of a class, or None."""
    if hasattr(kind, "__dataclass_fields__"):
        return _of_dataclass
    if hasattr(kind, "__attrs_attrs__"):
        return lambda value: _attributes(value, [field.name for field in kind.__attrs_attrs__])
    if _pydantic_fields(kind) is not None:
        return _of_pydantic
    if hasattr(kind, "__struct_fields__"):  # msgspec
        return lambda value: _attributes(value, kind.__struct_fields__)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return lambda value: dict(zip(kind._fields, value, strict=True))
    if any((ancestor.__module__, ancestor.__name__) in _NAMESPACES for ancestor in kind.__mro__):
        return lambda value: dict(vars(value))
    if callable(getattr(kind, "keys", None)) and hasattr(kind, "__getitem__") and not hasattr(kind, "dtype"):
        return _of_keys
    return None


def _of_keys(value: Any) -> dict[Any, Any]:
    keys = list(value.keys())
    if len(set(keys)) < len(keys):
        raise ValueError("it has a key twice")
    return {key: value[key] for key in keys}


def _attributes(value: Any, names: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _of_dataclass(value: Any) -> dict[str, Any]:
    declared = type(value).__dataclass_fields__
    # what an InitVar was given is not kept: the attribute is only its default
    return _attributes(value, [name for name, field in declared.items() if not _is_init_var(field)])


def _is_init_var(field: Any) -> bool:
    return str(getattr(field, "_field_type", None)) == "_FIELD_INITVAR"


def _pydantic_fields(kind: type) -> Mapping[str, Any] | None:
    """The declared fields of a class of pydantic 2 or 1; None for other classes."""
    for names, method in (("model_fields", "model_dump"), ("__fields__", "dict")):
        fields = getattr(kind, names, None) if hasattr(kind, method) else None
        if isinstance(fields, Mapping):
            return fields
    return None


def _of_pydantic(value: Any) -> dict[str, Any]:
    kind = type(value)
    declared = _attributes(value, _pydantic_fields(kind))
    extra = getattr(value, "__pydantic_extra__", None) or {}
    if not hasattr(kind, "model_fields"):  # pydantic 1
        extra = {name: item for name, item in vars(value).items() if name not in declared}
    computed = getattr(kind, "model_computed_fields", None)
    return {**declared, **extra, **{name: getattr(value, name) for name in computed or ()}}


def attributes_of(kind: type, where: str = "") -> dict[str, Any]:
    """The values of a class of settings: declared fields with a default, and public class attributes.

    Inherited ones are included, methods are not. A default that a function makes is that of a new object.

    Raises:
        TypeError: a default cannot be made without an object; the message names the field.
    """
    declared = _defaults(kind, where)
    if _pydantic_fields(kind) is not None or hasattr(kind, "__struct_fields__") or hasattr(kind, "_fields"):
        return declared
    values: dict[str, Any] = {}
    for ancestor in reversed(kind.__mro__[:-1]):
        for name, value in vars(ancestor).items():
            if isinstance(value, type) and not name.startswith("_"):
                values[name] = attributes_of(value, f"{where}.{name}" if where else name)
            elif not (name.startswith("_") or callable(value) or hasattr(type(value), "__get__")):
                values[name] = value
    return {**declared, **{name: value for name, value in values.items() if name not in declared}}


def _defaults(kind: type, where: str) -> dict[str, Any]:
    """The declared fields of a class that have a default."""
    values = {}
    for name, default in _makers(kind):
        values[name] = guarded(default, kind, f"{where}.{name}" if where else name)
    return values


def _makers(kind: Any) -> list[tuple[str, Callable[[], Any]]]:
    """The name of each declared field that has a default, and the function that returns it."""
    if hasattr(kind, "__dataclass_fields__"):
        return _makers_of_dataclass(kind)
    if hasattr(kind, "__attrs_attrs__"):
        return _makers_of_attrs(kind)
    if (fields := _pydantic_fields(kind)) is not None:
        return [(name, _of_field(field)) for name, field in fields.items() if not _is_required(field)]
    if hasattr(kind, "__struct_fields__"):
        return _makers_of_struct(kind)
    if issubclass(kind, tuple) and hasattr(kind, "_field_defaults"):
        return [(name, lambda value=value: value) for name, value in kind._field_defaults.items()]  # type: ignore[misc] # bound early
    return []


def _makers_of_dataclass(kind: Any) -> list[tuple[str, Callable[[], Any]]]:
    missing = sys.modules["dataclasses"].MISSING
    makers: list[tuple[str, Callable[[], Any]]] = []
    for name, field in kind.__dataclass_fields__.items():
        if field.default_factory is not missing:
            makers.append((name, field.default_factory))
        elif hasattr(field.default, "default_factory"):  # a field of pydantic
            if not _is_required(field.default):
                makers.append((name, _of_field(field.default)))
        elif field.default is not missing and not _is_init_var(field):
            makers.append((name, lambda default=field.default: default))  # type: ignore[misc] # bound early
    return makers


def _makers_of_attrs(kind: Any) -> list[tuple[str, Callable[[], Any]]]:
    nothing = sys.modules["attr"].NOTHING
    makers: list[tuple[str, Callable[[], Any]]] = []
    for field in kind.__attrs_attrs__:
        if hasattr(field.default, "takes_self"):
            makers.append((field.name, lambda default=field.default: _made(default)))  # type: ignore[misc] # bound early
        elif field.default is not nothing:
            makers.append((field.name, lambda default=field.default: default))  # type: ignore[misc] # the same
    return makers


def _made(default: Any) -> Any:
    if default.takes_self:
        raise ValueError("its default depends on the object: pass an object instead of the class")
    return default.factory()


def _makers_of_struct(kind: Any) -> list[tuple[str, Callable[[], Any]]]:
    """The same for msgspec, whose defaults are those of the last fields."""
    nothing = sys.modules["msgspec"].NODEFAULT
    makers: list[tuple[str, Callable[[], Any]]] = []
    defaults = kind.__struct_defaults__
    for name, default in zip(
        kind.__struct_fields__[-len(defaults) :] if defaults else (), defaults, strict=True
    ):
        if hasattr(default, "factory"):
            makers.append((name, default.factory))
        elif default is not nothing:
            makers.append((name, lambda default=default: default))  # type: ignore[misc] # bound early
    return makers


def _is_required(field: Any) -> bool:
    """Whether a field of pydantic has no default."""
    return bool(field.is_required() if hasattr(field, "is_required") else field.required)


def _of_field(field: Any) -> Callable[[], Any]:
    def default() -> Any:
        return (
            field.get_default(call_default_factory=True)
            if hasattr(field, "is_required")
            else field.get_default()
        )

    return default
