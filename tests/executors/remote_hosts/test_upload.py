"""What the remote host does with a submission, as the text that a shell runs there."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.other_user import UID

from nemorun_cli.executors.remote_hosts import upload

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(os.geteuid() != 0, reason="OWNERS ARE NOT TESTED: only root can change one")
def test_nothing_is_submitted_from_a_folder_of_another_user(tmp_path: Path) -> None:
    """Who made the folder on a shared disk first could replace what jobs run; a link is followed."""
    folder = tmp_path / "exp-'a b"
    folder.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(folder)
    text = " && ".join(
        [
            *(upload.own_folder(place, key="tunnel.") for place in (folder, link)),
            f"touch {shlex.quote(str(folder / 'submitted'))}",
        ]
    )

    def run() -> tuple[int, bool, str]:
        done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)
        is_submitted = (folder / "submitted").exists()
        (folder / "submitted").unlink(missing_ok=True)
        return done.returncode, is_submitted, done.stderr

    assert run() == (0, True, "")
    os.chown(folder, UID, UID)
    code, is_submitted, complaint = run()
    assert (code, is_submitted) == (1, False)
    assert complaint.startswith(f"{folder} belongs to another user")
    os.chown(folder, 0, 0)
    folder.chmod(0o777)
    assert run()[:2] == (1, False)
    folder.chmod(0o2770)
    assert run()[:2] == (0, True)
