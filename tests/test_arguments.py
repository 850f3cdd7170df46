"""Arguments of callables: each arrives in the task as it was given, in value and type, or is refused."""

from __future__ import annotations

import collections
import copy
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import math
import os
import pathlib
import pickle
import threading
import uuid
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemorun_cli import Config, Partial
from nemorun_cli.arguments import portable
from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.executors import run_partial
from nemorun_cli.spec import load


class Color(enum.Enum):
    """An enum."""

    RED = 1
    BLUE = "b"


class Access(enum.Flag):
    """Flags."""

    READ = enum.auto()
    WRITE = enum.auto()


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: float


@dataclass
class Layer:
    """A dataclass."""

    kind: ClassVar[str] = "layer"
    width: int
    name: str = "a"
    _: KW_ONLY
    parts: list[Any] = field(default_factory=list)
    made: int = field(init=False, default=3)


@dataclass
class Doubled:
    """A dataclass that changes what it is made from, and fails for some of it."""

    width: int
    area: int = field(init=False)

    def __post_init__(self) -> None:
        self.area = 9 // self.width
        self.width *= 2


@dataclass
class Rounded:
    """A dataclass whose changes make no difference when it is made again."""

    width: float
    area: float = field(init=False)

    def __post_init__(self) -> None:
        self.width = float(round(self.width))
        self.area = self.width**2


def changed(value: Any, **fields: Any) -> Any:
    """An object with some of its fields changed after it was made."""
    vars(value).update(fields)
    return value


@dataclass
class Wide:
    """A dataclass with methods."""

    width: int

    @classmethod
    def made(cls, width: int) -> Wide:
        """One of the class that it is called on."""
        return cls(width)

    def area(self) -> int:
        """A method of an object."""
        return self.width


class Narrow(Wide):
    """A class that inherits a class method."""


@dataclass
class Seeded:
    """A dataclass that does not keep what it is made from."""

    seed: InitVar[int]
    width: int = 0


def scale(x: Any, factor: Any = 2, *, offset: Any = 0) -> Any:
    """A function."""
    return x, factor, offset


def last(first: Any, /, *rest: Any) -> Any:
    """A function that takes arguments by position only."""
    return first, rest


def sent(value: Any) -> Any:
    """What a task gets for a value of a program, by way of a spec."""
    entry = Partial("builtins:print", value=value).entry()
    spec = load.validate({"name": "a", "tasks": {"t": {**entry, "env": {"HOME": "/"}}}})
    args = json.loads(json.dumps(spec.tasks[0].args))
    return run_partial.build(args["value"])


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and all in them are of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(list(a), list(b)) for a, b in pairs)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, functools.partial):
        return same([one.func, one.args, one.keywords], [other.func, other.args, other.keywords])
    return bool(one == other)


VALUES = [
    pathlib.Path("/a/x"),
    pathlib.PurePosixPath("a/b"),
    pathlib.PureWindowsPath("a\\b"),
    {0: "cat", (1, 2): None},
    {"_target_": "os:system"},
    (0.9, [(), (1,)]),
    {1, 2, "c"},
    frozenset({b"x"}),
    b"\x00\xff",
    bytearray(b"ab"),
    math.inf,
    -math.inf,
    math.nan,
    -0.0,
    1e16,
    2**80,
    complex(1, -math.inf),
    range(1, 9, 2),
    Color.RED,
    Access.READ,
    Access.READ | Access.WRITE,
    Point(1, 2.0),
    Layer(3, parts=[Layer(1), (1,)]),
    collections.OrderedDict(b=1, a=(2,)),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    Rounded(1.6),
    changed(Rounded(1.6), width=3.0, area=9.0),
    dt.date(2026, 1, 2),
    dt.datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - one without a zone is meant
    dt.timedelta(days=-1, microseconds=3),
    scale,
    math.sqrt,
    os.path.join,
    dict.fromkeys,
    Layer,
    int,
    functools.partial(scale, (1,), offset=Color.BLUE),
    ["yes", "1e3", "<<", "\x85\u2028", "${x}", "null", ""],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_arrives_as_it_was_given(value: Any) -> None:
    """Values of the kinds that programs use."""
    assert same(sent(value), value)


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "{" not in text)
)
OTHERS = st.binary(max_size=4) | st.sampled_from(Color) | st.complex_numbers() | st.just(scale)
NESTED = st.recursive(
    PLAIN | OTHERS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3).filter(lambda text: "{" not in text), inner, max_size=3)
        | st.dictionaries(st.integers() | st.tuples(st.integers()), inner, max_size=3)
        | st.builds(Layer, width=inner, parts=inner)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=int(os.environ.get("EXP_TEST_EXAMPLES", "60")))
@given(NESTED)
def test_nested_values_arrive_as_they_were_given(value: Any) -> None:
    """Whatever is nested in whatever, of what is accepted."""
    try:
        arrived = sent(value)
    except (UsageError, SpecError):
        return
    assert same(arrived, value)


@pytest.mark.parametrize(
    "value",
    [
        lambda: None,
        threading.Lock(),
        object(),
        Seeded(1),
        Doubled(3),
        changed(Doubled(1), width=0),
        changed(Rounded(1.6), area=5.0),
        changed(Layer(1), made=4),
        [].append,
        math,
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        type("Unreachable", (str,), {"__qualname__": "<locals>.X"})("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_passed_is_refused_with_its_place(value: Any) -> None:
    """Nothing arrives as something else: the place of what no task can get is named."""
    with pytest.raises(UsageError, match=r"^tasks\.t\.args\.model\.1\.x: "):
        Partial("m:f", model=[0, {"x": value}]).entry("tasks.t.args")
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(UsageError, match="contains itself"):
        portable(circle, "args")


def test_calls_are_bound_when_they_are_made() -> None:
    """Arguments by position get their names; what a callable does not take is refused at once."""
    assert Partial(scale, 1, 3).entry()["args"] == {"x": 1, "factor": 3}
    assert Partial(last, 1, 2).entry()["args"] == {"_args_": [1, 2]}
    assert Partial("m:f", 1, a=2).entry()["args"] == {"_args_": [1], "a": 2}
    with pytest.raises(UsageError, match="factr") as misspelt:
        Partial(scale, factr=1)
    assert "did you mean factor?" in str(misspelt.value.hint)
    with pytest.raises(UsageError, match="too many"):
        Config(scale, 1, 2, 3)
    built = run_partial.build(portable(Config(scale, (1,), factor=Config(pathlib.Path, "/a")), "args"))
    assert same(built, ((1,), pathlib.Path("/a"), 0))
    later = run_partial.build(portable(Partial(scale, 5), "args"))
    assert later(offset=1) == (5, 2, 1)


def test_methods_are_called_on_what_they_were_taken_from() -> None:
    """A class method belongs to the class it was taken from; that of an object cannot be imported."""
    assert Partial(Narrow.made, 1).target.endswith(":Narrow.made")
    assert same(sent(Config(Narrow.made, 1)), Narrow(1))
    assert sent(Narrow.made)(2) == Narrow(2)
    assert Config(dict.fromkeys, "ab").target == "builtins:dict.fromkeys"
    with pytest.raises(UsageError, match=r"cannot import Wide\.area of an object"):
        Partial(Narrow(1).area)
    with pytest.raises(UsageError, match=r"^args\.x\.0: a task cannot get a value of builtins\.method"):
        portable([Narrow(1).area], "args.x")


def test_calls_are_values() -> None:
    """They are equal if they make equal calls, and can be copied and pickled."""
    call = Partial(scale, 1, factor=Config(pathlib.Path, "/a"))
    assert call == Partial(scale, x=1, factor=Config("pathlib:Path", "/a"))
    assert call != Config(scale, 1, factor=Config(pathlib.Path, "/a"))
    assert copy.deepcopy(call) == pickle.loads(pickle.dumps(call)) == call  # noqa: S301 - made here
