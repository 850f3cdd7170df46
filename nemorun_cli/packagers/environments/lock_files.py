"""The requirements that a project's `uv.lock` pins, as uv exports them; nothing is resolved or downloaded."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers.environments import interpreters
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE: Final = 60.0  # seconds that an export may take


def exported(project: Path) -> str:
    """The locked requirements, with hashes, of the project of a `pyproject.toml`.

    Raises:
        EnvironmentFault: uv is not installed, or the lock file does not belong to the project.
    """
    python = interpreters.find(None).path
    argv = [interpreters.installer(), "export", "--frozen", "--no-dev", "--no-emit-project", "--no-header"]
    argv += ["--format", "requirements.txt", "--python", python, "--no-python-downloads", "--offline"]
    try:
        result = subprocess.run(
            argv,
            capture_output=True,
            timeout=PATIENCE,
            cwd=project.parent,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFault(f"uv cannot export the lock file of {project}: {error}") from error
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it failed"]
        raise EnvironmentFault(
            f"uv cannot export the lock file of {project}: {reason[0].strip()}", hint="lock it again: uv lock"
        )
    return result.stdout.decode(errors="replace")
