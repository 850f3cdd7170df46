"""Jinja2's sandbox restricted to expressions over plain values: no attributes, few methods, size limits.

Sizes do not limit the time: the work of a filter such as `sum` or `reject` can grow with the square of its
list. Only expressions that are simple by their syntax are evaluated in this process, over small values;
`helper_process` evaluates the others.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jinja2
from jinja2 import meta, nodes
from jinja2.filters import FILTERS
from jinja2.sandbox import SandboxedEnvironment

from nemorun_cli.model.problems import choices
from nemorun_cli.spec.expressions.syntax import ROOTS, TemplateError

if TYPE_CHECKING:
    from jinja2.environment import TemplateExpression

MAX_SIZE = 1_000_000  # characters and items of a value
MAX_RANGE = 10_000
SMALL: Final = 2_000  # characters and items of the values of an expression that is evaluated in this process
_MAX_BITS = 4_096  # of a whole number
_MAX_PRECISION = 300  # digits; a float has no more

_FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    NameError,  # Jinja compiles 1e999 to a name, inf
    RecursionError,
    TypeError,
    ValueError,
)
"""Exceptions that an error in a spec can cause; any other one is a bug in exp."""

_METHODS = frozenset(
    [
        "capitalize",
        "count",
        "endswith",
        "find",
        "isalnum",
        "isalpha",
        "isdecimal",
        "isdigit",
        "islower",
        "isspace",
        "isupper",
        "lower",
        "lstrip",
        "partition",
        "removeprefix",
        "removesuffix",
        "rfind",
        "rpartition",
        "rsplit",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "title",
        "upper",
    ]
)
"""Methods of text whose results are no longer than the text."""

_FILTERS = [
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "items",
    "last",
    "length",
    "lower",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "sort",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
]


_SIMPLE_FILTERS: Final = frozenset(
    [
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "first",
        "float",
        "int",
        "join",
        "last",
        "length",
        "lower",
        "max",
        "min",
        "round",
        "string",
        "title",
        "tojson",
        "trim",
        "upper",
    ]
)
"""Filters that apply no other filter or test, and whose work grows no faster than the size of their input."""

_SIMPLE_METHODS: Final = _METHODS - {"rfind", "rpartition", "rsplit"}  # they search in quadratic time

_SIMPLE_NODES: Final = (
    *(nodes.Add, nodes.And, nodes.Compare, nodes.Concat, nodes.CondExpr, nodes.Const, nodes.Dict, nodes.Div),
    *(nodes.FloorDiv, nodes.Getattr, nodes.Getitem, nodes.List, nodes.Mod, nodes.Mul, nodes.Name, nodes.Neg),
    *(nodes.Not, nodes.Or, nodes.Pos, nodes.Pow, nodes.Slice, nodes.Sub, nodes.Test, nodes.Tuple),
)


class TooLargeError(Exception):
    """A value is too large to be computed in this process."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled expression; `is_simple` if over small values it takes next to no time."""

    run: TemplateExpression
    is_simple: bool


@functools.lru_cache(maxsize=512)
def compiled(code: str, *, most: int = SMALL) -> Compiled:
    """Return the compiled expression; raises TemplateError for wrong syntax and unknown names.

    Args:
        code: the expression, its names rewritten for Jinja.
        most: the size of its largest intermediate value, beyond which it raises TooLargeError.
    """
    environment = _environment(most)
    try:
        # `meta` works on templates, so the expression is parsed within one.
        tree = environment.parse("{{ " + code + "\n}}")
        unknown = meta.find_undeclared_variables(tree) - {*ROOTS, "range"}
        if unknown:
            name = min(unknown)
            raise TemplateError(f"unknown name {name!r} in an expression", hint=choices(name, ROOTS))
        run = environment.compile_expression(code, undefined_to_none=False)
        return Compiled(run, all(map(_is_simple, tree.find_all(nodes.Expr))))
    except jinja2.TemplateSyntaxError as fault:
        raise TemplateError(f"is not a valid expression: {fault.message}") from None
    except (RecursionError, SyntaxError, MemoryError):  # of Jinja's parser, or of Python's
        raise TemplateError("is nested too deeply") from None


def _is_simple(node: nodes.Expr) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _SIMPLE_FILTERS
    if isinstance(node, nodes.Call):
        return isinstance(node.node, nodes.Getattr) and node.node.attr in _SIMPLE_METHODS
    return isinstance(node, _SIMPLE_NODES)


def evaluate(code: str, names: Mapping[str, Any], *, most: int = MAX_SIZE) -> Any:
    """Return the value of the expression as plain data; raises TemplateError.

    Raises TooLargeError for an intermediate value that is larger than `most`.
    """
    expression = compiled(code, most=most).run
    try:
        value = expression(**names)
        if isinstance(value, jinja2.Undefined):
            str(value)  # a strict undefined raises its message
        return _plain(value, SizeBudget())
    except MemoryError:
        raise TemplateError("cannot be evaluated: it needs too much memory") from None
    except _FAULTS as fault:
        message = getattr(fault, "message", None) or str(fault) or type(fault).__name__
        raise TemplateError(f"cannot be evaluated: {message}") from None


class SizeBudget:
    """The remaining size that a value may have."""

    def __init__(self) -> None:
        self._remaining = MAX_SIZE

    def spend(self, size: int) -> None:
        """Count characters or items; raises ValueError when MAX_SIZE is exceeded."""
        self._remaining -= size
        if self._remaining < 0:
            raise ValueError(f"the result is larger than {MAX_SIZE:,} characters")


def _plain(value: Any, budget: SizeBudget) -> Any:
    """Return the value with tuples, ranges and generators as lists, which YAML and JSON can represent."""
    if value is None or isinstance(value, (bool, float)):
        budget.spend(1)
        return value
    if isinstance(value, int):
        budget.spend(1 + value.bit_length() // 3)
        return value
    if isinstance(value, str):
        budget.spend(len(value))
        return str(value) if type(value) is not str else value
    budget.spend(1)
    if isinstance(value, jinja2.Undefined) or callable(value):
        raise TypeError("the result is not a plain value")
    if isinstance(value, Mapping):
        return {str(key): _plain(item, budget) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_plain(item, budget) for item in value]
    raise TypeError(f"the result is a {type(value).__name__}, not a plain value")


_KINDS: dict[type, str] = {int: "a number", float: "a number", bool: "a boolean", list: "a list"}


class _Sandbox(SandboxedEnvironment):
    """Allows access to the keys of mappings and a few methods of text, and to nothing else."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self, most: int) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, optimized=False, cache_size=0)
        self._most = most

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, str) and attribute in _METHODS:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, jinja2.Undefined):
            return obj
        if isinstance(obj, Mapping):
            if argument in obj:
                return obj[argument]
            return self.undefined(f"no {argument!r} exists ({choices(str(argument), map(str, obj))})")
        if isinstance(obj, (str, list, tuple, range)) and isinstance(argument, int):
            try:
                return obj[argument]
            except IndexError:
                return self.undefined(f"no item {argument} exists among {len(obj)}")
        kind = "text" if isinstance(obj, str) else _KINDS.get(type(obj), "this value")
        return self.undefined(f"{kind} has no {argument!r} (filters can be used: x | upper)")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            _check_power(left, right)
        elif operator == "%" and not isinstance(left, (int, float)):
            raise TypeError("% works on numbers only")
        elif operator == "*" and not all(isinstance(side, (int, float)) for side in (left, right)):
            self.check_size(_size_repeated(left, right))
        elif operator == "+" and isinstance(left, (str, list, tuple)):
            self.check_size(len(left) + len(right))
        return _checked(super().call_binop(context, operator, left, right))

    def check_size(self, size: int) -> None:
        """Check the size of a value before it is made; raises ValueError or TooLargeError."""
        SizeBudget().spend(size)
        if size > self._most:
            raise TooLargeError

    def is_safe_callable(self, obj: Any) -> bool:
        owner = None if isinstance(obj, jinja2.Undefined) else getattr(obj, "__self__", None)
        is_method = isinstance(owner, str) and obj.__name__ in _METHODS
        # Calling an undefined name raises its message.
        return obj is _range or is_method or isinstance(obj, jinja2.Undefined)


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and abs(left).bit_length() * right > _MAX_BITS:
        raise ValueError("the power is too large")


def _size_repeated(left: Any, right: Any) -> int:
    text, count = (left, right) if isinstance(left, str) else (right, left)
    if not isinstance(text, str) or not isinstance(count, int):
        raise TypeError("* works on numbers, or repeats text")  # nested lists could grow without bound
    return len(text) * max(count, 0)


def _checked(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueError(f"a number has more than {_MAX_BITS:,} bits")
    return value


def _int(value: Any, default: int = 0, base: int = 10) -> Any:
    return _checked(FILTERS["int"](value, default, base))


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    if abs(precision) > _MAX_PRECISION:
        raise ValueError(f"round accepts at most {_MAX_PRECISION} digits")
    rounded: float = FILTERS["round"](value, precision, method)
    return rounded


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise ValueError(f"range has more than {MAX_RANGE:,} numbers")
    return list(numbers)


def _bounded(values: Iterable[Any]) -> list[Any]:
    """Return a list of the values; raises ValueError when MAX_SIZE is exceeded."""
    budget, items = SizeBudget(), []
    for value in values:
        budget.spend(len(value) if isinstance(value, str) else 1)
        items.append(value)
    return items


def _join(values: Iterable[Any], separator: str = "", attribute: str | int | None = None) -> str:
    texts = [value if isinstance(value, str) else _text(value) for value in values]
    if attribute is not None:
        raise ValueError("join has no attribute argument; use map(attribute=…) before it")
    SizeBudget().spend(sum(len(text) + len(separator) for text in texts))
    return separator.join(_bounded(texts))


def _replace(text: str, old: str, new: str) -> str:
    SizeBudget().spend(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _json(value: Any) -> str:
    return json.dumps(_plain(value, SizeBudget()), ensure_ascii=False)


def _text(value: Any) -> str:
    from nemorun_cli.model.plain_text import text_of  # noqa: PLC0415 - avoids an import cycle

    return text_of(_plain(value, SizeBudget()))


@jinja2.pass_context
def _map(context: Any, values: Iterable[Any], *args: Any, **options: Any) -> list[Any]:
    mapped: Callable[..., Iterable[Any]] = FILTERS["map"]
    return _bounded(mapped(context, values, *args, **options))


@jinja2.pass_environment
def _limited_join(
    environment: _Sandbox, values: Iterable[Any], separator: str = "", attribute: str | int | None = None
) -> str:
    joined = _join(values, separator, attribute)
    environment.check_size(len(joined))
    return joined


@functools.cache
def _environment(most: int) -> _Sandbox:
    environment = _Sandbox(most)
    own: dict[str, Callable[..., Any]] = {
        "int": _int,
        "join": _limited_join,
        "keys": list,
        "list": _bounded,
        "map": _map,
        "replace": _replace,
        "round": _round,
        "string": _text,
        "tojson": _json,
        "values": lambda mapping: list(mapping.values()),
    }
    environment.filters = {**{name: FILTERS[name] for name in _FILTERS}, **own}
    environment.globals = {"range": _range}
    return environment
