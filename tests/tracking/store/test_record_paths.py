from __future__ import annotations

import os
import pathlib
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking import Experiment, prefixes, record
from nemorun_cli.tracking.store import record_paths

if TYPE_CHECKING:
    from pathlib import Path

OUTSIDE = (
    *(
        "",
        "/",
        "/etc",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "/a/b",
        "a/b\0c",
        "a/b\nc",
        "a/.record/b",
    ),
    *("a/" + "x" * 201, "/".join(["x" * 100] * 11), "a/\ud800", "."),
)


@pytest.mark.parametrize("prefix", OUTSIDE)
def test_prefix_that_could_leave_the_root_is_refused(prefix: str, root: Path) -> None:
    """No prefix leads out of the root, and none that tries is followed in part."""
    with pytest.raises(UsageError):
        Experiment(prefix or "/", dash_root=root)
    assert not root.exists()


@pytest.mark.parametrize("prefix", ["a", "owner/project/name", "a b/ü/..c", "o/p/n:1=2,3"])
def test_ordinary_prefix_is_kept_as_it_is(prefix: str, root: Path) -> None:
    """A prefix of plain names is a path of exactly those names."""
    with Experiment(prefix, dash_root=root).run:
        pass
    assert (root / prefix / ".record" / "openings").is_dir()


def test_templates_are_a_closed_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`{user}`, `{date}`, `{time}` and `{id}` are filled in; another name is an error that lists these."""
    monkeypatch.setenv("USER", "../al/ice")
    filled = Experiment("{user}/{date}/{time}-{id}", dash_root=root).prefix
    owner, date, last = filled.split("/")
    assert owner == "_al_ice"
    assert len(date) == len("2026-11-22")
    assert last.count("-") == 2
    assert "{" not in filled
    with pytest.raises(UsageError, match=r"\{RUN.id\}.*\{user\} \{date\} \{time\} \{id\}"):
        Experiment("a/{RUN.id}", dash_root=root)
    with pytest.raises(UsageError, match="unmatched brace"):
        Experiment("a/{id", dash_root=root)


def test_ids_of_one_second_differ() -> None:
    """Two jobs started in the same second do not share a prefix with `{id}` in it."""
    assert len({record_paths.unique() for _ in range(1000)}) == 1000


@given(st.text(min_size=1, max_size=40))
def test_name_survives_as_a_file_name(name: str) -> None:
    """Every name becomes one file name that no other name becomes, and comes back from it."""
    encoded = record_paths.encode_name(name)
    assert record_paths.decode_name(encoded) == name
    assert "/" not in encoded
    assert "\0" not in encoded
    assert not encoded.startswith(".")
    assert encoded != record_paths.UNNAMED


@pytest.mark.parametrize(
    "name", ["../../../evil", "/etc/passwd", ".", "..", "a/b", "a_b", "a%2Fb", "@", "a\0b", "é/🎉"]
)
def test_metric_of_any_name_stays_in_its_place(name: str, experiment: Experiment, root: Path) -> None:
    """A metric's name, whatever it holds, makes one folder under the record's metrics."""
    experiment.metrics(name).log(loss=1)
    folders = list((root / "owner/project/name/.record/metrics").iterdir())
    assert len(folders) == 1
    assert experiment.metrics.names() == [name]
    assert experiment.metrics(name).last("loss") == 1


def test_names_with_a_slash_and_an_underscore_are_two(experiment: Experiment) -> None:
    """`a/b` and `a_b` are different metrics and different tracks."""
    experiment.metrics("a/b").log(x=1)
    experiment.metrics("a_b").log(x=2)
    experiment.tracks("a/b").append(x=1)
    experiment.tracks("a_b").append(x=2)
    assert experiment.metrics("a/b").stats()["x"]["count"] == 1
    assert len(experiment.tracks("a_b").read()) == 1


@pytest.mark.parametrize("name", ["", "x" * 201, "é/" * 60])
def test_name_that_is_no_file_name_is_refused(name: str, experiment: Experiment) -> None:
    """An empty or endless name is an error of its own call."""
    with pytest.raises(UsageError):
        experiment.metrics(name)


def test_root_is_made_absolute_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.chdir` in the midst of a run splits nothing."""
    (tmp_path / "elsewhere").mkdir()
    experiment = Experiment("a/b")
    with experiment.run:
        experiment.metrics("m").log(x=1)
        monkeypatch.chdir(tmp_path / "elsewhere")
        experiment.metrics("m").log(x=2)
        experiment.metrics("n").log(x=3)
        experiment.files.save_text("t", to="t.txt")
    assert (tmp_path / ".dash/a/b/.record").is_dir()
    assert not list((tmp_path / "elsewhere").iterdir())
    assert experiment.metrics("m").stats()["x"]["count"] == 2


def test_records_nest(root: Path) -> None:
    """A record below another one's prefix leaves that one as it was."""
    outer = Experiment("a/metrics", dash_root=root)
    inner = Experiment("a/metrics/metrics/train", dash_root=root)
    with outer.run, inner.run:
        outer.metrics("train").log(x=1)
        inner.metrics("train").log(x=2)
    assert (outer.metrics("train").last("x"), inner.metrics("train").last("x")) == (1, 2)


def test_only_the_owner_may_read(experiment: Experiment, root: Path) -> None:
    """Files are 0600 and folders 0700, whatever the umask allows."""
    before = os.umask(0)
    try:
        experiment.metrics("m").log(x=1)
        experiment.params.set(x=1)
        experiment.log("x")
        experiment.files("f").save_text("x", to="x.txt")
        experiment.tracks("t").append(x=1)
        Experiment("other/one", dash_root=root).run.start().run.complete()
    finally:
        os.umask(before)
    for path in root.rglob("*"):
        if not path.name.endswith(".part"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("how", ["argument", "path", "variable"])
def test_a_tilde_is_the_folder_of_the_user(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` in a root of records is the user's folder, for writers and readers; no folder is called `~`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = {"argument": "~/dash", "path": pathlib.Path("~/dash"), "variable": None}[how]
    if how == "variable":
        monkeypatch.setenv("EXP_DASH_ROOT", "~/dash")
    with Experiment("a", dash_root=root).run as experiment:
        experiment.files.save_text("x", to="x.txt")
    assert experiment.dash_root == str(tmp_path / "home/dash")
    assert record("~/dash", "a") is not None
    assert list(prefixes("~/dash")) == ["a"]
    assert experiment.files("x.txt").download(to="~/x.txt") == str(tmp_path / "home/x.txt")
    experiment.run.start()
    assert experiment.files.upload("~/x.txt")["filename"] == "x.txt"
    experiment.run.complete()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("bad", ["~no-such-user/dash", "a\0b", b"bytes", 3, ["a"]])
def test_what_is_no_folder_is_refused(bad: object) -> None:
    """A user that does not exist and a value that is no path are errors of the call; nothing is made."""
    with pytest.raises((UsageError, TypeError), match=r"~no-such-user|NUL|path|PathLike"):
        Experiment("a", dash_root=bad)  # type: ignore[arg-type] # what is tested
    assert Experiment("a", dash_root="./~a").dash_root.endswith("/~a")
