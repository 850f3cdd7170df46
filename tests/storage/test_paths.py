"""Where everything lies, and which folders are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.storage.paths import ExperimentFiles, Home, age_key
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from pathlib import Path


def experiment(home: Home, experiment_id: str, *, is_ours: bool = True) -> Path:
    folder = home.experiments / experiment_id.rpartition("_")[0] / experiment_id
    folder.mkdir(parents=True)
    if is_ours:
        ExperimentFiles(folder).ledger.touch()
    return folder


def test_home_is_what_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NEMORUN_HOME`, made absolute, or a folder in the user's own; nothing is made by asking."""
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "there"))
    assert Home.from_environment().directory == tmp_path / "there"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEMORUN_HOME", "here")
    assert Home.from_environment().directory == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NEMORUN_HOME", "~/literal")  # as an assignment in quotes, or a unit file, has it
    assert Home.from_environment().directory == tmp_path / "literal"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("NEMORUN_HOME")
        else:
            monkeypatch.setenv("NEMORUN_HOME", unset)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert Home.from_environment().directory == tmp_path / ".nemo_run"
    assert list(tmp_path.iterdir()) == []


def test_home_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cannot be a home, and the message names it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="file"):
        Home.from_environment()


def test_only_what_has_our_ledger_is_ours(tmp_path: Path) -> None:
    """Folders of other tools under the same home are no experiments."""
    home = Home(tmp_path)
    experiment(home, "a_1")
    experiment(home, "a_2", is_ours=False)
    assert home.experiment("a_1") is not None
    assert home.experiment("a_2") is None
    assert home.experiment("b_1") is None


@pytest.mark.parametrize(
    "name", ["", "a", "a_", "_1", "a_x", "../a_1", "a/a_1", "/a_1", "._1", ".._1", "a_1/", "a_1\n"]
)
def test_what_is_no_id_is_no_experiment(tmp_path: Path, name: str) -> None:
    """No text leads to a folder that is not an experiment's own."""
    home = Home(tmp_path)
    experiment(home, "a_1")
    assert home.experiment(name) is None


def test_names_that_contain_one_another_are_kept_apart(tmp_path: Path) -> None:
    """An experiment belongs to the name it was given, digits and underscores in it included."""
    home = Home(tmp_path)
    for one in ("a_1", "a_1_2", "a_1_2-2", "a_b_3"):
        experiment(home, one)
    assert set(home.ids("a")) == {"a_1"}
    assert set(home.ids("a_1")) == {"a_1_2", "a_1_2-2"}
    assert set(home.ids("none")) == set()
    assert home.names() == sorted({"a", "a_1", "a_b"})


def test_age_orders_by_second_and_number() -> None:
    """Of experiments of one second the later one has the higher number."""
    ids = ["b_10-10", "a_9", "b_10-2", "b_10", "a_11"]
    assert sorted(ids, key=age_key) == ["a_9", "b_10", "b_10-2", "b_10-10", "a_11"]


def test_folders_are_made_private_and_left_as_they_are(tmp_path: Path) -> None:
    """What has to be made is private; what is there keeps its mode."""
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [
        0o755,
        0o700,
        0o700,
    ]


def test_files_of_one_attempt_lie_in_its_folder(tmp_path: Path) -> None:
    """Everything of an attempt is in one place, and no two attempts share one."""
    files = ExperimentFiles(tmp_path / "a_1")
    first, second = files.attempt("g/x", 1), files.attempt("g/x", 2)
    assert first.directory == tmp_path / "a_1" / "tasks" / "g" / "x" / "attempt-1"
    names = ("plan", "script", "call", "log", "lock", "claim", "exit", "outputs")
    paths = [getattr(one, name) for one in (first, second) for name in names]
    assert len(set(paths)) == len(paths)
    assert {path.parent for path in paths} == {first.directory, second.directory}


def test_damaged_ledgers_never_replace_one_another(tmp_path: Path) -> None:
    """Each that is set aside gets a name that is free."""
    files = ExperimentFiles(tmp_path)
    for number in (1, 2):
        assert files.damaged_ledger() == tmp_path / f"ledger.damaged-{number}"
        files.damaged_ledger().touch()
