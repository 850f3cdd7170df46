"""autoconvert of NeMo-Run: a function that makes objects gives Configs of them."""

from __future__ import annotations

import functools
import logging
import os
import pathlib
import traceback
from dataclasses import dataclass
from typing import Any

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.executors import run_partial
from nemorun_cli.nemo import calls
from nemorun_cli.nemo import calls as run
from nemorun_cli.nemo.autoconvert import autoconvert
from nemorun_cli.nemo.calls import Config, Partial


@dataclass
class Model:
    """A dataclass."""

    hidden: int = 1
    parts: Any = None


class Loader:
    """A class with another way to make it."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def local(cls, name: str) -> Loader:
        """One of this machine."""
        return cls(f"/{name}")


@autoconvert
def model(hidden: int = 1000, *, parts: Any = None) -> Model:
    """A model."""
    return Model(hidden, parts=parts)


def plain(value: Any) -> Any:
    """A function that is not converted."""
    return value


def test_a_function_gives_the_config_of_what_it_makes() -> None:
    """With its defaults and arguments; the original stays as `wrapped`, its name and text too."""
    assert model() == Config(Model, hidden=1000)
    assert model(5, parts=[1]) == Config(Model, 5, [1])
    assert model.wrapped() == Model(1000)  # type: ignore[attr-defined]
    assert (model.__name__, model.__doc__) == ("model", "A model.")
    assert autoconvert(model)() == model()
    assert autoconvert(partial=True)(plain)(Model()) == Partial(Model)


def test_calls_are_nested() -> None:
    """Calls in arguments, lists, loops and comprehensions become Configs, in local functions too."""
    scale = 2

    @autoconvert
    def nested(count: int, **more: Any) -> Model:
        @functools.lru_cache(maxsize=2)
        def layer(index: int) -> NotDefined:  # type: ignore[name-defined]  # noqa: F821
            return Model(index * scale)

        @dataclass(frozen=True)
        class Step:
            size: int = int("1")

        if plain(2) == Step().size or (plain(0) or plain(None)) is not None:
            return Model()

        parts = [layer(index) for index in range(count) if plain(True)]
        if not plain(parts) or plain(0):
            return Model(f"{plain(1)}")
        if count > len("a"):
            parts.append(plain(Loader.local("x".upper())))
        for path in sorted(["b", "a"]):
            parts.append(pathlib.Path(path))  # noqa: PERF401 - a loop is meant
        first = Model()
        first.hidden = first.hidden + 1
        logging.getLogger().debug("made")
        return Model(parts=[model(3), *parts, str(plain(1)), plain(2) * 2], hidden=first, **more)

    made = nested(2)
    layers = [Config(Model, 0), Config(Model, 2), Config(plain, Config(Loader.local, "X"))]
    paths = [Config(pathlib.Path, "a"), Config(pathlib.Path, "b"), Config(str, Config(plain, 1)), 4]
    assert made == Config(Model, Config(Model, 2), [Config(Model, 3), *layers, *paths])
    assert calls.build(made).parts[3].path == "/X"
    with pytest.raises(UsageError, match="hiddn"):
        nested(1, hiddn=2)


def test_what_only_the_task_knows_decides_nothing() -> None:
    """A condition or a text of a function does not depend on the result of a call that is not made."""

    @autoconvert
    def conditional(kind: int) -> Model:
        value = plain(kind)
        found = Model()
        if kind == 0 and not value:
            return Model()
        if kind == 1 and found:
            return Model(1 if value else 2)
        if kind == 2:
            return Model(value or 3)
        if kind == 3:
            return Model(kind == value)
        match plain(kind):
            case 4 if value:
                return Model()
        return Model(f"{kind}{value}")  # type: ignore[arg-type]

    for kind in range(6):
        with pytest.raises(UsageError, match=r"makes the call <Config\[plain\(value=\d\)\]>, whose result"):
            conditional(kind)


def test_results_are_of_the_wanted_kind() -> None:
    """Configs, unless a Partial is asked for, annotated, or made; lists have them as items."""

    @autoconvert
    def config() -> run.Config[int]:
        return run.Config(int, 3)

    @autoconvert
    def annotated() -> run.Partial[Model]:
        return Model(4)  # type: ignore[return-value]

    @autoconvert
    def made():  # type: ignore[no-untyped-def]  # noqa: ANN202 - without an annotation
        return run.Partial[Model](Model, functools.partial(plain, 1))

    @autoconvert(partial=True)
    def many() -> Any:
        return [Model(1), run.Config(Model, 2)]

    assert config() == Config(int, 3)
    assert annotated() == Partial(Model, 4)
    assert made() == Partial(Model, Partial(plain, 1))
    assert many() == [Partial(Model, 1), Partial(Model, 2)]


def test_it_works_in_classes_and_with_exceptions() -> None:
    """Methods that are static, exceptions, and the lines of the program in a traceback."""

    class Recipes:
        @staticmethod
        @autoconvert
        def checked(size: int) -> Model:
            text = """
  indented less"""
            if size < 0:
                raise ValueError(text.strip())
            return Model(size)

    assert Recipes.checked(1) == Config(Model, 1)
    with pytest.raises(ValueError, match=r"^indented less$") as caught:
        Recipes.checked(-1)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.line) == (__file__, "raise ValueError(text.strip())")


def test_what_cannot_be_converted_is_refused() -> None:
    """No function, no source, another decorator, and results that are no objects."""
    scope: dict[str, Any] = {}
    exec("def dynamic():\n    return dict()\n", scope)  # noqa: S102 - a function without a source

    @functools.wraps(plain)
    def wrapper(value: Any) -> Any:
        return plain(value)

    async def late() -> None: ...

    for wrong, message in (
        (Model, "converts functions"),
        (lambda: 1, "converts functions"),
        (wrapper, "another decorator"),
        (late, "that return"),
    ):
        with pytest.raises(UsageError, match=message):
            autoconvert(wrong)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match=r"needs the source of .*dynamic"):
        autoconvert(scope["dynamic"])()
    with pytest.raises(UsageError, match="plain returns 3, not what a call makes"):
        autoconvert(plain)(3)
    assert autoconvert(plain)(Config(os.getpid)) == Config(os.getpid)


def spread() -> Model:
    """Arguments from a list and a mapping."""
    return Model(*[Model(1)], **{"parts": (Model(2), {"a": Model()})})  # noqa: PIE804 - a mapping is meant


def assigned() -> Model:
    """Assignments, of several names and in an expression."""
    first = second = Model(2)
    first.hidden, third = 5, Model(parts=first)
    if (count := len("abc")) > 1:
        return Model(count, [second, third])
    return Model()


def collected() -> Model:
    """Collections in several ways."""
    parts = [Model(1)]
    parts += [Model(2)]
    parts.extend(Model(index) for index in (3, 4))
    parts += plain([plain(Model(**plain({"hidden": 5})))])
    parts[plain(0)].parts = plain([Model(6)])[0]
    return Model(parts={key: Model(value, parts) for key, value in zip("ab", (1, 2), strict=True)})


def handled(*, given: Any = Model(1)) -> Model:  # noqa: B008 - a default that is an object
    """Exceptions, files, loops and texts."""
    try:
        raise ValueError("wrong")  # noqa: TRY301 - it is caught here
    except ValueError as error:
        text = str(error)
    with open(os.devnull) as stream:  # noqa: PTH123 - a context manager is meant
        content = stream.read()
    while not content:
        content = (lambda added: added + "b")("a")  # noqa: PLC3002 - a call of a lambda is meant
    return Model(f"{text!r:>9}{2.0:.1f}", [content, given, None or Model(3)])  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [spread, assigned, collected, handled])
def test_the_task_makes_what_the_function_would_make(function: Any) -> None:
    """Whatever Python a function consists of."""
    converted = autoconvert(function)()
    assert calls.build(converted) == function()
    entry = Partial(plain, converted).translated().entry()
    assert run_partial.call(entry["partial"], entry["args"]) == function()
