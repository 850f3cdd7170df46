"""The name of the user who runs a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nemorun_cli.system import user


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
