from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.documents import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

TRACKING = blocks(ROOT / "docs" / "guides" / "tracking.md")
ML_DASH = blocks(ROOT / "docs" / "coming-from" / "ml-dash.md")
EXAMPLES = [
    *(block.text for block in TRACKING if block.language == "python"),
    *(block.text for block in ML_DASH if block.mark.startswith("ml-dash: ")),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_of_the_page_runs_and_means_what_it_says(example: str, tmp_path: Path) -> None:
    """Each program of the tracking page, and the one with ML-Dash's calls, runs and asserts right."""
    run = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_page_has_examples() -> None:
    """There is one for each part."""
    assert len(EXAMPLES) >= 8
    assert any(block.mark.startswith("ml-dash: ") for block in ML_DASH)
