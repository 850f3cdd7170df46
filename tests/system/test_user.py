"""The name of the user who runs a process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.system import user

if TYPE_CHECKING:
    from pathlib import Path


def test_a_user_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the environment, as for other programs."""
    monkeypatch.setenv("LOGNAME", "somebody")
    assert user.name() == "somebody"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be a user without a name")
def test_a_user_without_a_name_is_known_by_its_number() -> None:
    """As in a container that is started with any number."""
    # What only the first user may read is imported before.
    code = "import getpass, os; from nemorun_cli.system import user; os.setuid(54321); print(user.name())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("54321\n", 0), done.stderr


def test_a_user_without_a_folder_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path whose `~` is nobody's folder is named with the remedy; other paths need none."""
    monkeypatch.setenv("HOME", "/somewhere")
    assert str(user.expanded("~/x")) == "/somewhere/x"
    assert str(user.expanded("x/~")) == "x/~"
    with pytest.raises(UsageError, match="~nobody-of-this-name/x"):
        user.expanded("~nobody-of-this-name/x")


def test_a_file_of_this_user_has_no_other_owner(tmp_path: Path) -> None:
    """The owner is named only if it is another user, by the number if it has no name."""
    assert user.owner(tmp_path) is None
    assert user.owner(tmp_path / "missing") is None
    if os.geteuid() == 0:
        os.chown(tmp_path, 54321, 54321)
        assert user.owner(tmp_path) == "uid 54321"
