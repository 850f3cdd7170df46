from __future__ import annotations

import argparse
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import types
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, deque, namedtuple
from dataclasses import InitVar, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.tracking.store.json_values import dump, encode_row, load, plain

if TYPE_CHECKING:
    from nemorun_cli.tracking import Experiment

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "Infinity", "$text"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("$text"), inner, max_size=3)
    ),
)


class Colour(enum.Enum):
    """One member has a plain value, one has not."""

    RED = "red"
    COMPLEX = object()


class Level(enum.IntEnum):
    """A number with a name."""

    HIGH = 3


@dataclass
class Optimizer:
    """A dataclass."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.99)
    path: Path = field(default_factory=lambda: Path("/data/y"))


@attrs.define
class Model:
    """An attrs class with a dataclass in it."""

    depth: int
    optimizer: Optimizer


class Config(pydantic.BaseModel):
    """A pydantic model."""

    name: str
    sizes: list[int]


class Open(pydantic.BaseModel):
    """A pydantic model that takes more fields, and computes one."""

    model_config = pydantic.ConfigDict(extra="allow")
    name: str = ""
    tags: list[str] = pydantic.Field(default_factory=lambda: ["a"])

    @pydantic.computed_field
    def length(self) -> int:
        """How long the name is."""
        return len(self.name)


@dataclass(slots=True)
class Slots:
    """A dataclass whose class has no attribute for its defaults."""

    lr: float = 0.1
    betas: list[float] = field(default_factory=lambda: [0.9])
    given: InitVar[int] = 3


class Settings(argparse.Namespace):
    """A namespace of a program's own."""


class Pair(NamedTuple):
    """A typed named tuple."""

    a: int = 1


@attrs.define
class Listed:
    """An attrs class with both kinds of defaults."""

    sizes: list[int] = attrs.Factory(lambda: [1])
    depth: int = 2


@attrs.define
class Dependent:
    """An attrs class with a default that needs an object."""

    depth: int = 1
    width: int = attrs.Factory(lambda model: model.depth, takes_self=True)


class Keys:
    """Behaves like a mapping without being one, as many classes of settings do."""

    def keys(self) -> list[str]:
        """Its only key."""
        return ["a"]

    def __getitem__(self, key: str) -> int:
        return {"a": 1}[key]


class Broken(Keys):
    """A mapping that cannot be read, such as a configuration with a missing value."""

    def __getitem__(self, key: str) -> int:
        raise RuntimeError("missing")


class Name(enum.StrEnum):
    """Names of fields."""

    LOSS = "loss"


Point = namedtuple("Point", "x y")  # noqa: PYI024 - an untyped one, as users have them


def _strict(text: bytes | str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return type(one) is type(other) and bool(one == other)


@given(TREES)
def test_value_comes_back_as_it_was(value: Any) -> None:
    """Every plain value is one line of valid JSON and comes back the same, NaN and texts like it too."""
    text = dump(value)
    _strict(text)
    assert "\n" not in text
    assert _same(value, load(text))


@given(
    st.floats(allow_nan=False),
    st.dictionaries(st.text().filter(lambda key: key not in {"", "_ts"}), TREES, max_size=4),
)
def test_row_comes_back_as_it_was(moment: float, fields: dict[str, Any]) -> None:
    """A row is one line of valid JSON whatever its fields are called and hold."""
    line = encode_row(moment, fields) if math.isfinite(moment) else encode_row(0.0, fields)
    assert line.count(b"\n") == 1
    _strict(line)
    row = load(line.decode())
    del row["_ts"]
    assert _same(fields, row)


ACCEPTED = [
    (np.float32(0.5), 0.5),
    (np.float64(0.1), 0.1),
    (np.longdouble(0.5), 0.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.float16("inf"), math.inf),
    (Colour.RED, "red"),
    (Colour.COMPLEX, "COMPLEX"),
    (Level.HIGH, 3),
    (Path("/data/x"), "/data/x"),
    (dt.datetime(2026, 11, 22, 3, 4, 5, tzinfo=dt.UTC), "2026-11-22T03:04:05+00:00"),
    (dt.date(2026, 11, 22), "2026-11-22"),
    (dt.timedelta(seconds=90), 90.0),
    (np.datetime64("2026-11-22"), "2026-11-22"),
    (decimal.Decimal("0.5"), 0.5),
    (fractions.Fraction(1, 4), 0.25),
    (Optimizer(0.1), {"lr": 0.1, "betas": [0.9, 0.99], "path": "/data/y"}),
    (Model(3, Optimizer(1)), {"depth": 3, "optimizer": {"lr": 1, "betas": [0.9, 0.99], "path": "/data/y"}}),
    (Config(name="c", sizes=[1]), {"name": "c", "sizes": [1]}),
    (argparse.Namespace(lr=0.1), {"lr": 0.1}),
    (types.SimpleNamespace(a=1), {"a": 1}),
    (Point(1, 2), {"x": 1, "y": 2}),
    ({3, 1, 2}, [1, 2, 3]),
    ((1, "a"), [1, "a"]),
    (OrderedDict(a=1), {"a": 1}),
    (
        {1: "a", None: "b", False: "c", Colour.RED: "d", np.int64(7): "e"},
        {"1": "a", "null": "b", "false": "c", "red": "d", "7": "e"},
    ),
    ("\ud800", "\ud800"),
    (10**400, 10**400),
    (deque([1, 2]), [1, 2]),
    (range(3), [0, 1, 2]),
    (UserList([1]), [1]),
    (UserDict(a=1), {"a": 1}),
    (UserString("a"), "a"),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (ChainMap({"a": 1}, {"a": 2, "b": 3}), {"a": 1, "b": 3}),
    ({"b": 1, "a": 2}.keys(), ["b", "a"]),
    ({"b": 1, "a": 2}.values(), [1, 2]),
    ({"b": 1}.items(), [["b", 1]]),
    (Keys(), {"a": 1}),
    (Settings(a=1), {"a": 1}),
    (Slots(), {"lr": 0.1, "betas": [0.9]}),
    (Open(name="c", more=3), {"name": "c", "tags": ["a"], "more": 3, "length": 1}),
    (decimal.Decimal("NaN"), math.nan),
    (decimal.Decimal("-Infinity"), -math.inf),
    (np.datetime64("2026-11-22T03:04:05", "ns"), "2026-11-22T03:04:05"),
    (np.datetime64("2026-11-22T03:04:05", "s"), "2026-11-22T03:04:05"),
    (np.datetime64("2026-11-22T03:04:05.5", "ns"), "2026-11-22T03:04:05.500000"),
    (np.datetime64("2026-11-22T03:04:05.5", "ms"), "2026-11-22T03:04:05.500000"),
    (np.datetime64("2026-11-22T03:04:05.000000001", "ns"), "2026-11-22T03:04:05.000000001"),
    (np.datetime64("20261-11-22"), "20261-11-22"),
    (np.datetime64("NaT", "ns"), None),
    (np.array(["2026-11-22", "NaT"], dtype="datetime64[ns]"), ["2026-11-22T00:00:00", None]),
    (np.timedelta64(1_500, "ms"), 1.5),
    (np.timedelta64(1_500_000_000, "ns"), 1.5),
    (np.timedelta64(2, "W"), 1_209_600.0),
    (np.array([(1, 0.5)], dtype=[("a", int), ("b", float)]), [{"a": 1, "b": 0.5}]),
    (np.str_("text"), "text"),
    ({math.inf: 1, np.str_("a"): 2}, {"Infinity": 1, "a": 2}),
]


@pytest.mark.parametrize(("value", "expected"), ACCEPTED, ids=lambda value: type(value).__name__)
def test_value_of_other_libraries_is_recorded(value: Any, expected: Any, experiment: Experiment) -> None:
    """What training code holds is accepted in metrics and comes back as plain values."""
    experiment.metrics("m").log(value=value)
    assert _same(experiment.metrics("m").last("value"), expected)


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


REFUSED = [
    object(),
    b"bytes",
    lambda: 0,
    int,
    1j,
    _endless(),
    {object(): 1},
    10**5000,
    Optimizer,
    {"a": [object()]},
    bytearray(b"x"),
    (number for number in (1, 2)),
    map(str, [1]),
    Broken(),
    {1: "a", "1": "b"},
    {(1, 2): 3},
    decimal.Decimal("1e400"),
    decimal.Decimal("1e-400"),
    decimal.Decimal("sNaN"),
    fractions.Fraction(10**400, 3),
    np.longdouble("1e4000"),
    np.complex64(1j),
    np.array([1j]),
    np.bytes_(b"x"),
    np.timedelta64(1, "Y"),
    "\ud83d\ude00",
    2**14_285,
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_bad_value_fails_its_own_call_only(value: Any, experiment: Experiment) -> None:
    """A value that cannot be recorded is named in the error; rows before and after it are there."""
    metric = experiment.metrics("m")
    metric.log(loss=1)
    with pytest.raises(TypeError, match="bad"):
        metric.log(loss=2, bad=value)
    with pytest.raises(TypeError):
        experiment.metrics.log(epoch=1, m={"loss": 3, "bad": value})
    metric.log(loss=4)
    assert [row["loss"] for row in metric.read()] == [1, 4]
    assert experiment.metrics.names() == ["m"]


@pytest.mark.parametrize(
    ("given_class", "expected"),
    [
        (Slots, {"lr": 0.1, "betas": [0.9], "given": 3}),
        (Open, {"name": "", "tags": ["a"]}),
        (Listed, {"sizes": [1], "depth": 2}),
        (Pair, {"a": 1}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_class_of_settings_keeps_every_default(
    given_class: type, expected: dict[str, Any], experiment: Experiment
) -> None:
    """A class given as settings has all defaults that its objects have, those of factories too."""
    experiment.params.set(given_class)
    assert {name: experiment.params.get()[name] for name in expected} == expected


def test_default_that_needs_an_object_is_an_error(experiment: Experiment) -> None:
    """A default that a class alone cannot have is named, and no param is recorded without it."""
    with pytest.raises(TypeError, match=r"width: .* pass an object instead of the class"):
        experiment.params.set(Dependent)
    experiment.params.set(Dependent())
    assert experiment.params.get() == {"depth": 1, "width": 1}


def test_field_names_do_not_depend_on_history(experiment: Experiment) -> None:
    """Any text names a field, whatever was logged before; nothing else does, and a name is recorded once."""
    metric = experiment.metrics("m")
    for _ in range(2):
        metric.log({Name.LOSS: 1, np.str_("other"): 2})
        metric.log(loss=1, other=2)
        with pytest.raises(TypeError, match="must be text"):
            metric.log({1: 1})
    assert [set(row) for row in metric.read()] == [{"_ts", "loss", "other"}] * 4


@pytest.mark.parametrize("shape", [(1,), (1, 1), ()])
def test_array_with_one_number_is_that_number(shape: tuple[int, ...], experiment: Experiment) -> None:
    """A metric of one element is a number for every reader; in params and lists it stays what it was."""
    value = np.full(shape, 0.5, dtype="float32")
    experiment.metrics("m").log(loss=value, other=[0.5], several=np.array([1, 2]), text=np.array(["a"]))
    assert experiment.metrics("m").last()["loss"] == 0.5
    assert [*experiment.metrics("m").stats()] == ["loss"]
    assert experiment.metrics("m").last()["other"] == [0.5]
    experiment.metrics("m").buffer(loss=value)
    experiment.metrics.buffer.log_summary("mean")
    assert experiment.metrics("m").last("loss.mean") == 0.5
    experiment.params.set(weights=value)
    assert experiment.params.get()["weights"] == value.tolist()


@pytest.mark.parametrize(
    "numbers",
    [[10**400], [10**400, -(10**400), 3], [10**400, 0.5], [10**400, math.inf], [10**400, math.nan]],
    ids=str,
)
def test_integers_beyond_floats_have_statistics(numbers: list[Any], experiment: Experiment) -> None:
    """Statistics are exact for integers beyond the largest float, and no reader fails."""
    for number in numbers:
        experiment.metrics("m").log(n=number)
    found = experiment.metrics("m").stats()["n"]
    finite = [number for number in numbers if number == number]  # noqa: PLR0124 - not NaN
    assert (found["min"], found["max"], found["count"]) == (min(finite), max(finite), len(numbers))
    expected = math.inf if math.inf in finite else sum(map(fractions.Fraction, finite)) / len(finite)
    assert found["mean"] == (expected if isinstance(expected, float) else round(expected))
    assert len(experiment.metrics("m").read(downsample=2)) == min(2, len(numbers))


def test_buffered_numbers_keep_their_size(experiment: Experiment) -> None:
    """The deviation of large numbers is a number; what no float can hold is refused and named."""
    for number in (1e200, -1e200):
        experiment.metrics("m").buffer(loss=number)
    with pytest.raises(TypeError, match="loss: only numbers"):
        experiment.metrics("m").buffer(loss=10**400)
    experiment.metrics.buffer.log_summary("std")
    assert experiment.metrics("m").last("loss.std") == pytest.approx(math.sqrt(2) * 1e200)


def test_where_a_bad_value_lies_is_told() -> None:
    """The error names the way to the value."""
    with pytest.raises(TypeError, match=r"model\.layers\[1\]\.kind: object cannot be recorded"):
        plain({"layers": [1, {"kind": object()}]}, "model")


class _Tensor:
    """Behaves as a tensor of PyTorch does: `tolist` needs it detached and on the CPU."""

    dtype = "torch.float32"

    def __init__(self, *, ready: bool = False) -> None:
        self.ready = ready

    def detach(self) -> _Tensor:
        return self

    def cpu(self) -> _Tensor:
        return _Tensor(ready=True)

    def tolist(self) -> float:
        assert self.ready
        return 0.25


def test_tensor_is_detached_and_brought_to_the_cpu(experiment: Experiment) -> None:
    """A scalar tensor is recorded as its number, though it takes part in autograd or lies on a GPU."""
    experiment.metrics("m").log(loss=_Tensor())
    assert experiment.metrics("m").last("loss") == 0.25


if find_spec("omegaconf"):

    def test_configuration_of_omegaconf_is_recorded(experiment: Experiment) -> None:
        """Its containers are groups and lists, with interpolations; a missing value is named."""
        create = import_module("omegaconf").OmegaConf.create
        experiment.params.set(create({"model": {"sizes": [1, 2]}, "same": "${model.sizes}"}))
        assert experiment.params.get() == {"model.sizes": [1, 2], "same": [1, 2]}
        with pytest.raises(TypeError, match="Missing mandatory value: lr"):
            experiment.params.set(opt=create({"lr": "???"}))


if find_spec("pandas"):

    def test_values_of_pandas_are_recorded(experiment: Experiment) -> None:
        """Times are as those of Python, missing values are None, and labels are kept."""
        pandas = import_module("pandas")
        experiment.metrics("m").log(
            time=pandas.Timestamp("2026-11-22"),
            span=pandas.Timedelta("1.5s"),
            none=[pandas.NaT, pandas.NA],
            plain=pandas.Series([1, 2]),
            labelled=pandas.Series({"a": 1, "b": 2}),
            table=pandas.DataFrame({"a": [1], "b": ["x"]}),
        )
        row = experiment.metrics("m").last()
        assert (row["time"], row["span"], row["none"]) == ("2026-11-22T00:00:00", 1.5, [None, None])
        assert (row["plain"], row["labelled"]) == ([1, 2], {"a": 1, "b": 2})
        assert row["table"] == {"a": [1], "b": ["x"]}


if find_spec("torch"):  # large, and no test needs it: where it is, its own values are tried too

    def test_real_tensor_is_recorded(experiment: Experiment) -> None:
        """PyTorch's own scalars and small tensors are recorded."""
        torch = import_module("torch")
        experiment.metrics("m").log(loss=torch.tensor(0.5, requires_grad=True), grid=torch.ones(2, 2))
        assert experiment.metrics("m").last()["grid"] == [[1.0, 1.0], [1.0, 1.0]]
