"""What the pages for newcomers tell them to type is typed here, the tutorial in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.document_session import DocumentSession, matches, runnable
from support.documents import ROOT, blocks
from support.extent import IS_LONG

if TYPE_CHECKING:
    from support.workspace import Exp

DOCS = ROOT / "docs"
PAGES = (
    "concepts/attempts.md",
    "concepts/overview.md",
    "concepts/states.md",
    "guides/docker.md",
    "guides/notifications.md",
    "guides/search.md",
    "guides/studies.md",
    "guides/sweeps.md",
    "guides/troubleshooting.md",
    "coming-from/mlflow.md",
    "coming-from/wandb.md",
    "coming-from/workflow-tools.md",
    *(("guides/reuse.md",) if IS_LONG else ()),
)


def test_the_tutorial_works_as_written(exp: Exp, tmp_path: Path) -> None:
    """After an installation, each block of the tutorial works, and prints what the page shows."""
    installation, tutorial = DOCS / "start" / "install.md", DOCS / "start" / "tutorial.md"
    assert any("\npip install .\n" in block.text for block in blocks(installation))
    programs = installed(tmp_path / "venv")
    pages = (installation, tutorial)
    assert DocumentSession(exp, programs).follow(*pages) == runnable(*pages) > 15


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_work(exp: Exp, page: str) -> None:
    """Each marked block of the page works, and prints what the page shows."""
    assert DocumentSession(exp).follow(DOCS / page) == runnable(DOCS / page) > 0


@pytest.mark.parametrize(
    ("wanted", "printed", "is_same"),
    [
        ("loss 0.1\n", "loss 0.1\n", True),
        ("loss 0.1\n", "loss 0.2\n", False),
        ("loss ... of 3\n", "loss 0.2 of 3\n", True),
        ("loss ... of 3\n", "loss 0.2\nof 3\n", False),
        ("first\n...\nlast\n", "first\nlast\n", True),
        ("first\n...\nlast\n", "first\n1\n2\nlast\n", True),
        ("first\n...\nlast\n", "first\n1\n", False),
        ("first\n", "first\nlast\n", False),
    ],
)
def test_an_output_that_differs_from_the_page_is_noticed(wanted: str, printed: str, *, is_same: bool) -> None:
    """A page has to show what was printed, except for what its dots leave out."""
    assert matches(wanted, printed) is is_same


def installed(venv: Path) -> Path:
    """The folder of programs of a new environment, in which this clone is installed and nothing else.

    The wheel is the one that `pip install .` builds. Dependencies come from the environment of the tests,
    because there may be no network. The environment has no pip of its own, which would take seconds.
    """
    python = venv / "bin" / "python3"
    wheels = venv.with_name("wheels")
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", wheels)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", *wheels.glob("*.whl"))
    packages = Path(run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    module = run(python, "-I", "-c", "import nemorun_cli; print(nemorun_cli.__file__)")
    assert Path(module).is_relative_to(packages)
    return python.parent


def run(*argv: str | Path) -> str:
    """The standard output of a program that succeeds, run in the clone."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout
