"""`autoconvert`: a function that makes objects becomes one that makes the Configs of these objects.

The function is compiled again from its source, with each call passed to `_Calls`, which decides whether it
becomes a Config or is made. So loops, conditions and comprehensions of the function work as they are written.
"""

from __future__ import annotations
import __future__

import ast
import copy
import functools
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeVar, overload

from nemorun_cli import arguments
from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.calls import Config, MutableCall, Partial, cast, changeable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

P = ParamSpec("P")
T = TypeVar("T")
_CALLS: Final = "__autoconvert_calls__"  # the name of `_Calls` in the compiled function
_SCOPE: Final = "__autoconvert_scope__"  # the function around it, which has the variables of its closure
_MADE: Final = (copy.copy, copy.deepcopy, typing.cast)  # functions of which a program needs the result
_MADE_MODULES: Final = ("builtins", "itertools")
_OF_TEXT: Final = (str, int, float, bool)  # of a Config they would be other values than of the object
_CONDITIONS: Final = ("test", "ifs", "guard")  # fields of expressions and statements
_KEPT: Final = ("decorator_list", "annotation", "returns")  # fields that are no part of what a function makes
# Expressions and statements that need the result of a call that is directly in them.
_NEEDED: Final[dict[type[ast.AST], tuple[str, ...]]] = {
    ast.Attribute: ("value",),
    ast.Subscript: ("value", "slice"),
    ast.BinOp: ("left", "right"),
    ast.UnaryOp: ("operand",),
    ast.Compare: ("left", "comparators"),
    ast.FormattedValue: ("value",),
    ast.AugAssign: ("value",),
    ast.Raise: ("exc", "cause"),
    ast.Starred: ("value",),
    ast.For: ("iter",),
    ast.comprehension: ("iter",),
    ast.withitem: ("context_expr",),
    ast.Match: ("subject",),
}


@overload
def autoconvert(fn: Callable[P, Config[T]], *, partial: Literal[False] = ...) -> Callable[P, Config[T]]: ...
@overload
def autoconvert(fn: Callable[P, Partial[T]], *, partial: bool = ...) -> Callable[P, Partial[T]]: ...  # type: ignore[overload-overlap]
@overload
def autoconvert(fn: Callable[P, T], *, partial: Literal[False] = ...) -> Callable[P, Config[T]]: ...
@overload
def autoconvert(
    fn: None = None, *, partial: Literal[True]
) -> Callable[[Callable[P, Any]], Callable[P, Partial[Any]]]: ...
@overload
def autoconvert(
    fn: None = None, *, partial: Literal[False] = ...
) -> Callable[[Callable[P, Any]], Callable[P, Config[Any]]]: ...


def autoconvert(fn: Any = None, *, partial: bool = False) -> Any:
    """A decorator: the function returns a Config of what it would return, or a Partial.

    Calls of functions and classes in it become Configs. Made are the calls of builtins, of methods of
    objects, of other converted functions, of functions that are defined in it, and those whose result is
    needed for a condition, an operation or an attribute, or not used.

    Args:
        fn: the function; its `wrapped` is the original one.
        partial: whether what it returns becomes a Partial. It also does if the function is annotated as one
            that returns a Partial, or returns a Partial of its own.

    Raises:
        UsageError: at its first call, if its source is not available, or it returns what no call makes.
    """
    if fn is None:
        return functools.partial(_converted, partial=partial)
    return _converted(fn, partial=partial)


def _converted(fn: Any, *, partial: bool) -> Any:
    original = getattr(fn, "wrapped", fn)
    _require_function(original)
    compiled = functools.cache(functools.partial(_compiled, original))

    @functools.wraps(original)
    def convert(*args: Any, **kwargs: Any) -> Any:
        return _as_wanted(compiled()(*args, **kwargs), original, partial=partial)

    convert.wrapped = original  # type: ignore[attr-defined]
    convert.__auto_config__ = True  # type: ignore[attr-defined]
    return convert


def _require_function(fn: Any) -> None:
    name = arguments.shown_name(fn)
    if not isinstance(fn, types.FunctionType) or fn.__name__ == "<lambda>":
        raise UsageError(f"autoconvert converts functions, not {name}", hint="define it with def")
    if hasattr(fn, "__wrapped__"):
        raise UsageError(
            f"autoconvert cannot convert {name}, which another decorator has changed",
            hint="put @autoconvert next to the function",
        )
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise UsageError(f"autoconvert converts functions that return, not {name}")


def _as_wanted(result: Any, fn: Any, *, partial: bool) -> Any:
    """What the function returned, as a Config or a Partial; of a list or a tuple each item."""
    if type(result) in (list, tuple):
        return type(result)(_as_wanted(item, fn, partial=partial) for item in result)
    call = changeable(result)
    if not isinstance(call, MutableCall):
        raise UsageError(
            f"{arguments.shown_name(fn)} returns {result!r}, not what a call makes",
            hint="return an object, or remove @autoconvert",
        )
    annotated = _annotated(fn)
    is_partial = partial or annotated is Partial or (isinstance(call, Partial) and annotated is not Config)
    return cast(Partial if is_partial else Config, call)


def _annotated(fn: Any) -> type[MutableCall[Any]] | None:
    """Whether the function is annotated as one that returns a Config or a Partial."""
    annotation = fn.__annotations__.get("return")
    if isinstance(annotation, str):
        name = annotation.partition("[")[0].rpartition(".")[2].strip()
        return {"Config": Config, "Partial": Partial}.get(name)
    kind = typing.get_origin(annotation) or annotation
    return kind if kind in (Config, Partial) else None


class _Calls:
    """What takes the place of each call in a converted function."""

    def __init__(self) -> None:
        self.own: frozenset[types.CodeType] = frozenset()  # the code of functions that are defined in it

    def __call__(self, target: Any, /, *args: Any, **kwargs: Any) -> Any:
        if target is functools.partial:
            return Partial(*args, **kwargs)
        is_later = target in _OF_TEXT and isinstance(next(iter(args), None), MutableCall)
        if self._is_made(target) and not is_later:
            return target(*args, **kwargs)
        return Config(target, *args, **kwargs)

    def known_truth(self, value: Any) -> Any:
        """A value on which a condition depends; raises UsageError if only the task knows it."""
        is_object = isinstance(value, MutableCall) and isinstance(value.__fn_or_cls__, type)
        return value if is_object else self.known_text(value)

    def known_text(self, value: Any) -> Any:
        """A value that becomes part of a text; raises UsageError if only the task knows it."""
        if isinstance(value, MutableCall):
            raise UsageError(
                f"the task makes the call {value!r}, whose result is not known here",
                hint="make the call in the condition or the text itself, or outside of the function",
            )
        return value

    def _is_made(self, target: Any) -> bool:
        target = typing.get_origin(target) or target
        if isinstance(target, type):
            is_made = issubclass(target, (MutableCall, arguments.Call, BaseException))
            return is_made or target.__module__ in _MADE_MODULES
        if isinstance(target, (types.MethodType, types.BuiltinMethodType)):
            return not isinstance(target.__self__, type)  # a class method makes an object
        is_own = getattr(inspect.unwrap(target), "__code__", None) in self.own
        return is_own or bool(getattr(target, "__auto_config__", False)) or target in _MADE


class _Rewriter(ast.NodeTransformer):
    """Passes the calls of a function to `_Calls`, but for those whose result it needs, or does not use."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Visit what the node contains, without conditions and the calls whose result it needs."""
        needed = _NEEDED.get(type(node), ())
        for name, value in ast.iter_fields(node):
            if name not in _KEPT:
                change = functools.partial(
                    self._changed, is_condition=name in _CONDITIONS, is_needed=name in needed
                )
                setattr(node, name, list(map(change, value)) if isinstance(value, list) else change(value))
        return node

    def _changed(self, value: Any, *, is_condition: bool, is_needed: bool) -> Any:
        if not isinstance(value, ast.AST) or (is_needed and isinstance(value, ast.Call)):
            return value
        return _condition(value) if is_condition else self.visit(value)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return _passed("__call__", node.func, *node.args, keywords=node.keywords)

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        self.generic_visit(node.value if isinstance(node.value, ast.Call) else node)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        is_needed = node.arg is None and isinstance(node.value, ast.Call)  # **f()
        if not is_needed:
            self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.BoolOp:
        node.values = [*map(_condition, node.values[:-1]), self.visit(node.values[-1])]
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        if not any(isinstance(each, (ast.Is, ast.IsNot)) for each in node.ops):
            node.left, *node.comparators = map(_condition, (node.left, *node.comparators))
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        self.generic_visit(node)
        node.value = _passed("known_text", node.value)
        return node


def _condition(test: Any) -> ast.expr:
    """A condition that raises an error if it depends on what only the task makes."""
    if isinstance(test, ast.BoolOp):
        test.values = list(map(_condition, test.values))
        return test
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test.operand = _condition(test.operand)
        return test
    return _passed("known_truth", test)


def _passed(method: str, *args: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.expr:
    """The call of a method of `_Calls`."""
    function = ast.Attribute(ast.Name(_CALLS, ast.Load()), method, ast.Load())
    return ast.copy_location(ast.Call(function, list(args), list(keywords)), args[0])


def _compiled(fn: types.FunctionType) -> types.FunctionType:
    """The function with its calls passed to `_Calls`; it has the same globals, closure and defaults."""
    calls = _Calls()
    definition = _definition(fn)
    names = [*fn.__code__.co_freevars, _CALLS]
    scope = ast.FunctionDef(_SCOPE, _parameters(names), [definition], [])
    module = ast.fix_missing_locations(ast.Module([scope], []))
    flags = fn.__code__.co_flags & __future__.annotations.compiler_flag
    code = compile(module, fn.__code__.co_filename, "exec", flags, dont_inherit=True)
    code = _code_named(_code_named(code, _SCOPE), fn.__name__)
    calls.own = frozenset(_codes_within(code))
    cells = dict(zip(names, [*(fn.__closure__ or ()), types.CellType(calls)], strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    made = types.FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, closure)
    made.__kwdefaults__, made.__qualname__ = fn.__kwdefaults__, fn.__qualname__
    return made


def _definition(fn: types.FunctionType) -> ast.FunctionDef:
    """The definition of the function with rewritten calls, at its own lines."""
    name = arguments.shown_name(fn)
    try:
        source = inspect.getsource(fn)
    except OSError:
        raise UsageError(
            f"autoconvert needs the source of {name}, which is not available",
            hint="define it in a file, or return run.Config(Class, …) without @autoconvert",
        ) from None
    module = ast.parse(f"if 1:\n{source}" if source[:1].isspace() else source)
    line = fn.__code__.co_firstlineno - (2 if source[:1].isspace() else 1)
    found = [
        node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == fn.__name__
    ]
    if not found:
        raise UsageError(f"the source of {name} has changed since it was imported")
    definition = found[0]
    definition.decorator_list, definition.returns = [], None
    definition.body = [_Rewriter().visit(node) for node in definition.body]
    for node in ast.walk(definition.args):
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.increment_lineno(definition, line)


def _parameters(names: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])


def _code_named(code: types.CodeType, name: str) -> types.CodeType:
    return next(each for each in _codes(code) if each.co_name == name)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    return (each for each in code.co_consts if isinstance(each, types.CodeType))


def _codes_within(code: types.CodeType) -> Iterator[types.CodeType]:
    for each in _codes(code):
        yield each
        yield from _codes_within(each)
