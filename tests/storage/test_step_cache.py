"""The step cache: what is kept of a result, and what of it is taken."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import small_disks
from support.extent import amount

from nemorun_cli.storage.paths import Home
from nemorun_cli.storage.step_cache.attempt_site import AttemptSite
from nemorun_cli.storage.step_cache.collecting import StepCacheCollector
from nemorun_cli.storage.step_cache.content_digests import ContentDigests
from nemorun_cli.storage.step_cache.entries import StepCache
from nemorun_cli.storage.step_cache.keeping import keep
from nemorun_cli.storage.step_cache.taking import Hit, Miss, take
from nemorun_cli.system import crashpoints, locks
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.access import reader, supervisor_api
from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt
from nemorun_cli.tracking.store import json_values, row_writer
from nemorun_cli.tracking.store.record_paths import Place

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "0123456789abcdef" * 2


class Case:
    """A home with a step cache, and the places of attempts in it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.work = folder / "work"
        self.work.mkdir()
        self.cache = StepCache(self.home, ContentDigests(None).of)

    def site(self, experiment: str, *globs: str, task: str = "t", number: int = 1) -> AttemptSite:
        """An attempt of an experiment, which has its folders."""
        directory = self.home.experiments / experiment.partition("_")[0] / experiment
        (directory / "shared").mkdir(parents=True, exist_ok=True)
        return AttemptSite(
            directory=str(directory),
            task=task,
            attempt=number,
            workdir=str(self.work),
            globs=globs,
            records=str(self.home.dash),
            prefix=f"me/{experiment}",
        )

    def keep(self, site: AttemptSite, **more: object) -> str | None:
        """Keep the result of an attempt."""
        return keep(self.cache, site, **{"fingerprint": ID, "outputs": {"n": 1}, **more})  # type: ignore[arg-type]

    def take(self, site: AttemptSite) -> Hit | Miss:
        """Take what was kept."""
        return take(self.cache, site, ID)

    def kept(self) -> list[Path]:
        """The files of the store's contents."""
        return sorted(path for path in self.home.step_cache_contents.rglob("*") if path.is_file())


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A home and a workdir."""
    return Case(tmp_path)


@pytest.fixture
def tracked(case: Case, monkeypatch: pytest.MonkeyPatch) -> AttemptSite:
    """An attempt that has tracked a metric, a param and a file, in its own record and in another one."""
    site = case.site("a_1")
    site.files.directory.mkdir(parents=True)
    for name, value in {
        "EXP_ID": "a_1",
        "EXP_TASK": "t",
        "EXP_ATTEMPT": "1",
        "EXP_OUTPUT": str(site.files.outputs),
        "NEMORUN_HOME": str(case.home.directory),
    }.items():
        monkeypatch.setenv(name, value)
    for prefix in ("me/a_1/t", "else/where"):
        with Experiment(prefix, dash_root=case.home.dash, print_logs=False).run as experiment:
            experiment.params.set(lr=0.1)
            experiment.metrics("loss").log(step=1, value=0.5)
            path = case.work / "weights"
            path.write_bytes(b"\0\1")
            experiment.files("models").save(path)
    return site


def test_a_result_is_taken_as_it_was(case: Case) -> None:
    """Declared files, with their permissions, and outputs are those of the run, wherever they began."""
    site = case.site("a_1", "out", "$EXP_SHARED/m.bin")
    (case.work / "out" / "deep").mkdir(parents=True)
    (case.work / "out" / "deep" / "x").write_text("x")
    (case.work / "out" / "run").write_text("#!")
    (case.work / "out" / "run").chmod(0o755)
    Path(site.directory, "shared", "m.bin").write_bytes(bytes(9))
    assert case.keep(site) is None
    (case.work / "out" / "deep" / "x").unlink()
    (case.work / "out" / "run").unlink()
    other = case.site("b_2", "out", "$EXP_SHARED/m.bin")
    hit = case.take(other)
    assert isinstance(hit, Hit)
    assert (hit.entry.outputs, hit.entry.origin) == (
        {"n": 1},
        {"experiment": "a_1", "task": "t", "attempt": 1},
    )
    assert (case.work / "out" / "deep" / "x").read_text() == "x"
    assert stat.S_IMODE((case.work / "out" / "run").stat().st_mode) == 0o755
    assert Path(other.directory, "shared", "m.bin").read_bytes() == bytes(9)
    assert other.files.log.read_text() == "it has the result of t of a_1, which exp logs --origin prints\n"


def test_nothing_is_written_where_the_files_are_already(case: Case) -> None:
    """A file that has its content is left alone: it keeps its inode and its time."""
    (case.work / "x").write_text("x")
    assert case.keep(case.site("a_1", "x")) is None
    before = (case.work / "x").stat()
    assert isinstance(case.take(case.site("b_2", "x")), Hit)
    after = (case.work / "x").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_a_task_tracked_is_a_record_of_the_other(case: Case, tracked: AttemptSite) -> None:
    """Metrics, params and files are read in records of the other experiment, which name their origin."""
    assert case.keep(tracked) is None
    other = case.site("b_2")
    assert isinstance(case.take(other), Hit)
    for prefix in ("me/b_2/t", "else/where"):
        record = reader.record(case.home.dash, prefix)
        assert record is not None
        own = record.ids(exp_id="b_2", task="t", attempt=1)
        assert len(own) == 1
        opening = next(each for each in record.openings if each.id == own[0])
        assert opening.facts["cached_from"] == {"experiment": "a_1", "task": "t", "attempt": 1}
        data = record.data()
        assert [row["value"] for row in data.metrics("loss").read(openings=own)] == [0.5]
    record = reader.record(case.home.dash, "me/b_2/t")
    assert record is not None
    assert record.data().params.get() == {"lr": 0.1}
    assert (str(record.status), record.ids(exp_id="a_1")) == ("COMPLETED", [])
    assert record.data().files("models").read_bytes("weights") == b"\0\1"


@pytest.mark.parametrize("change", ["content", "removed", "torn", "folder"])
def test_what_was_changed_in_the_store_is_not_taken(case: Case, change: str) -> None:
    """A content that was changed by hand is not taken, and the next result replaces it."""
    (case.work / "x").write_text("right")
    assert case.keep(case.site("a_1", "x")) is None
    (case.work / "x").unlink()
    (kept,) = case.kept()
    kept.chmod(0o600)
    if change == "content":
        kept.write_text("wrong")
    elif change == "torn":
        os.truncate(kept, 2)
    else:
        kept.unlink()
        if change == "folder":
            kept.mkdir()
    miss = case.take(case.site("b_2", "x"))
    assert isinstance(miss, Miss)
    assert f"{kept} was changed or removed since" in (miss.message or "")
    assert not (case.work / "x").exists()
    if change == "folder":
        kept.rmdir()
    (case.work / "x").write_text("right")
    assert case.keep(case.site("b_2", "x")) is None
    assert isinstance(case.take(case.site("c_3", "x")), Hit)


def test_a_copied_store_is_read_again(case: Case) -> None:
    """A content with other times and another inode, as in a copied home, is taken if it has its digest."""
    (case.work / "x").write_text("right")
    assert case.keep(case.site("a_1", "x")) is None
    (kept,) = case.kept()
    data = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(data)
    assert isinstance(case.take(case.site("b_2", "x")), Hit)


def test_a_file_that_was_changed_by_hand_is_not_replaced(case: Case) -> None:
    """The task runs instead, and what was changed has a copy before that."""
    (case.work / "x").write_text("made")
    assert case.keep(case.site("a_1", "x")) is None
    (case.work / "x").write_text("by hand")
    miss = case.take(case.site("b_2", "x"))
    assert isinstance(miss, Miss)
    assert f"{case.work / 'x'} was changed since the task wrote it" in (miss.message or "")
    (copy,) = [path for path in case.home.step_cache_replaced.rglob("*") if path.is_file()]
    assert (copy.read_text(), (case.work / "x").read_text()) == ("by hand", "by hand")
    assert str(copy) in (miss.message or "")


def test_the_result_of_another_run_is_replaced(case: Case) -> None:
    """A file in the way whose content the store has is the result of other params, and not lost."""
    (case.work / "x").write_text("one")
    assert case.keep(case.site("a_1", "x")) is None
    (case.work / "x").write_text("two")
    assert case.keep(case.site("b_2", "x"), fingerprint=ID[::-1]) is None
    assert isinstance(case.take(case.site("c_3", "x")), Hit)
    assert (case.work / "x").read_text() == "one"


@pytest.mark.parametrize("obstacle", ["folder", "link", "folder behind a link"])
def test_no_file_is_written_through_what_is_in_the_way(case: Case, tmp_path: Path, obstacle: str) -> None:
    """A link or a folder in the place of a file is neither followed nor replaced."""
    (case.work / "out").mkdir()
    (case.work / "out" / "x").write_text("x")
    assert case.keep(case.site("a_1", "out/x")) is None
    (case.work / "out" / "x").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if obstacle == "folder":
        (case.work / "out" / "x").mkdir()
    elif obstacle == "link":
        (case.work / "out" / "x").symlink_to(elsewhere / "x")
    else:
        (case.work / "out").rmdir()
        (case.work / "out").symlink_to(elsewhere)
    miss = case.take(case.site("b_2", "out/x"))
    assert isinstance(miss, Miss)
    assert "remedy" in (miss.message or "")
    assert not list(elsewhere.iterdir())


def test_the_first_of_equal_results_is_kept(case: Case) -> None:
    """A second success changes nothing, unless it is to replace the first."""
    assert case.keep(case.site("a_1")) is None
    assert case.keep(case.site("b_2")) is None
    hit = case.take(case.site("c_3"))
    assert isinstance(hit, Hit)
    assert hit.entry.experiment == "a_1"
    assert case.keep(case.site("b_2"), replaces=True) is None
    hit = case.take(case.site("d_4"))
    assert isinstance(hit, Hit)
    assert hit.entry.experiment == "b_2"


def test_a_result_without_a_declared_file_is_not_kept(case: Case) -> None:
    """The message names the glob that matches nothing."""
    assert case.keep(case.site("a_1", "no/such/*")) == (
        "no file matches no/such/*, which cache.outputs names"
    )
    assert case.take(case.site("b_2")) == Miss()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "exp.step-cache/2"}', '{"format": 1}'])
def test_an_entry_that_cannot_be_read_is_neither_taken_nor_replaced(case: Case, text: str) -> None:
    """Torn, foreign and newer entries stay as they are, and the message names the file and the remedy."""
    assert case.keep(case.site("a_1")) is None
    path = case.cache.path(ID)
    path.write_text(text)
    miss = case.take(case.site("b_2"))
    assert isinstance(miss, Miss)
    assert str(path) in (miss.message or "")
    assert "remove this file" in (miss.message or "")
    assert str(path) in (case.keep(case.site("b_2")) or "")
    assert path.read_text() == text


def test_an_entry_cannot_write_elsewhere(case: Case) -> None:
    """A name that leaves the folder, as somebody may have written it into an entry, is refused."""
    (case.work / "x").write_text("x")
    assert case.keep(case.site("a_1", "x")) is None
    path = case.cache.path(ID)
    document = json.loads(path.read_text())
    document["files"][0]["name"] = "../y"
    path.write_text(json.dumps(document))
    assert isinstance(case.take(case.site("b_2", "x")), Miss)
    assert not (case.work.parent / "y").exists()


def test_what_a_killed_process_recorded_is_recorded_once(case: Case, tracked: AttemptSite) -> None:
    """A second process removes the records that the first had written before the ledger knew of them."""
    assert case.keep(tracked) is None
    other = case.site("b_2")
    assert isinstance(case.take(other), Hit)
    assert isinstance(case.take(other), Hit)
    record = reader.record(case.home.dash, "else/where")
    assert record is not None
    assert len(record.ids(exp_id="b_2")) == 1


def test_a_read_only_file_is_shared(case: Case) -> None:
    """A file that nobody may write to is stored, and taken, as another name of the same file."""
    path = case.work / "x"
    path.write_text("x")
    path.chmod(0o444)
    assert case.keep(case.site("a_1", "x")) is None
    path.unlink()
    assert isinstance(case.take(case.site("b_2", "x")), Hit)
    (kept,) = case.kept()
    assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (kept.stat().st_ino, 0o444)


def test_a_task_without_files_of_this_machine_has_outputs_and_artifacts(case: Case) -> None:
    """Of a task on another host, the artifacts that were copied back are kept, and nothing of its workdir."""
    site = replace(case.site("a_1", "x"), workdir=None)
    site.files.artifacts.mkdir(parents=True)
    (site.files.artifacts / "m.bin").write_bytes(b"m")
    assert case.keep(site) is None
    other = replace(case.site("b_2", "x"), workdir=None)
    assert isinstance(case.take(other), Hit)
    assert (other.files.artifacts / "m.bin").read_bytes() == b"m"


def killed(point: str, count: int, action: Callable[[], object]) -> bool:
    """Whether a forked process was killed at a point, as it did something."""
    pid = os.fork()
    if not pid:
        crashpoints._name, crashpoints._remaining = point, count
        try:
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def hidden(folder: Path) -> list[Path]:
    """What a process has left unfinished."""
    return list(folder.rglob(".new-*"))


@pytest.mark.parametrize(
    ("point", "count"),
    [
        ("step_cache.keeping", 1),
        ("step_cache.content", 1),
        ("step_cache.content", 2),
        ("step_cache.contents", 1),
        ("step_cache.kept", 1),
    ],
)
def test_killed_while_it_is_kept(case: Case, tracked: AttemptSite, point: str, count: int) -> None:
    """There is no entry, or a whole one; a second time it is kept whatever the first has left."""
    (case.work / "x").write_text("x")
    (case.work / "y").write_text("y")
    site = replace(tracked, globs=("x", "y"))
    assert killed(point, count, lambda: case.keep(site))
    other = case.site("b_2", "x", "y")
    assert isinstance(case.take(other), Hit if point == "step_cache.kept" else Miss)
    assert case.keep(site) is None
    assert isinstance(case.take(other), Hit)


@pytest.mark.parametrize(
    ("point", "count"),
    [
        ("step_cache.listed", 1),
        ("step_cache.prepared", 1),
        ("step_cache.file", 1),
        ("step_cache.placed", 1),
        ("step_cache.taken", 1),
    ],
)
def test_killed_while_it_is_taken(case: Case, tracked: AttemptSite, point: str, count: int) -> None:
    """No file is torn, nothing is left next to it, and nothing is recorded twice."""
    for name in ("x", "y"):
        (case.work / name).write_text(name)
    assert case.keep(replace(tracked, globs=("x", "y"))) is None
    for name in ("x", "y"):
        (case.work / name).unlink()
    other = case.site("b_2", "x", "y")
    assert killed(point, count, lambda: case.take(other))
    for name in ("x", "y"):
        path = case.work / name
        assert not path.exists() or path.read_text() == name
    hit = case.take(other)
    assert isinstance(hit, Hit)
    assert [(case.work / name).read_text() for name in ("x", "y")] == ["x", "y"]
    assert not hidden(case.work)
    record = reader.record(case.home.dash, "else/where")
    assert record is not None
    assert len(record.ids(exp_id="b_2")) == 1
    case.cache.path(ID).unlink()
    assert case.take(other) == Miss()
    record = reader.record(case.home.dash, "else/where")
    assert record is not None
    assert record.ids(exp_id="b_2") == []
    assert not other.files.log.exists()


def test_a_full_disk(case: Case, tmp_path: Path) -> None:
    """What does not fit is not kept, and not taken: the reason names the place, and what was there stays."""
    (case.work / "x").write_bytes(os.urandom(300_000))
    with small_disks.mounted(case.home.directory, kib=200):
        message = case.keep(case.site("a_1", "x"))
        assert "No space left on device" in (message or "")
        assert str(case.home.directory) in (message or "")
        assert (case.kept(), case.take(case.site("b_2", "x"))) == ([], Miss())
    case.home.directory.rmdir()
    assert case.keep(case.site("a_1", "x")) is None
    small = tmp_path / "small"
    with small_disks.mounted(small, kib=100):
        miss = case.take(replace(case.site("b_2", "x"), workdir=str(small)))
        assert isinstance(miss, Miss)
        assert "No space left on device" in (miss.message or "")
        assert not [*small.iterdir()]


def test_what_nothing_used_for_long_is_removed(case: Case) -> None:
    """An old result goes with the contents that only it has; one that was taken since stays with its own."""
    for name, text in {"x": "x", "y": "yy", "both": "both"}.items():
        (case.work / name).write_text(text)
    assert case.keep(case.site("a_1", "x", "both")) is None
    assert case.keep(case.site("b_2", "y", "both"), fingerprint=ID[::-1]) is None
    for name in case.cache.ids():
        os.utime(case.cache.path(name), (0, 0))
    assert isinstance(case.take(case.site("c_3", "x", "both")), Hit)
    collector = StepCacheCollector(case.home)
    (unused,) = collector.unused(older=3600)
    assert unused.path == case.cache.path(ID[::-1])
    assert unused.size == unused.path.stat().st_size + len("yy")
    assert not [*collector.orphans()]
    with locks.sharing(case.home.step_cache_lock):
        assert collector.remove(unused.path) == "a result is being kept or taken"
    assert collector.remove(unused.path) is None
    assert sorted(path.read_text() for path in case.kept()) == ["both", "x"]
    assert isinstance(case.take(case.site("d_4", "x", "both")), Hit)


def test_contents_without_a_result_are_removed(case: Case) -> None:
    """What a killed process left goes; nothing goes while a result cannot be read, which may need it."""
    (case.work / "x").write_text("x")
    (case.work / "y").write_text("y")
    assert killed("step_cache.contents", 1, lambda: case.keep(case.site("a_1", "x", "y")))
    assert case.keep(case.site("a_1", "x")) is None
    collector = StepCacheCollector(case.home)
    (orphan,) = collector.orphans()
    other = case.cache.path(ID[::-1])
    other.write_text("{")
    assert not [*collector.orphans()]
    other.unlink()
    (kept,) = set(case.kept()) - {orphan.path}
    assert collector.remove(kept) == "a result names it"
    assert collector.remove(orphan.path) is None
    assert case.kept() == [kept]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(NAMES.filter(lambda name: len(name.encode()) < 99), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.tuples(st.binary(max_size=99), st.sampled_from([0o644, 0o755, 0o444])))
ROWS = st.lists(st.floats(allow_nan=False), max_size=4)


@settings(max_examples=amount(8, long=500), deadline=None)
@given(FILES, st.dictionaries(st.text(), st.text()), ROWS)
def test_a_hit_equals_a_run(
    files: dict[str, tuple[bytes, int]], outputs: dict[str, str], rows: list[float]
) -> None:
    """Whatever a task wrote and tracked, another one has the same files, permissions, outputs and rows."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder))
        written = write_files(case.work / "out", files)
        site = case.site("a_1", *(["out"] if written else []))
        place = Place(str(case.home.dash), "me/a_1/t")
        opening = supervisor_api.open_attempt(place, TrackedAttempt("a_1", "t", 1), {"n": len(rows)})
        write_rows(place, opening, rows)
        reader.close_openings(place.root, place.prefix, exp_id="a_1", status="COMPLETED")
        assert case.keep(site, outputs=outputs) is None
        shutil.rmtree(case.work / "out", ignore_errors=True)
        other = case.site("b_2", "out")
        hit = case.take(other)
        assert isinstance(hit, Hit)
        assert hit.entry.outputs == outputs
        assert found(case.work / "out") == written
        first, second = (reader.record(case.home.dash, f"me/{name}/t") for name in ("a_1", "b_2"))
        assert first is not None
        assert second is not None
        assert tracked_by(first) == tracked_by(second)


def write_files(top: Path, files: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    """Write these files, except those whose paths cannot be, or are passed over; returns the others."""
    for name, (data, mode) in files.items():
        path = top / name
        if not {".", "..", ".git", "__pycache__"}.isdisjoint(name.split("/")):
            continue
        with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
    return found(top)


def found(top: Path) -> dict[str, tuple[bytes, int]]:
    """The files below a folder, with their contents and permissions."""
    return {
        str(path.relative_to(top)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in top.rglob("*")
        if path.is_file()
    }


def write_rows(place: Place, opening: str, rows: list[float]) -> None:
    """Record rows of a metric, as a supervisor does."""
    writer = row_writer.Writer()
    writer.open(opening)
    try:
        for number, value in enumerate(rows):
            writer.append(place.metric("train"), json_values.encode_row(float(number), {"loss": value}))
    finally:
        writer.close()


def tracked_by(record: reader.Record) -> tuple[object, ...]:
    """What readers see of a record."""
    data = record.data()
    return str(record.status), data.params.get(), data.metrics("train").read()
