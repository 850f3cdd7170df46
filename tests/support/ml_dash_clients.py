"""ML-Dash's real clients, unmodified, each in a virtual environment of its own, next to that of the tests.

    python tests/support/ml_dash_clients.py    installs them; the test command does so in the background

A test that needs one installs it if that has not been done, or waits for the process that does it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

VERSIONS: Final = {"0.6": "0.6.27", "0.11": "0.11.0"}
INSTALL_WAIT: Final = 300.0  # seconds
PATIENCE: Final = 90.0  # seconds for a program
_PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1")


class NotInstalledError(Exception):
    """A client cannot be installed here."""


def folder_of(short: str) -> Path:
    """The virtual environment of a client."""
    return Path(f"{os.path.realpath(sys.prefix)}-ml-dash-{short}")


def installed(short: str) -> Path:
    """The Python that has a client; installs it if needed.

    Raises:
        NotInstalledError: the package index cannot be reached, or pip fails.
    """
    folder = folder_of(short)
    python, complete = folder / "bin" / "python", folder / f"has-{VERSIONS[short]}"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        try:
            _run(python, *_PIP, f"ml-dash=={VERSIONS[short]}")
            # with `packaging`, importing 0.6.27 asks PyPI for its newest version
            _run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "packaging")
        except subprocess.SubprocessError as error:
            output = getattr(error, "stderr", None) or str(error)
            raise NotInstalledError(
                f"ml-dash {VERSIONS[short]} cannot be installed: {output[-500:]}"
            ) from error
        complete.touch()
    return python


def _run(python: Path, *arguments: str) -> None:
    subprocess.run([python, *arguments], check=True, capture_output=True, text=True, timeout=INSTALL_WAIT)


@dataclass(frozen=True)
class MlDashClient:
    """One version of the client, with a home folder and a token of its own.

    Attributes:
        short: such as `0.6`.
        python: that has it.
        home: `HOME` of its programs.
        variables: more of their environment.
    """

    short: str
    python: Path
    home: Path
    variables: tuple[tuple[str, str], ...] = ()

    def with_variables(self, **variables: str) -> MlDashClient:
        """The same client with more variables."""
        return replace(self, variables=tuple(variables.items()))

    def environment(self) -> dict[str, str]:
        """The environment of its programs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_DASH", "EXP_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "ML_DASH_NO_VERSION_CHECK": "1",
            "ML_DASH_RETRY_BASE_DELAY": "0.1",
            "ML_DASH_FLUSH_INTERVAL": "0.2",
            "PYTHONDONTWRITEBYTECODE": "",
            **dict(self.variables),
        }

    def use_token(self, token: str) -> None:
        """Store a token as `ml-dash login` does."""
        folder = self.home / ".dash"
        folder.mkdir(parents=True, exist_ok=True)
        if self.short == "0.11":  # it only reads tokens
            (folder / "tokens.json").write_text(json.dumps({"ml-dash-token": token}))
            return
        from cryptography.fernet import Fernet  # noqa: PLC0415 - the environment with PyTorch has none

        key = Fernet.generate_key()
        (folder / "encryption.key").write_bytes(key)
        encrypted = Fernet(key).encrypt(json.dumps({"ml-dash-token": token}).encode())
        (folder / "tokens.encrypted").write_bytes(encrypted)

    def start(self, program: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program, which gets the arguments."""
        return subprocess.Popen(
            [self.python, program, *arguments],
            env=self.environment(),
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

    def command(self, *argv: str) -> subprocess.Popen[str]:
        """Start the command `ml-dash`, which 0.6 has."""
        return self.start(Path("-m"), "ml_dash.cli", *argv)

    def run(self, program: Path, *arguments: str) -> str:
        """Run a program to its end, and return what it printed."""
        process = self.start(program, *arguments)
        return ended(process)


def ended(process: subprocess.Popen[str], *, code: int = 0) -> str:
    """What a program printed, which has to end with an exit code."""
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"it does not end: {output}") from None
    assert process.returncode == code, output
    return output


def client(short: str, home: Path) -> MlDashClient:
    """A client; the test is skipped where it cannot be installed."""
    if os.environ.get("EXP_TEST_ML_DASH") == "0":
        pytest.skip("ML-DASH'S REAL CLIENTS ARE NOT TESTED: EXP_TEST_ML_DASH=0")
    try:
        python = installed(short)
    except NotInstalledError as error:
        pytest.skip(f"ML-DASH'S REAL CLIENTS ARE NOT TESTED: {error}")
    home.mkdir(parents=True, exist_ok=True)
    return MlDashClient(short, python, home)


if __name__ == "__main__":
    for each in VERSIONS:
        installed(each)
