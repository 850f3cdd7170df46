"""`import_executor`: executors by name in a Python file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.executor_file import import_executor
from nemorun_cli.nemo.executors import LocalExecutor

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
from __future__ import annotations

from dataclasses import dataclass

from nemorun_cli.nemo.executors import LocalExecutor


@dataclass(kw_only=True)
class Ours(LocalExecutor):
    team: str = "vision"


def gpu(retries=0) -> LocalExecutor:
    return Ours(retries=retries)


def number():
    return 3


plain = LocalExecutor(env_vars={"A": "1"})
EXECUTOR_MAP = {"mapped": plain, "made": gpu}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a file of executors."""
    (tmp_path / "executors.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path))
    return tmp_path


def test_an_executor_is_found_by_name(home: Path) -> None:
    """A function is called with the arguments, an object is taken, and EXECUTOR_MAP has names too."""
    assert import_executor("gpu", retries=2).retries == 2
    assert import_executor("gpu").team == "vision"
    assert import_executor("plain") == import_executor("mapped") == LocalExecutor(env_vars={"A": "1"})
    assert import_executor("made", retries=3).retries == 3
    assert import_executor("gpu", call=False)(retries=1).retries == 1
    other = home / "elsewhere.py"
    other.write_text("from nemorun_cli.nemo.executors import LocalExecutor\nbig = LocalExecutor(retries=9)\n")
    assert import_executor("big", file_path=str(other)).retries == 9


@pytest.mark.parametrize(
    ("name", "path", "message", "hint"),
    [
        ("gpo", None, "has no executor 'gpo'", "did you mean gpu?"),
        ("number", None, "number is no executor, but int", ""),
        ("gpu", "absent.py", "there is no file of executors", "executors.yaml"),
        ("gpu", "text", "is no Python file", ".py"),
    ],
)
def test_what_is_no_executor_is_refused(
    home: Path, name: str, path: str | None, message: str, hint: str
) -> None:
    """The message has the file and the names in it."""
    (home / "text").touch()
    with pytest.raises(UsageError, match=message) as refused:
        import_executor(name, file_path=path and str(home / path))
    assert hint in str(refused.value.hint)


def test_a_file_that_everybody_may_change_does_not_run(home: Path) -> None:
    """Whoever can write it could run code as this user."""
    path = home / "executors.py"
    path.write_text(f"open({str(home / 'ran')!r}, 'w')\n")
    os.chmod(path, 0o666)  # noqa: PTH101, S103 - the fault
    with pytest.raises(UsageError, match="everybody may write to it") as refused:
        import_executor("gpu")
    assert f"chmod o-w {path}" in str(refused.value.hint)
    assert not (home / "ran").exists()
