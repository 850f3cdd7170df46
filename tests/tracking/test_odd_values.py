"""Whatever a call of tracking is given, it takes it whole or refuses it, and the record stays usable."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from support.extent import IS_LONG, amount

from nemorun_cli import dash
from nemorun_cli.errors import NotFoundError, StateError, UsageError
from nemorun_cli.tracking import Experiment, record

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = (TypeError, ValueError, UsageError, StateError, NotFoundError)


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is that of a commit: no git works in the background, and changes the files of a record."""
    monkeypatch.setenv("EXP_COMMIT", "0" * 40)


class Odd:
    """A value that cannot be shown or converted: each of these methods raises."""

    def _raise(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("odd")

    __str__ = __repr__ = __float__ = __int__ = __index__ = __lt__ = _raise  # type: ignore[assignment] # what is tested


class OddText(str):
    """A text that shows itself as another value."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\0"


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _within_itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "object": object,
    "odd": Odd,
    "a class": lambda: Odd,
    "a function": lambda: _nested,
    "bytes": lambda: b"\xff",
    "no text": str,
    "a NUL": lambda: "a\0b",
    "a surrogate": lambda: "\ud800",
    "odd text": lambda: OddText("x"),
    "long": lambda: "x" * 5_000,
    "up": lambda: "../../x",
    "a slash": lambda: "/",
    "lines": lambda: "a\nb\r",
    "reserved": lambda: "_ts",
    "none": lambda: None,
    "true": lambda: True,
    "larger": lambda: 10**5_000,
    "negative": lambda: -1,
    "infinity": lambda: float("-inf"),
    "complex": lambda: 1j,
    "deep": lambda: _nested(300),
    "within itself": _within_itself,
    "odd keys": lambda: {object(): 1},
    "number keys": lambda: {1: 2},
    "odd inside": lambda: {"a": 1, "b": [Odd()]},
    "a set": lambda: {1, "a"},
    "an iterator": lambda: iter([1]),
    "an exception": lambda: ValueError("x"),
}

CALLS: dict[str, Callable[[Any, Any], object]] = {
    "params.set": lambda it, v: it.params.set(v),
    "params.set named": lambda it, v: it.params.set(good=1, bad=v),
    "params.set key": lambda it, v: it.params.set({"good": 1, v: 1}),
    "params.unset": lambda it, v: it.params.unset("known", v),
    "params.history": lambda it, v: it.params.history(v),
    "metric.log": lambda it, v: it.metrics("m").log(v),
    "metric.log named": lambda it, v: it.metrics("m").log(good=1, bad=v),
    "metric.log key": lambda it, v: it.metrics("m").log({"good": 1, v: 1}),
    "metric.log step": lambda it, v: it.metrics("m").log(good=1, step=v),
    "metric.log _ts": lambda it, v: it.metrics("m").log(good=1, _ts=v),
    "metrics": lambda it, v: it.metrics(v).log(good=1),
    "metrics about": lambda it, v: it.metrics("m", description=v, tags=["a"], metadata={"x": v}),
    "metrics tags": lambda it, v: it.metrics("m", tags=v),
    "metrics.log": lambda it, v: it.metrics.log(a=1, train={"x": v}, eval={"y": 1}),
    "metrics.log series": lambda it, v: it.metrics.log({v: {"x": 1}, "other": {"x": 1}}),
    "metrics.log shared": lambda it, v: it.metrics.log(a=v, train={"x": 1}),
    "buffer": lambda it, v: it.metrics("m").buffer(good=1, bad=v),
    "log_summary": lambda it, v: it.metrics.buffer.log_summary(v),
    "log_summary extra": lambda it, v: it.metrics("m").buffer(x=1) and it.metrics.buffer.log_summary(bad=v),
    "peek": lambda it, v: it.metrics.buffer.peek("m", limit=v),
    "cache.store": lambda it, v: it.metrics("m").summary_cache.store(good=1, bad=v),
    "cache.set": lambda it, v: it.metrics("m").summary_cache.set(good=1, bad=v),
    "log": lambda it, v: it.log(v),
    "log level": lambda it, v: it.log("x", level=v),
    "log metadata": lambda it, v: it.log("x", metadata=v),
    "log extra": lambda it, v: it.log("x", good=1, bad=v),
    "logs.info": lambda it, v: it.logs.info("x", bad=v),
    "logs.read": lambda it, v: it.logs.read(level=v),
    "files": lambda it, v: it.files(v).save_text("x", to="x.txt"),
    "files tags": lambda it, v: it.files("f", tags=v).save_text("x", to="x.txt"),
    "files metadata": lambda it, v: it.files("f", metadata=v).save_text("x", to="x.txt"),
    "files description": lambda it, v: it.files("f", description=v).save_text("x", to="x.txt"),
    "save to": lambda it, v: it.files("f").save_text("x", to=v),
    "save_text": lambda it, v: it.files("f").save_text(v, to="x.txt"),
    "save_blob": lambda it, v: it.files("f").save_blob(v, to="x.bin"),
    "save_json": lambda it, v: it.files("f").save_json(v, to="x.json"),
    "save": lambda it, v: it.files("f").save(v, to="x.json"),
    "upload": lambda it, v: it.files("f").upload(v),
    "update": lambda it, v: it.files("known.txt").update(tags=v),
    "delete": lambda it, v: it.files.delete(v),
    "duplicate": lambda it, v: it.files.duplicate(v, to="y.txt"),
    "duplicate to": lambda it, v: it.files.duplicate("known.txt", to=v),
    "download": lambda it, v: it.files.download(v, to="copy.txt"),
    "tracks": lambda it, v: it.tracks(v).append(x=1),
    "append": lambda it, v: it.tracks("t").append(v),
    "append named": lambda it, v: it.tracks("t").append(good=1, bad=v),
    "append _ts": lambda it, v: it.tracks("t").append(good=1, _ts=v),
    "track.read": lambda it, v: it.tracks("t").read(format=v),
    "fail": lambda it, v: it.run.fail(v),
    "cancel": lambda it, v: it.run.cancel(v),
    "prefix": lambda it, v: setattr(it.run, "prefix", v),
    "run": lambda it, v: it.run(v),
}

ARGUMENTS = (
    "prefix",
    "dash_root",
    "dash_url",
    "description",
    "tags",
    "bindrs",
    "metadata",
    "resume",
    "print_logs",
)


def _written(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _read_everything(root: Path, prefix: str) -> None:
    """Read all that a record has; no error means that readers can show it."""
    told = record(root, prefix)
    assert told is not None
    data = told.data()
    assert (data.params.get()["known"], data.files("known.txt").read_text()) == (1, "x")
    for name in data.metrics.names():
        data.metrics(name).read()
        data.metrics(name).stats()
        data.metrics(name).described()
    for name in data.tracks.names():
        data.tracks(name).read()
    for read in (data.params.history, data.params.get, data.logs.read, data.files.list, data.files.versions):
        read()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [Experiment, dash.Experiment][: amount(1, long=2)])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_takes_a_value_whole_or_refuses_it(
    name: str, kind: type[Any], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused is an error of that call, leaves no byte, and the next calls work."""
    monkeypatch.chdir(tmp_path)
    values = random.Random(f"{name} {kind.__module__}").sample(sorted(VALUES), amount(4, long=len(VALUES)))  # noqa: S311 - a test
    opened = kind("o/p/a", dash_root=root, print_logs=False)
    opened.run.start()
    opened.params.set(known=1)
    opened.files.save_text("x", to="known.txt")
    for value in values:
        before = _written(root)
        try:
            CALLS[name](opened, VALUES[value]())
        except REFUSED:
            assert _written(root) == before, value
        except BaseException as error:
            error.add_note(f"value: {value}")
            raise
        if not opened.run.is_open:
            opened.run.start()
        opened.metrics("m").log(x=1)
        if IS_LONG:  # otherwise once, at the end
            _read_everything(root, "o/p/a")
    opened.run.complete()
    assert opened.status == "COMPLETED"
    _read_everything(root, "o/p/a")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_is_taken_or_refused(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is opened with an odd argument can be read; what is refused makes none."""
    monkeypatch.chdir(tmp_path)
    values = random.Random(name).sample(sorted(VALUES), amount(8, long=len(VALUES)))  # noqa: S311 - a test
    for number, value in enumerate(values):
        arguments = {"prefix": f"a/{number}", "dash_root": root, "print_logs": False, name: VALUES[value]()}
        before = _written(tmp_path)
        try:
            experiment = Experiment(**arguments)
            experiment.run.start()
        except (*REFUSED, OSError):  # such as a path that is too long
            assert _written(tmp_path) == before, value
            continue
        except BaseException as error:
            error.add_note(f"value: {value}")
            raise
        experiment.params.set(known=1)
        experiment.files.save_text("x", to="known.txt")
        experiment.run.complete()
        _read_everything(Path(experiment.dash_root), experiment.prefix)
