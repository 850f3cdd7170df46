"""The arguments that a callable takes, as far as its file states them for certain; nothing is imported.

Certain are a plain function, and a class with its own `__init__` or with the fields of a dataclass: without
decorators that could change it, without `**`, and defined once. Of anything else nothing is claimed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nemorun_cli.model.problems import choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.model.problems import Place

_DATACLASSES: Final = ("dataclass", "dataclasses.dataclass")
_FIELDS: Final = ("field", "dataclasses.field")

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a callable.

    Attributes:
        by_position: the names of those that can be given by position, in their order.
        only_by_position: how many of them cannot be given by name.
        by_name: the names of the others.
        required: the names of those without a default.
        takes_more: whether it takes any number by position.
    """

    by_position: tuple[str, ...]
    by_name: tuple[str, ...]
    required: frozenset[str]
    only_by_position: int = 0
    takes_more: bool = False

    def faults(
        self, name: str, count: int, named: Sequence[str], *, is_partial: bool
    ) -> Iterator[tuple[Place, str, str | None]]:
        """What is wrong with a call: the place in its arguments, a message, and a hint.

        Args:
            name: of the callable.
            count: of the arguments given by position.
            named: the names of the others.
            is_partial: whether more arguments follow when it is called.
        """
        known = (*self.by_position[self.only_by_position :], *self.by_name)
        taken = self.by_position[:count]
        if count > len(self.by_position) and not self.takes_more:
            yield (
                ("_args_",),
                f"{name} takes {len(self.by_position)} arguments by position, not {count}",
                None,
            )
        for given in named:
            if given in taken:
                yield (given,), f"{name} has the argument {given!r} by position, too", None
            elif given not in known:
                yield (given,), f"{name} has no argument {given!r}", choices(given, known)
        missing = [one for one in (*self.by_position, *self.by_name) if one in self.required]
        lacking = [one for one in missing if one not in taken and one not in named]
        if lacking and not is_partial:
            listed = ", ".join(map(repr, lacking))
            yield (), f"{name} needs the argument{'s' * (len(lacking) > 1)} {listed}", None


def in_module(body: Sequence[ast.stmt], name: str) -> Signature | None:
    """What the callable of this name takes, by the statements of its module; None if they leave it open."""
    found = [node for node in body if isinstance(node, (_Function, ast.ClassDef)) and node.name == name]
    if len(found) != 1:
        return None
    (node,) = found
    if isinstance(node, ast.ClassDef):
        return _of_class(node)
    return None if node.decorator_list else _of_function(node.args)


def _of_function(args: ast.arguments, *, skips: int = 0) -> Signature | None:
    """The signature of a function; of a method without its first parameters."""
    if args.kwarg is not None:
        return None
    ordered = [*args.posonlyargs, *args.args]
    required = [one.arg for one in ordered[: len(ordered) - len(args.defaults)]]
    required += [one.arg for one, value in zip(args.kwonlyargs, args.kw_defaults, strict=True) if not value]
    names = tuple(one.arg for one in ordered)
    return Signature(
        by_position=names[skips:],
        by_name=tuple(one.arg for one in args.kwonlyargs),
        required=frozenset(required) - set(names[:skips]),
        only_by_position=max(0, len(args.posonlyargs) - skips),
        takes_more=args.vararg is not None,
    )


def _of_class(node: ast.ClassDef) -> Signature | None:
    methods = {one.name: one for one in node.body if isinstance(one, _Function)}
    if node.keywords or "__new__" in methods:
        return None
    if node.decorator_list:
        return _of_dataclass(node, methods)
    init = methods.get("__init__")
    return _of_function(init.args, skips=1) if init and not init.decorator_list else None


def _of_dataclass(node: ast.ClassDef, methods: dict[str, _Function]) -> Signature | None:
    names = [ast.unparse(one.func if isinstance(one, ast.Call) else one) for one in node.decorator_list]
    options = [one for decorator in node.decorator_list for one in getattr(decorator, "keywords", ())]
    shapes = {option.arg for option in options} & {"init", "kw_only", None}
    if len(names) != 1 or names[0] not in _DATACLASSES or shapes or node.bases or "__init__" in methods:
        return None
    by_position: list[str] = []
    by_name: list[str] = []
    required: list[str] = []
    target = by_position
    for one in node.body:
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
            continue
        kind = ast.unparse(one.annotation)
        if kind in ("KW_ONLY", "dataclasses.KW_ONLY"):
            target = by_name
        elif "ClassVar" in kind or (is_set := _is_set(one.value)) is None:
            continue
        else:
            target.append(one.target.id)
            required += [] if is_set else [one.target.id]
    return Signature(tuple(by_position), tuple(by_name), frozenset(required))


def _is_set(value: ast.expr | None) -> bool | None:
    """Whether a field of a dataclass has a default; None if it is no parameter."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func) not in _FIELDS:
        return value is not None
    options: dict[str | None, Any] = {one.arg: one.value for one in value.keywords}
    if "init" in options and getattr(options["init"], "value", True) is False:
        return None
    return "default" in options or "default_factory" in options
