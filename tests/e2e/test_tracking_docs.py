from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_of_the_page_runs_and_means_what_it_says(example: str, tmp_path: Path) -> None:
    """Each program in docs/tracking.md, with ML-Dash's own calls, runs as it stands and asserts right."""
    run = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_page_has_examples() -> None:
    """There is one for each part."""
    assert len(EXAMPLES) >= 8
