"""The five commands of a first-time user, as the guide has them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.documents import ROOT, blocks
from support.senders import end_senders

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "guides" / "remote.md"
ADDRESS = "http://127.0.0.1:8300"  # where a server listens by default


def block(mark: str) -> str:
    """The block of the guide with a mark."""
    return next(each.text for each in blocks(PAGE) if each.mark == mark)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """That of a user with an empty home, and with `exp` and `python` of this installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXP_")}
    folder = str(Path(sys.executable).parent)
    yield {
        **kept,
        "HOME": str(tmp_path),
        "PATH": f"{folder}:{os.environ['PATH']}",
        "NEMORUN_HOME": str(tmp_path / "first"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    end_senders(tmp_path)


def test_a_first_time_user_needs_five_commands(environment: dict[str, str], tmp_path: Path) -> None:
    """Install, serve, log in, train with a second home, and list its record on the server."""
    install, serve, *others = block("first-time user").splitlines()
    assert len(others) == 3
    extra = install.partition("[")[2].partition("]")[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]
    (tmp_path / "train.py").write_text(block("first-time program"), encoding="utf-8")
    command = f"exec {serve.removesuffix(' &')} --port 0"
    server = subprocess.Popen(
        ["/bin/sh", "-c", command], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        for line in others:
            done = subprocess.run(
                ["/bin/sh", "-c", line.replace(ADDRESS, url)],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert "alice/first/run  COMPLETED" in done.stdout
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()
