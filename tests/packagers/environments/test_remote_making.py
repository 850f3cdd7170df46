"""An environment on another host: the process that makes it, with a shell of this machine as that host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.tiny_wheels import wheel

from nemorun_cli.packagers.environments import interpreters
from nemorun_cli.packagers.environments.remote_making import EnvironmentHost
from nemorun_cli.supervisor.environments import MODULE

if TYPE_CHECKING:
    from collections.abc import Sequence

ID = "0123456789abcdef"


def order(home: Path, shell: str, requirements: Sequence[str]) -> bytes:
    """The order for an environment on a host whose shell is started by this text."""
    environment: dict[str, Any] = {"id": ID, "text": "uv: x", "requirements": requirements, "folder": "/"}
    environment |= {"interpreter": "python3", "version": "3", "platform": "", "host": "login"}
    first = f"PATH={Path(interpreters.installer()).parent}:/usr/bin:/bin"
    host = EnvironmentHost(argv=("sh", "-c", shell), folder=f"{home}/there", pre_command=first)
    document = {"home": str(home), "environment": environment, "experiment": "e_1", "host": host.to_json()}
    return json.dumps(document).encode() + b"\n"


def answers(home: Path, shell: str, requirements: Sequence[str]) -> list[dict[str, Any]]:
    """What the process reports."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", MODULE],
        input=order(home, shell, requirements),
        capture_output=True,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_host_that_cannot_be_reached_is_tried_again(tmp_path: Path) -> None:
    """The reason is reported; once the host answers, the environment is made, and the next time it exists."""
    built = wheel(tmp_path)
    shell = f"cd {tmp_path}; [ -e up ] || {{ : >up; echo 'Connection refused' >&2; exit 255; }}; exec sh"
    waits, done = answers(tmp_path, shell, [str(built)])[1:]
    assert (waits["event"], waits["message"]) == ("waits", "login cannot be reached: Connection refused")
    assert (done["event"], done["packages"]) == ("done", {"tinypkg": "1.0"})
    made = (tmp_path / "there" / ID / "manifest").stat().st_mtime_ns
    assert answers(tmp_path, "exec sh", [str(built)])[-1]["version"] == done["version"]
    assert (tmp_path / "there" / ID / "manifest").stat().st_mtime_ns == made


def test_what_uv_printed_there_is_reported(tmp_path: Path) -> None:
    """A failure has the installer's error, and leaves no environment that counts as complete."""
    failed = answers(tmp_path, "exec sh", ["--no-index", "no-such-package"])[-1]
    assert failed["event"] == "failed"
    assert "uv failed on login: " in failed["message"]
    assert "no-such-package" in failed["message"]
    assert not (tmp_path / "there" / ID / "manifest").exists()
    failed = answers(tmp_path, "exec env PATH=/nowhere HOME=/dev/null /bin/sh", ["x"])[-1]
    assert failed["event"] == "failed"
