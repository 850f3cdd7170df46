from __future__ import annotations

import argparse
import datetime as dt
import decimal
import enum
import fractions
import json
import math
import types
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    st.floats(allow_nan=False), st.dictionaries(st.text().filter(lambda key: key != "_ts"), TREES, max_size=4)
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
]


@pytest.mark.parametrize(("value", "expected"), ACCEPTED, ids=lambda value: type(value).__name__)
def test_value_of_other_libraries_is_recorded(value: Any, expected: Any, experiment: Experiment) -> None:
    """What training code holds is accepted in metrics and comes back as plain values."""
    experiment.metrics("m").log(value=value)
    assert experiment.metrics("m").last("value") == expected


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


if find_spec("torch"):  # large, and no test needs it: where it is, its own values are tried too

    def test_real_tensor_is_recorded(experiment: Experiment) -> None:
        """PyTorch's own scalars and small tensors are recorded."""
        torch = import_module("torch")
        experiment.metrics("m").log(loss=torch.tensor(0.5, requires_grad=True), grid=torch.ones(2, 2))
        assert experiment.metrics("m").last()["grid"] == [[1.0, 1.0], [1.0, 1.0]]
