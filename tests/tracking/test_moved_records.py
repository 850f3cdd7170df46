"""A record whose folder is moved or removed while it is open: an error, or all rows at one place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import StateError
from nemorun_cli.tracking import Experiment, record
from nemorun_cli.tracking.store.row_writer import MAX_OPEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.programs import Program


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is that of a commit: no git works in the background, and changes the files of a record."""
    monkeypatch.setenv("EXP_COMMIT", "0" * 40)


MOVED = "moved or removed while it was open"
NEW: dict[str, Callable[[Experiment], object]] = {
    "metric": lambda it: it.metrics("new").log(x=1),
    "several": lambda it: it.metrics.log(new={"x": 1}),
    "description": lambda it: it.metrics("new", description="d"),
    "params": lambda it: it.params.set(x=1),
    "log": lambda it: it.log("x"),
    "file": lambda it: it.files.save_text("x", to="x.txt"),
    "track": lambda it: it.tracks("t").append(x=1),
    "tag": lambda it: it.tag("best"),
    "note": lambda it: it.note("x"),
}


def _replaced(folder: Path) -> None:
    """Move a folder away, and put a copy in its place, in which nothing holds the lock."""
    folder.rename(folder.with_name("moved"))
    shutil.copytree(folder.with_name("moved"), folder)


HOW: dict[str, Callable[[Path], object]] = {
    "moved": lambda folder: folder.rename(folder.with_name("moved")),
    "root": lambda folder: folder.parents[1].rename(folder.parents[1].with_name("moved")),
    "removed": shutil.rmtree,
    "replaced": _replaced,
}


@pytest.mark.parametrize("what", NEW)
@pytest.mark.parametrize("how", HOW)
def test_nothing_new_is_begun_at_the_old_place(how: str, what: str, root: Path) -> None:
    """A call that would create a file says what happened, and leaves nothing where no command finds it."""
    experiment = Experiment("a/b", dash_root=root, print_logs=False)
    experiment.run.start()
    experiment.metrics("old").log(x=1)
    HOW[how](root / "a/b")
    before = sorted(root.rglob("*")) if root.exists() else []
    with pytest.raises(StateError, match=MOVED):
        NEW[what](experiment)
    assert (sorted(root.rglob("*")) if root.exists() else []) == before
    if how == "removed":
        with pytest.raises(StateError, match="removed while it was open: what was logged is lost"):
            experiment.run.complete()
    else:
        experiment.run.complete()
    assert not experiment.run.is_open


def test_what_was_begun_goes_on_at_the_new_place(root: Path) -> None:
    """Rows of a series that was open, and the end, are in the moved folder, which is a whole record."""
    with Experiment("a/b", dash_root=root).run as experiment:
        experiment.metrics("old").log(x=1)
        (root / "a/b").rename(root / "a/moved")
        experiment.metrics("old").log(x=2)
    told = record(root, "a/moved")
    assert told is not None
    assert (told.status, [row["x"] for row in told.data().metrics("old").read()]) == ("COMPLETED", [1, 2])
    assert not (root / "a/b").exists()


def test_a_record_can_be_moved_back(root: Path) -> None:
    """When its folder is at its place again, all calls work."""
    with Experiment("a/b", dash_root=root).run as experiment:
        (root / "a/b").rename(root / "a/moved")
        with pytest.raises(StateError, match=MOVED):
            experiment.metrics("m").log(x=1)
        (root / "a/moved").rename(root / "a/b")
        experiment.metrics("m").log(x=2)
    assert experiment.metrics("m").last("x") == 2


def _leave(experiment: Experiment, error: Exception) -> None:
    """Leave the block of a record by an exception."""
    try:
        raise error
    except type(error):
        experiment.run.__exit__(type(error), error, error.__traceback__)
        raise


def test_the_error_of_the_block_is_kept(root: Path) -> None:
    """An exception that ends the block is raised, with a note about the record that was removed."""
    experiment = Experiment("a/b", dash_root=root)
    experiment.run.start()
    shutil.rmtree(root)
    with pytest.raises(ValueError, match="mine") as caught:
        _leave(experiment, ValueError("mine"))
    assert "removed while it was open" in caught.value.__notes__[0]


def test_a_removed_record_is_reported_at_exit(program: Program) -> None:
    """A program that does not end its record, which was removed, says so when it exits."""
    process = program.start("""
    import shutil
    e = Experiment('a', dash_root=root)
    e.run.start()
    shutil.rmtree(root)
    """)
    assert "removed while it was open" in process.communicate()[1]


def test_a_forked_child_notices_it_too(program: Program) -> None:
    """Its files are new, so its first row is refused."""
    text = """
    e = Experiment('a', dash_root=root); e.run.start(); e.metrics('m').log(x=1)
    os.rename(f'{root}/a', f'{root}/b')
    if os.fork() == 0:
        try:
            e.metrics('m').log(x=2)
        except Exception as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    os.wait()
    """
    assert program.run(text) == "StateError\n"


def test_a_file_system_that_changes_the_numbers_of_files_is_no_move(experiment: Experiment) -> None:
    """Where the inode of the opening's file differs, its lock decides: it is held, so the record is there."""
    presence: Any = experiment.writer.presence
    experiment.writer.open(experiment.id or "", presence._replace(inode=presence.inode + 1))
    experiment.metrics("m").log(x=1)
    assert experiment.metrics("m").last("x") == 1


PARTS = ("metrics/m", "metrics", "tracks", "logs", "params")
GONE: dict[str, Callable[[Path], object]] = {
    "moved": lambda folder: folder.rename(folder.with_name("moved")),
    "removed": shutil.rmtree,
    "replaced": _replaced,
}


def _log_all(experiment: Experiment, number: int) -> None:
    experiment.metrics("m").log(x=number)
    experiment.tracks("t").append(x=number, _ts=float(number))
    experiment.log(str(number))
    experiment.params.set({f"p{number}": number})


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", GONE)
def test_a_part_that_is_moved_loses_no_row(experiment: Experiment, root: Path, how: str, part: str) -> None:
    """All its rows are in its place when the record has ended, which warns of it."""
    _log_all(experiment, 1)
    GONE[how](root / experiment.prefix / ".record" / part)
    _log_all(experiment, 2)
    with pytest.warns(RuntimeWarning, match="their rows were written to their places again"):
        experiment.run.complete()
    assert [row["x"] for row in experiment.metrics("m").read()] == [1, 2]
    assert [row["x"] for row in experiment.tracks("t").read()] == [1, 2]
    assert [line["message"] for line in experiment.logs.read()] == ["1", "2"]
    assert experiment.params.get() == {"p1": 1, "p2": 2}
    assert experiment.status == "COMPLETED"


def test_a_part_is_also_kept_when_its_file_is_closed_early(experiment: Experiment, root: Path) -> None:
    """A writer with more series than open files loses no row of a series that was removed."""
    experiment.metrics("m").log(x=1)
    shutil.rmtree(root / experiment.prefix / ".record" / "metrics" / "m")
    for number in range(MAX_OPEN):
        experiment.metrics(f"s{number}").log(x=number)
    experiment.metrics("m").log(x=2)
    with pytest.warns(RuntimeWarning, match="to their places again"):
        experiment.run.complete()
    assert [row["x"] for row in experiment.metrics("m").read()] == [1, 2]


def test_no_training_ends_because_a_part_was_moved(experiment: Experiment, root: Path) -> None:
    """What cannot be written again when a file is closed early is an error only at the end."""
    experiment.metrics("m").log(x=1)
    folder = root / experiment.prefix / ".record" / "metrics" / "m"
    shutil.rmtree(folder)
    folder.write_text("a file in place of the folder")
    for number in range(MAX_OPEN):
        experiment.tracks(f"t{number}").append(x=number)
    with pytest.raises(StateError, match=f"their rows are lost: {folder}/"):
        experiment.run.complete()


def test_what_cannot_be_written_again_is_an_error(experiment: Experiment, root: Path) -> None:
    """The record is FAILED with the path, and ending it raises: rows are lost."""
    experiment.metrics("m").log(x=1)
    folder = root / experiment.prefix / ".record" / "metrics"
    shutil.rmtree(folder)
    folder.write_text("a file in place of the folder")
    with pytest.raises(StateError, match=f"their rows are lost: {folder}/m/"):
        experiment.run.complete()
    assert not experiment.run.is_open
    (opening,) = experiment.openings()
    assert (opening.status, "their rows are lost" in (opening.message or "")) == ("FAILED", True)


def test_a_copy_keeps_its_rows_too(program: Program, root: Path) -> None:
    """A copy, which cannot end the record, writes its files again when its process exits."""
    text = """
    import copy, shutil
    with Experiment('a', dash_root=root).run as e:
        c = copy.deepcopy(e)
        c.metrics('m').log(x=1)
        shutil.rmtree(f'{root}/a/.record/metrics')
        c.metrics('m').log(x=2)
    """
    program.run(text)
    assert [row["x"] for row in Experiment("a", dash_root=root).metrics("m").read()] == [1, 2]
