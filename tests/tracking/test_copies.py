"""Copies of an experiment, for other processes and by `copy.deepcopy`, are handles on the same record."""

from __future__ import annotations

import copy
import gc
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount

from nemorun_cli import dash
from nemorun_cli.errors import StateError
from nemorun_cli.tracking import Experiment, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.programs import Program


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is that of a commit: no git works in the background, and changes the files of a record."""
    monkeypatch.setenv("EXP_COMMIT", "0" * 40)


class Own(Experiment):
    """A class of a user's, with an attribute of its own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.extra = {"a": 1}


def _unpickled(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301 - the test has made it


def _pickled(value: Any) -> Any:
    return _unpickled(pickle.dumps(value))


Copies = pytest.mark.parametrize("copied", [_pickled, copy.deepcopy], ids=["pickle", "deepcopy"])
Classes = pytest.mark.parametrize("kind", [Experiment, dash.Experiment, Own])


@Copies
@Classes
def test_a_copy_of_an_open_record_logs_to_it(
    kind: type[Any], copied: Callable[[Any], Any], root: Path
) -> None:
    """It writes files of its own in the same opening, sees what is there, and cannot end the record."""
    with kind("o/p/a", dash_root=root, print_logs=False, tags=["t"]).run as experiment:
        experiment.metrics("m").log(x=1).buffer(y=1)
        other = copied(experiment)
        assert type(other) is kind
        assert (other.run.is_open, other.id, other.status) == (True, experiment.id, "RUNNING")
        other.metrics("m").log(x=2).buffer(y=2)
        other.params.set(lr=1)
        other.log("line")
        other.files("f").save_text("x", to="x.txt")
        other.tracks("t").append(x=1, _ts=1.0)
        with pytest.raises(StateError, match="already running"):
            other.run.start()
        other.run.complete()
        assert (other.run.is_open, experiment.run.is_open, experiment.status) == (False, True, "RUNNING")
        with pytest.raises(StateError):
            other.metrics("m").log(x=3)
        experiment.metrics("m").log(x=4)
    told = record(root, "o/p/a")
    assert told is not None
    assert (told.status, len(told.openings)) == ("COMPLETED", 1)
    data = told.data()
    rows = data.metrics("m").read()
    assert sorted(row["x"] for row in rows if "x" in row) == [1, 2, 4]
    assert sorted(row["y.mean"] for row in rows if "y.mean" in row) == [1.0, 2.0]
    assert (data.params.get(), len(data.logs.read())) == ({"lr": 1}, 1)
    assert (len(data.files.list()), len(data.tracks("t").read())) == (1, 1)


@Copies
@Classes
def test_a_copy_of_a_record_that_is_not_open_is_like_a_new_one(
    kind: type[Any], copied: Callable[[Any], Any], root: Path
) -> None:
    """It has the arguments of the original, at the same prefix, and each opens the record by itself."""
    original = kind(
        "{user}/p/{id}", dash_root=root, print_logs=False, tags=["t"], bindrs=["b"], resume="allow"
    )
    other = copied(original)
    assert (other.prefix, other.dash_root, other.about) == (
        original.prefix,
        original.dash_root,
        original.about,
    )
    assert vars(other).keys() == vars(original).keys()
    for experiment in (other, original):
        with experiment.run:
            experiment.metrics("m").log(x=1)
    assert [opening.generation for opening in original.openings()] == [1, 2]
    assert len(other.metrics("m").read(attempts="all")) == 2


PARTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], object]]] = {
    "metrics": (lambda it: it.metrics, lambda part: part.log(m={"x": 1})),
    "metric": (lambda it: it.metrics("m"), lambda part: part.log(x=1)),
    "log": (lambda it: it.metrics("m").log, lambda part: part(x=1)),
    "buffer": (lambda it: it.metrics, lambda part: part("m").buffer(x=1) and part.buffer.log_summary()),
    "cache": (lambda it: it.metrics("m").summary_cache, lambda part: part.set(x=1) or part.summarize()),
    "params": (lambda it: it.params, lambda part: part.set(x=1)),
    "logs": (lambda it: it.logs, lambda part: part.info("x")),
    "files": (lambda it: it.files("f"), lambda part: part.save_text("x", to="x.txt")),
    "tracks": (lambda it: it.tracks, lambda part: part("t").append(x=1)),
    "track": (lambda it: it.tracks("t"), lambda part: part.append(x=1)),
    "run": (lambda it: it.run, lambda part: part.complete()),
}


@Copies
@pytest.mark.parametrize("name", PARTS)
def test_parts_are_copied_too(name: str, copied: Callable[[Any], Any], experiment: Experiment) -> None:
    """A series, the params, the files and the others can be handed on by themselves."""
    part, use = PARTS[name]
    use(copied(part(experiment)))
    assert experiment.run.is_open
    folder = {"run": "openings", "track": "tracks"}.get(
        name, name if name in {"params", "logs", "files", "tracks"} else "metrics"
    )
    rows = [path for path in experiment_files(experiment, folder) if path.suffix == ".jsonl"]
    assert len(rows) == 1
    assert ("." in rows[0].stem) is (name != "run"), "a copy writes under a name of its own"


def experiment_files(experiment: Experiment, folder: str) -> list[Path]:
    """The files in a folder of a record."""
    return [path for path in Path(experiment.place.record, folder).rglob("*") if path.is_file()]


@Copies
def test_a_copy_whose_original_has_ended_says_so(copied: Callable[[Any], Any], root: Path) -> None:
    """What it logs to a further series is refused with the reason; a copy that is made later is not open."""
    experiment = Experiment("a", dash_root=root, print_logs=False)
    with experiment.run:
        early, data = copied(experiment), pickle.dumps(experiment)
        early.metrics("old").log(x=1)
    assert early.metrics("old").log(x=2).last("x") == 2
    late = _unpickled(data)
    assert not late.run.is_open
    for other in (early, late):
        with pytest.raises(StateError, match="the process that opened it has ended it"):
            other.metrics("new").log(x=1)
        assert not other.run.is_open
        with pytest.raises(StateError, match="has ended it"):
            other.files.save_text("x", to="x.txt")
    assert experiment.metrics.names() == ["old"]
    assert experiment.files.list() == []
    with late.run:
        late.metrics("new").log(x=1)
    assert len(experiment.openings()) == 2


def test_copies_in_one_process_share_a_file(experiment: Experiment) -> None:
    """A worker that gets a copy with each of its tasks writes one file, and leaves no descriptor open."""
    data = pickle.dumps(experiment.metrics("m"))
    descriptors = Path("/proc/self/fd")
    before = len([*descriptors.iterdir()])
    for number in range(50):
        _unpickled(data).log(x=number)
    assert len([*descriptors.iterdir()]) == before + 1
    assert [row["x"] for row in experiment.metrics("m").read()] == list(range(50))
    assert len(experiment_files(experiment, "metrics")) == 1


def test_a_copy_that_opens_the_record_anew_is_apart(experiment: Experiment) -> None:
    """It writes to its own opening, and other copies to that of the original, at the same time."""
    first, second = _pickled(experiment), _pickled(experiment)
    first.metrics("m").log(x=1)
    first.run.complete()
    with first.run:
        first.metrics("m").log(x=2)
        second.metrics("m").log(x=3)
        first.metrics("m").log(x=4)
        own, other = (
            experiment.metrics("m").read(openings=[opening]) for opening in (first.id, experiment.id)
        )
    assert ([row["x"] for row in own], [row["x"] for row in other]) == ([2, 4], [1, 3])
    second.metrics("m").log(x=5)
    assert experiment.metrics("m").last("x", openings=[experiment.id or ""]) == 5


WORKER = """
import multiprocessing, pathlib
pathlib.Path("work.py").write_text('''
def work(argument):
    experiment, number = argument
    experiment.metrics("m").log(x=number).buffer(y=number)
    return experiment.prefix

def alone(experiment):
    experiment.metrics("m").buffer(z=1)
''')
sys.path.insert(0, os.getcwd())
import work
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"][: amount(1, long=3)])
def test_workers_log_through_their_copy(method: str, program: Program, root: Path) -> None:
    """A pool and a process of any start method log to the record, and only the parent ends it."""
    program.run(
        f"""{WORKER}
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with Experiment(dash_root=root, prefix="{{user}}/p/{{id}}", print_logs=False).run as e:
        with context.Pool(2) as pool:
            prefixes = pool.map(work.work, [(e, number) for number in range(8)])
            pool.close()
            pool.join()
        process = context.Process(target=work.alone, args=(e,))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert set(prefixes) == {{e.prefix}}
        assert e.status == "RUNNING"
    pathlib.Path("prefix").write_text(e.prefix)
"""
    )
    told = record(root, (root.parent / "prefix").read_text())
    assert told is not None
    assert (told.status, len(told.openings)) == ("COMPLETED", 1)
    rows = told.data().metrics("m").read()
    assert sorted(row["x"] for row in rows if "x" in row) == list(range(8))
    assert [row["z.mean"] for row in rows if "z.mean" in row] == [1.0]
    assert sum(row["y.count"] for row in rows if "y.count" in row) == 8
    assert len(list((root / told.prefix / ".record/metrics/m").iterdir())) <= 4


@Copies
def test_what_a_copy_buffered_outlives_it(copied: Callable[[Any], Any], root: Path) -> None:
    """Copies that are dropped lose no number: their process summarises them once, before the record ends."""
    with Experiment("a", dash_root=root, print_logs=False).run as experiment:
        for number in range(3):
            other = copied(experiment)
            other.metrics("m").buffer(y=number)
            other.metrics("m").summary_cache.store(z=number)
            del other
            gc.collect()
        assert copied(experiment).metrics.buffer.peek("m") == {"y": [0.0, 1.0, 2.0]}
        assert experiment.metrics.buffer.peek("m") == {}
    rows = experiment.metrics("m").read()
    assert [row["y.count"] for row in rows if "y.count" in row] == [3]
    assert [row["z.count"] for row in rows if "z.count" in row] == [3]


def test_a_forked_worker_summarises_its_own_numbers(program: Program, root: Path) -> None:
    """A worker of multiprocessing that inherited the record does so at its end, not those of its parent."""
    program.run(
        """
    import copy, multiprocessing
    context = multiprocessing.get_context("fork")
    def work(number):
        if number:
            e.metrics("m").buffer(y=number)
            copy.deepcopy(e).metrics("m").summary_cache.store(z=number)
    with Experiment("a", dash_root=root, print_logs=False).run as e:
        e.metrics("m").buffer(y=7)
        for number in range(3):
            process = context.Process(target=work, args=(number,))
            process.start()
            process.join()
            assert process.exitcode == 0
    """
    )
    rows = Experiment("a", dash_root=root).metrics("m").read()
    assert sorted(row["y.mean"] for row in rows if "y.mean" in row) == [1.0, 2.0, 7.0]
    assert sorted(row["z.mean"] for row in rows if "z.mean" in row) == [1.0, 2.0]


def test_a_fork_of_a_process_with_a_copy_has_files_of_its_own(program: Program, root: Path) -> None:
    """A forked child and its parent, both with the same copy, never share a file."""
    program.run(
        """
    import copy
    with Experiment('a', dash_root=root).run as e:
        other = copy.deepcopy(e)
        other.metrics('m').log(x=0).buffer(y=1)
        if os.fork() == 0:
            other.metrics('m').log(x=1)
            copy.deepcopy(other).metrics('m').log(x=2)
            os._exit(0)
        os.wait()
        other.metrics('m').log(x=3)
    """
    )
    files = sorted((root / "a/.record/metrics/m").iterdir())
    assert sorted(path.read_text().count("\n") for path in files) == [1, 1, 3]
    rows = Experiment("a", dash_root=root).metrics("m").read()
    assert [row["y.mean"] for row in rows if "y.mean" in row] == [1.0]
