"""What is accepted is given back equal by every reader; what is refused changes nothing on disk."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import sys
from collections import ChainMap, UserDict, UserList, deque
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import in_process
from support.extent import amount

from nemorun_cli.errors import ExpError
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.params import flattened
from nemorun_cli.tracking.store.json_values import load, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSALS = (TypeError, ValueError, ExpError)


class Colour(Enum):
    """One member is recorded by its value, the other by its name."""

    RED = "red"
    OTHER = object()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the records of all examples are."""
    return tmp_path_factory.mktemp("values")


NUMBERS: st.SearchStrategy[Any] = (
    st.integers()
    | st.sampled_from([2**63, -(2**64), 10**400, -(10**4299)])
    | st.floats()
    | st.fractions()
    | st.decimals()
    | st.sampled_from([Decimal("1e400"), Decimal("sNaN"), Fraction(10**400, 3), 1j, np.longdouble("1e4000")])
    | st.floats(width=16).map(np.float16)
    | st.floats(width=32).map(np.float32)
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
)
TEXTS = (
    st.text()
    | st.text(st.characters())
    | st.sampled_from(["NaN", "-Infinity", "$text", "=1", "\ud83d\ude00"])
)
LEAVES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | st.binary(max_size=3)
    | st.datetimes()
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from([*Colour, np.True_, np.str_("a"), Path("/a"), object(), iter([1]), int])
    | st.builds(np.datetime64, st.integers(-(2**62), 2**62), st.sampled_from(["ns", "us", "s", "D", "fs"]))
    | st.builds(np.timedelta64, st.integers(-(2**62), 2**62), st.sampled_from(["ns", "us", "s", "W", "Y"]))
)
KEYS = st.text("ab.", max_size=3) | TEXTS | st.none() | st.booleans() | st.integers() | st.floats()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).flatmap(
            lambda items: st.sampled_from(
                [items, tuple(items), deque(items), UserList(items), dict(enumerate(items)).values()]
            )
        )
        | st.dictionaries(KEYS, inner, max_size=3).flatmap(
            lambda items: st.sampled_from([items, UserDict(items), MappingProxyType(items), ChainMap(items)])
        )
        | st.lists(st.floats(), max_size=3).map(np.array)
        | inner.map(lambda value: SimpleNamespace(value=value))
    ),
    max_leaves=6,
)
NAMES = st.text("ab/:.=,*[]{}\"' ", min_size=1, max_size=6) | TEXTS.filter(bool)


def _strict_same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal in kind, NaN included."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_strict_same, one, other))
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_strict_same(value, other[key]) for key, value in one.items())
        )
    return type(one) is type(other) and bool(one == other)


def _represents(recorded: Any, value: Any) -> bool:
    """Whether a recorded value is that of Python, by rules of its own: numbers equal, containers in order."""
    if isinstance(value, SimpleNamespace):
        value = vars(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if hasattr(value, "keys"):
        return len(recorded) == len(value) and all(map(_represents, recorded.values(), value.values()))
    if isinstance(value, (list, tuple, deque, UserList)) or type(value).__name__ == "dict_values":
        return len(recorded) == len(value) and all(map(_represents, recorded, value))
    if isinstance(value, (int, float, np.number, np.bool_, Fraction, Decimal)):
        return _is_number(recorded, value)
    if isinstance(value, (str, Enum)):
        plain = value.value if value is Colour.RED else value.name if isinstance(value, Enum) else str(value)
        return bool(recorded == plain)
    return recorded is None or isinstance(recorded, (str, float))  # times, paths and the like


def _is_number(recorded: Any, value: Any) -> bool:
    if isinstance(value, np.timedelta64):  # NumPy counts it among its numbers
        return recorded is None if np.isnat(value) else isinstance(recorded, float)
    if isinstance(value, (bool, np.bool_)):
        return recorded is bool(value)
    if isinstance(value, (int, np.integer)):
        return bool(recorded == int(value))
    return _strict_same(recorded, float(value))


def _bytes(root: Path) -> dict[str, bytes]:
    """All files of a record but its environment, which is collected in the background."""
    files = [path for path in root.rglob("*") if "environment" not in path.parts and path.is_file()]
    return {str(path): path.read_bytes() for path in files}


class Readers:
    """One record, and what each reader gives of it."""

    numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / f"dash{next(self.numbers)}"
        self.experiment = Experiment("a", dash_root=self.root, print_logs=False)

    def accepts(self, act: Callable[[], object]) -> bool:
        """Whether a call is accepted; one that is refused leaves every byte of the record as it was."""
        before = _bytes(self.root)
        try:
            act()
        except REFUSALS:
            assert _bytes(self.root) == before
            return False
        return True

    def json(self, command: str) -> Any:
        """The document that a command prints, with NaN and infinities as numbers."""
        return unwrap(json.loads(self._run(command, "json")))

    def csv(self, command: str) -> list[dict[str, str]]:
        """The rows that a command prints as CSV with unchanged texts."""
        return list(csv.DictReader(io.StringIO(self._run(command, "csv", "--raw"), newline="")))

    def compared(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The entry of the record in the document of `exp compare`, and its cells in CSV by title."""
        (entry,) = self.json("compare")["rows"]
        titles, cells = csv.reader(io.StringIO(self._run("compare", "csv", "--raw"), newline=""))
        assert len(set(titles)) == len(titles)
        assert [*zip(titles, cells, strict=True)][:2] == [("RECORD", "a"), ("STATUS", "COMPLETED")]
        return entry, dict(zip(titles[2:], cells[2:], strict=True))

    def _run(self, command: str, *form: str) -> str:
        """The output of a command in a format."""
        return self.run(command, "a", "--format", *form)

    def run(self, *args: str) -> str:
        """The output of `exp` with these arguments."""
        argv = [*args, "--dash-root", str(self.root)]
        env = {"NEMORUN_HOME": str(self.folder / "home"), "PATH": ""}
        code, out, err = in_process.run(argv, program=sys.argv[0], folder=self.folder, env=env)
        assert code == 0, err
        return out


def _written(text: str) -> str:
    """A text as UTF-8 can have it: a surrogate is written as an escape."""
    return text.encode(errors="backslashreplace").decode()


def _is_cell(cell: str, value: Any) -> bool:
    """Whether a cell of CSV has a recorded value: a text as it is, a number exactly, the rest as JSON."""
    if isinstance(value, str):
        return cell == _written(value)
    if value is None:
        return cell == ""
    if isinstance(value, float):
        return _strict_same(float(cell), value)
    return _strict_same(load(cell), value)


LIMITS = settings(
    max_examples=amount(12, long=200),
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
    deadline=None,
)


@LIMITS
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_params_come_back_equal(folder: Path, given_params: dict[str, Any]) -> None:
    """Params that are accepted are the same in Python, JSON and CSV; a refused call changes nothing."""
    readers = Readers(folder)
    with readers.experiment.run as experiment:
        experiment.params.set(first=1)
        for name, value in given_params.items():
            before = experiment.params.get()
            if readers.accepts(lambda name=name, value=value: experiment.params.set({name: value})):  # type: ignore[misc] # called at once
                expected = {**before, **flattened({name: value})}
                assert _strict_same(experiment.params.get(), expected)
                assert name not in expected or _represents(expected[name], value)
        recorded = experiment.params.get()
    (record,) = readers.json("params")["records"]
    assert _strict_same(record["params"], recorded)
    rows = readers.csv("params")
    assert [row["param"] for row in rows] == [_written(name) for name in recorded]
    assert all(_is_cell(row["value"], value) for row, value in zip(rows, recorded.values(), strict=True))
    entry, cells = readers.compared()
    assert _strict_same(entry["params"], recorded)
    for (name, value), (title, cell) in zip(recorded.items(), cells.items(), strict=True):
        assert title in {_written(name), f"params.{_written(name)}"}
        assert _is_cell(cell, value)


@LIMITS
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3), max_size=3), NAMES)
def test_metrics_come_back_equal(folder: Path, given_rows: list[dict[str, Any]], series: str) -> None:
    """Rows that are accepted are the same in Python, JSON and CSV; a refused call changes nothing."""
    readers = Readers(folder)
    with readers.experiment.run as experiment:
        experiment.params.set(first=1)
        metric = experiment.metrics(series)
        accepted = [row for row in given_rows if readers.accepts(lambda row=row: metric.log(row))]  # type: ignore[misc] # called at once
        recorded = list(metric.read()) if accepted else []
        assert metric.stats().keys() <= {name for row in accepted for name in row}
    assert len(recorded) == len(accepted)
    for given_row, found in zip(accepted, recorded, strict=True):
        assert found.keys() - {"_ts"} == given_row.keys()
        for name, value in given_row.items():
            is_number = isinstance(value, np.ndarray) and value.size == 1
            assert _represents(found[name], value.item() if is_number else value)
    all_series = readers.json("metrics")["series"]
    shown = [{**row, "_attempt": 1, "_rank": None} for row in recorded]
    assert _strict_same([row for each in all_series for row in each["rows"]], shown)
    rows = readers.csv("metrics")
    assert [row["series"] for row in rows] == [_written(series)] * len(recorded)
    taken = {"prefix", "task", "series", "attempt", "rank", "time", "_ts"}  # such a field has a second column
    for cells, found in zip(rows, recorded, strict=True):
        fields = {name: value for name, value in found.items() if name not in taken}
        assert all(_is_cell(cells[_written(name)], value) for name, value in fields.items())
    numbers = {name: value for row in recorded for name, value in row.items() if type(value) in {int, float}}
    lasts = {name: value for name, value in numbers.items() if name not in {"_ts", "step", "epoch"}}
    entry, last_cells = readers.compared()
    assert last_cells.pop("first") == "1"
    assert sorted(map(_written, entry["metrics"])) == sorted(last_cells)
    assert len(last_cells) == len(lasts)
    names = {f"{series}/{name}": name for name in lasts}
    for (title, values), cell in zip(entry["metrics"].items(), last_cells.values(), strict=True):
        assert _is_cell(cell, values["last"])
        assert title not in names or _strict_same(values["last"], lasts[names[title]])


@pytest.mark.parametrize(
    "command",
    [
        "metrics",
        "metrics --plot",
        "metrics -n 1",
        "metrics --format csv",
        "compare --sort m/n",
        "compare --sort m/n:mean --descending",
        "compare --best m/n:min",
        "compare --where m/n>1e300",
        "compare --format csv",
        "compare --format markdown",
    ],
)
def test_integers_beyond_floats_reach_every_reader(folder: Path, command: str) -> None:
    """No view of metrics fails for an integer larger than any float, and records are ordered by it."""
    readers = Readers(folder)
    for name, number in (("a", 10**400), ("b", 10**401), ("c", 5)):
        with Experiment(name, dash_root=readers.root, print_logs=False).run as experiment:
            experiment.metrics("m").log(n=number, step=number)
            experiment.metrics("m").log(n=number, step=number + 1)
    name, *options = command.split()
    shown = readers.run(name, "*", *options)
    order = {"m/n": "cab", "m/n:mean": "bac"}.get(command.partition("--sort ")[2].partition(" ")[0])
    if order is not None:
        assert "".join(line[0] for line in shown.splitlines()[1:]) == order


FILE_NAMES = st.text("ab*[]?. ", min_size=1, max_size=5)
ENDINGS = st.sampled_from(["", ".json", ".jsonl", ".yaml", ".txt", ".npy", ".npz", ".bin", ".csv", ".pkl2"])


@LIMITS
@given(st.lists(st.tuples(VALUES | st.binary(), FILE_NAMES, ENDINGS), max_size=3))
def test_files_come_back_equal(folder: Path, given_files: list[tuple[Any, str, str]]) -> None:
    """Accepted files have one content and entry in every reader; a refused call changes nothing."""
    readers = Readers(folder)
    with readers.experiment.run as experiment:
        for value, name, ending in given_files:
            to = f"{name}{ending}"
            if readers.accepts(lambda value=value, to=to: experiment.files("m").save(value, to=to)):  # type: ignore[misc] # called at once
                content = experiment.files("m").read_bytes(to)
                assert _is_content(content, value, ending)
                assert (
                    Path(str(experiment.files("m").download(to, to=folder / "copy"))).read_bytes() == content
                )
        recorded = experiment.files.list()
    entries = readers.json("files")["files"]
    assert [entry["checksum"] for entry in entries] == [file["checksum"] for file in recorded]
    assert [f"/{entry['name']}" for entry in entries] == [
        f"{file['path']}/{file['filename']}" for file in recorded
    ]
    rows = readers.csv("files")
    assert len(rows) == len(entries)
    for cells, entry in zip(rows, entries, strict=True):
        assert all(
            _is_cell(cells[name], value) for name, value in entry.items() if name in cells and name != "task"
        )


def _is_content(content: bytes, value: Any, ending: str) -> bool:
    """Whether the bytes of a file are a value in the format of the ending."""
    if isinstance(value, bytes):
        return content == value
    if ending == ".json":
        return _represents(load(content.decode()), value)
    if isinstance(value, str):
        return content == value.encode()
    if ending == ".jsonl":
        return _represents([load(line) for line in content.decode().splitlines()], value)
    if ending == ".yaml":
        return _represents(yaml.safe_load(content), value)
    return ending == ".npy" and _represents(np.load(io.BytesIO(content)).tolist(), value)
