"""The test suite itself: it does not depend on the caller's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BARE = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}
TIMEOUT = 120.0  # seconds


@pytest.mark.parametrize("extra", [{}, {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}], ids=str)
def test_python_is_that_of_the_tests(extra: dict[str, str], tmp_path: Path) -> None:
    """Tasks run the interpreter of the tests, whatever PATH and the PYTHON variables of the caller are."""
    rules = (
        "test_builder.py::test_exp_runs_a_program",
        "supervisor/test_client.py::test_prompt_is_back_at_once_in_a_pipe",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(HERE / it) for it in rules)],
        env={**BARE, **extra, "PYTEST_DEBUG_TEMPROOT": str(tmp_path)},  # it cleans up what earlier runs left
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
