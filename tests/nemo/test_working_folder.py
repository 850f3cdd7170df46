"""Where local tasks of a program run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nemorun_cli.nemo import Experiment, LocalExecutor, Packager, Partial, Script, SlurmExecutor

INLINE = Script(inline="pwd")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which has a script, and is not that of the program."""
    (tmp_path / "here.sh").write_text("pwd\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entry(*task: Any, **keys: Any) -> dict[str, Any]:
    """The task in the spec of an experiment."""
    exp = Experiment("folders")
    exp.add(*task, name="t", **keys)
    made: dict[str, Any] = exp.spec["tasks"]["t"]
    return made


def test_local_tasks_run_in_the_current_folder(folder: Path) -> None:
    """As NeMo-Run's do, members of groups as well; a script is searched there first."""
    assert entry(INLINE)["workdir"] == str(folder)
    assert entry(Partial(len, []))["workdir"] == str(folder)
    assert entry(Script("here.sh"))["script"] == str(folder / "here.sh")
    assert entry(Script("elsewhere.sh"))["script"] == "elsewhere.sh"
    assert [member["workdir"] for member in entry([INLINE, INLINE])["group"]] == [str(folder)] * 2


@pytest.mark.usefixtures("folder")
def test_other_tasks_run_where_their_executor_puts_them() -> None:
    """A working folder that is given, a container and a cluster are left alone."""
    slurm = SlurmExecutor(account="a", packager=Packager())
    assert entry(INLINE, workdir="other")["workdir"] == "other"
    assert "workdir" not in entry(INLINE, slurm)


def test_the_folder_of_the_program_needs_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a link to it."""
    (tmp_path / "link").symlink_to(Path(__file__).parent)
    for here in (Path(__file__).parent, tmp_path / "link"):
        monkeypatch.chdir(here)
        assert "workdir" not in entry(INLINE, LocalExecutor())
