"""Entrypoints: functions of a program that are started from the command line with `key=value` arguments."""

from __future__ import annotations

import builtins
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.cli.annotations import parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    Fn = TypeVar("Fn", bound=Callable[..., Any])

# The types of entrypoints.
TYPES: Final = ("task", "experiment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint:
    """A function that a command line starts, and what it begins with; `entrypoint` explains the fields."""

    fn: Callable[..., Any]
    name: str
    namespace: str
    help_str: str
    type: str = "task"
    skip_confirmation: bool = False
    enable_executor: bool = True
    default_factory: Callable[..., Any] | None = None
    default_executor: Any = None
    default_plugins: Any = None
    run_ctx_cls: Any = None

    @property
    def path(self) -> str:
        """The module and the function."""
        return f"{self.namespace}.{self.fn.__name__}"

    @property
    def takes_context(self) -> bool:
        """Whether the function gets its RunContext as `ctx`; one that is a task cannot."""
        is_here = self.type == "experiment" or not self.enable_executor
        return is_here and "ctx" in inspect.signature(self.fn).parameters

    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters that the command line gives, with resolved annotations."""
        known = parameters(self.fn)
        return {name: each for name, each in known.items() if name != "ctx" or not self.takes_context}

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """Call the function."""
        return self.fn(*positional, **named)


_registered: list[Entrypoint] = []


@overload
def entrypoint(fn: Fn) -> Fn: ...
@overload
def entrypoint(
    fn: None = None,
    *,
    name: str | None = ...,
    namespace: str | None = ...,
    help: str | None = ...,
    skip_confirmation: bool = ...,
    enable_executor: bool = ...,
    default_factory: Callable[..., Any] | None = ...,
    default_executor: Any = ...,
    default_plugins: Any = ...,
    entrypoint_cls: Any = ...,
    type: str = ...,
    run_ctx_cls: Any = ...,
) -> Callable[[Fn], Fn]: ...


def entrypoint(
    fn: Fn | None = None,
    *,
    name: str | None = None,
    namespace: str | None = None,
    help: str | None = None,  # noqa: A002 - as in NeMo-Run
    skip_confirmation: bool = False,
    enable_executor: bool = True,
    default_factory: Callable[..., Any] | None = None,
    default_executor: Any = None,
    default_plugins: Any = None,
    entrypoint_cls: Any = None,
    type: str = "task",  # noqa: A002 - as in NeMo-Run
    run_ctx_cls: Any = None,
) -> Any:
    """Make a function one that `main` can start: `python train.py model.hidden=256 lr=1e-3`.

    Args:
        fn: the function; it stays as it is.
        name: that of its task or experiment; by default the function's.
        namespace: for `list_entrypoints`; by default the module.
        help: its description for `--help`; by default its docstring.
        skip_confirmation: whether nothing is asked at a terminal before it starts.
        enable_executor: whether it has options and an executor; without, it is just called.
        default_factory: makes the Partial, or the Config, that it begins with.
        default_executor: where it runs, unless the command line chooses another executor.
        default_plugins: its plugins, unless the command line chooses others.
        entrypoint_cls: a subclass of `Entrypoint`.
        type: `task`: the function is one; `experiment`: it makes an experiment, with a RunContext as `ctx`.
        run_ctx_cls: a subclass of RunContext, whose fields are set by `run.field=value`.

    Raises:
        UsageError: the type does not exist, or the function has an argument with a reserved name.
    """
    if type not in TYPES:
        raise UsageError(
            f"an entrypoint of type {type!r} does not exist", hint=f"there are: {', '.join(TYPES)}"
        )
    kind = entrypoint_cls or Entrypoint
    if not (isinstance(kind, builtins.type) and issubclass(kind, Entrypoint)):
        raise UsageError(f"entrypoint_cls is {kind!r}", hint="give a subclass of run.cli.Entrypoint")

    def register(function: Fn) -> Fn:
        names = inspect.signature(function).parameters
        if type == "task" and "executor" in names:
            raise UsageError(
                f"{function.__name__}: the argument 'executor' is reserved: it chooses where the task runs",
                hint="give it another name",
            )
        if default_factory is not None:
            from nemorun_cli.nemo.cli.factories import factory  # noqa: PLC0415 - many have none

            factory(default_factory, function, is_target_default=True)  # type: ignore[call-overload]
        made = kind(
            fn=function,
            name=name or function.__name__,
            namespace=namespace or function.__module__,
            help_str=help or inspect.getdoc(function) or "",
            type=type,
            skip_confirmation=skip_confirmation,
            enable_executor=enable_executor,
            default_factory=default_factory,
            default_executor=default_executor,
            default_plugins=default_plugins,
            run_ctx_cls=run_ctx_cls,
        )
        _registered.append(made)
        function.cli_entrypoint = made  # type: ignore[attr-defined]
        return function

    return register if fn is None else register(fn)


def list_entrypoints(namespace: str | None = None) -> dict[str, Entrypoint]:
    """The entrypoints of a namespace, or all, by module and function."""
    return {
        known.path: known
        for known in _registered
        if namespace is None or known.path.startswith(f"{namespace}.")
    }
