"""`EXP_TRACKING=off`: every call is checked, and nothing is written."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import dash
from nemorun_cli.errors import NotFoundError, StateError, UsageError
from nemorun_cli.tracking import Experiment, ml_dash_experiment, record
from nemorun_cli.tracking.store import discarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.programs import Program


@pytest.fixture(autouse=True)
def _off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXP_TRACKING", "off")


@pytest.fixture
def off(root: Path) -> Experiment:
    """An open record that is not written."""
    return Experiment("a/b", dash_root=root, print_logs=False).run.start()


def _calls() -> dict[str, Callable[[Any], object]]:
    return {
        "params": lambda it: it.params.set(lr=1).unset("lr", "other").log(x={"y": 1}),
        "metric": lambda it: it.metrics("m").log(x=1).buffer(y=2).log({"z": 1}, step=3),
        "metrics": lambda it: it.metrics.log(epoch=1, train={"x": 1}).flush(),
        "described": lambda it: it.metrics("m", description="d"),
        "summary": lambda it: it.metrics.buffer.log_summary(),
        "cache": lambda it: (
            it.metrics("m").summary_cache.store(x=1) or it.metrics("m").summary_cache.summarize()
        ),
        "log": lambda it: it.log("x", level="warn", a=1) or it.logs.error("y"),
        "handler": lambda it: it.logs.take(logging.LogRecord("x", 20, "f", 1, "text", (), None), "text"),
        "json": lambda it: it.files("f").save_json({"a": 1}, to="x.json"),
        "pickle": lambda it: it.files.save_pkl({"a": 1}, to="x.pkl"),
        "text": lambda it: it.files.save("text", to="x.txt"),
        "writer": lambda it: it.files.save_with(_written, to="x.bin"),
        "upload": lambda it: it.files.upload(__file__),
        "update": lambda it: it.files("x.txt").update(tags=["best"]),
        "update by id": lambda it: it.files(file_id="12ab", description="d").update(),
        "delete": lambda it: it.files("f").delete("x.txt"),
        "delete all": lambda it: it.files.delete("*.txt"),
        "duplicate": lambda it: it.files.duplicate(it.files.save_blob(b"x", to="x"), to="y"),
        "track": lambda it: it.tracks("t").append(x=1, _ts=1.0).append(x=2),
    }


def _written(stream: Any) -> None:
    stream.write(b"abc")
    stream.seek(0)
    stream.write(b"x")
    assert (stream.read(), stream.tell()) == (b"bc", 3)


@pytest.mark.parametrize("kind", [Experiment, dash.Experiment])
@pytest.mark.parametrize("name", _calls())
def test_a_call_writes_nothing(
    name: str, kind: type[Any], root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each call works while the record is open, is refused otherwise, and leaves no file and no line."""
    call = _calls()[name]
    experiment = kind("a/b/c", dash_root=root, print_logs=False)
    with pytest.raises(StateError):
        call(experiment)
    with experiment.run:
        call(experiment)
    with pytest.raises(StateError):
        call(experiment)
    assert ([*tmp_path.iterdir()], experiment.status) == ([], "COMPLETED")
    assert tuple(capfd.readouterr()) == ("", "")


BAD: list[Callable[[Experiment], object]] = [
    lambda it: it.params.set(x=object()),
    lambda it: it.params.set(**{"a": 1, "a.b": 2}),
    lambda it: it.metrics("m").log(x=object()),
    lambda it: it.metrics.log(a=1, train={"x": object()}),
    lambda it: it.metrics("m").buffer(x="text"),  # type: ignore[arg-type] # what is tested
    lambda it: it.metrics(""),
    lambda it: it.log({"loss": 1}),
    lambda it: it.log("x", level="loud"),
    lambda it: it.files.save_json(object(), to="x.json"),
    lambda it: it.files.save_pkl(lambda: None, to="x.pkl"),
    lambda it: it.files.save_blob(b"", to="../x"),
    lambda it: it.files.upload("missing"),
    lambda it: [it.files.save_blob(b"", to=path) for path in ("k", "k/w")],
    lambda it: it.tracks("t").append(timestamp=1),
    lambda it: it.run.start(),
    lambda it: it.run.fail(3),  # type: ignore[arg-type] # what is tested
]


@pytest.mark.parametrize("call", BAD)
def test_a_bad_call_is_refused_as_ever(call: Callable[[Experiment], object], off: Experiment) -> None:
    """What a record would refuse is refused, so that a program that works with it off works with it on."""
    with pytest.raises((TypeError, UsageError, StateError, NotFoundError, AttributeError)):
        call(off)
    off.metrics("m").log(x=1)
    off.run.complete()


def test_reads_find_a_record_without_rows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is a record at the prefix, which stays as it is."""
    monkeypatch.setenv("EXP_TRACKING", "on")
    with Experiment("a/b", dash_root=root).run as experiment:
        experiment.metrics("m", description="d").log(x=1)
        experiment.params.set(x=1)
        experiment.files.save_text("x", to="x.txt")
        experiment.tracks("t").append(x=1)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    monkeypatch.setenv("EXP_TRACKING", "off")
    with Experiment("a/b", dash_root=root, resume="must").run as off:
        off.metrics("m").log(x=2)
        assert (off.metrics("m").read(), off.metrics("m").last("x", default=0)) == ([], 0)
        assert (off.metrics.names(), off.metrics("m").stats(), off.metrics("m").about()) == ([], {}, {})
        assert (off.params.get(), off.params.history(), off.logs.read()) == ({}, [], [])
        assert (off.files.list(), off.files("x.txt").exists(), off.tracks("t").read()) == ([], False, [])
        with pytest.raises(NotFoundError):
            off.files("x.txt").read_text()
        assert (off.openings(), off.status, off.prefix, off.dash_root) == ([], "RUNNING", "a/b", str(root))
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    told = record(root, "a/b")
    assert told is not None
    assert told.data().metrics("m").last("x") == 1, "a reader of records does not depend on it"


def test_a_file_that_was_saved_is_read_back(off: Experiment, tmp_path: Path) -> None:
    """Until the program ends, with versions, changes and copies; nothing is written but a download."""
    source = tmp_path / "data.bin"
    source.write_bytes(b"data")
    models = off.files("models")
    models.save("one", to="a.txt")
    models.save_json({"x": 1}, to="b.json")
    second = models.save_text("two", to="a.txt")
    off.files.upload(source)
    assert (second["version"], models.find("a.txt")["id"]) == (2, second["id"])
    assert (models.read_text(name="a.txt"), models.read_text(name="a.txt", version=1)) == ("two", "one")
    assert [file["filename"] for file in models.list("*")] == ["a.txt", "b.json"]
    assert off.files("data.bin").read_bytes() == b"data"
    off.files.duplicate("data.bin", to="kept/again.bin")
    off.files("kept/again.bin").update(tags=["best"])
    assert off.files.find("kept/again.bin")["tags"] == ["best"]
    target = off.files.download("kept/again.bin", to=tmp_path / "out.bin")
    assert (target, (tmp_path / "out.bin").read_bytes()) == (str(tmp_path / "out.bin"), b"data")
    assert [file["filename"] for file in off.files.delete("models/*.txt")] == ["a.txt"]
    assert not models.exists("a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.bin", "out.bin"]


def test_a_large_file_is_not_kept(off: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is listed with its size, and reading it is an error that names the limit; the latest are kept."""
    monkeypatch.setattr(discarded, "MOST_KEPT", 1 << 20)
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    off.files.upload(tmp_path / "large")
    off.files.save_with(lambda stream: [stream.write(bytes(1 << 19)) for _ in range(3)], to="written")
    off.files.save_blob(b"a" * (1 << 19), to="first")
    off.files.save_blob(b"b" * (1 << 19) + b"c", to="second")
    assert [file["sizeBytes"] for file in off.files.list()] == [
        1 << 19,
        (1 << 20) + 1,
        (1 << 19) + 1,
        3 << 19,
    ]
    for name in ("large", "written", "first"):
        with pytest.raises(NotFoundError, match="the last 1 MiB"):
            off.files.read_bytes(name)
    assert off.files.read_bytes("second")[-2:] == b"bc"


def test_the_status_is_that_of_this_program(root: Path) -> None:
    """RUNNING while it is open, then as it ended; None before."""
    experiment = Experiment("a", dash_root=root)
    assert (experiment.status, experiment.id) == (None, None)
    with experiment.run:
        assert (experiment.status, bool(experiment.id)) == ("RUNNING", True)
    assert (experiment.status, experiment.id) == ("COMPLETED", None)
    experiment.run.start().run.fail("x")
    assert (experiment.status, experiment.id) == ("FAILED", None)
    experiment.run.start().run.cancel("enough")
    assert experiment.status == "CANCELLED"


def test_copies_and_forks_write_nothing_too(off: Experiment, program: Program, tmp_path: Path) -> None:
    """A copy is open as the original is, and its end is its own."""
    for other in (copy.deepcopy(off), pickle.loads(pickle.dumps(off))):  # noqa: S301 - the test has made it
        other.metrics("m").log(x=1)
        other.run.complete()
        assert off.run.is_open
    off.run.complete()
    program.run("""
    with Experiment('a', dash_root=root).run as e:
        if os.fork() == 0:
            e.metrics('m').log(x=1).buffer(y=1)
            sys.exit()
        os.wait()
    """)
    assert [*tmp_path.iterdir()] == []


def test_log_lines_are_printed_and_nothing_else(program: Program, tmp_path: Path) -> None:
    """The lines of `log` remain; where a record would be is not printed."""
    process = program.start("with Experiment().run as e: e.log('line', x=1); e.logs.error('bad')")
    assert process.communicate() == ("[INFO] line [x=1]\n", "[ERROR] bad\n")
    assert [*tmp_path.iterdir()] == []


def test_the_decorator_is_off_too(tmp_path: Path) -> None:
    """A decorated function runs, with its experiment."""

    @ml_dash_experiment(prefix="a/b", params=True)
    def train(lr: float, experiment: Any) -> str:
        experiment.metrics("m").log(lr=lr)
        return str(experiment.status)

    assert train(lr=0.1) == "RUNNING"  # type: ignore[call-arg] # the decorator adds the experiment
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("value", ["no", "0", "OFF", "false", "ofF\x1b[2J"])
def test_another_value_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lists the values that there are; an empty one is that of a variable that is not set."""
    monkeypatch.setenv("EXP_TRACKING", value)
    with pytest.raises(UsageError, match="EXP_TRACKING is ") as caught:
        Experiment("a")
    assert caught.value.hint == "the values are: on, off"
    monkeypatch.setenv("EXP_TRACKING", "")
    assert not Experiment("a").writer.is_off
