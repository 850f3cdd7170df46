"""What the README and the recipes tell people to type is typed here."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from support.document_session import DocumentSession, runnable
from support.documents import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

PICTURES = ROOT / "docs" / "pictures"
LARGEST_PICTURE = 60_000  # bytes
STATUS_WORDS = ["$ exp status study train", "DURATION", "train/lr=1 ", "FAILED", "SUCCEEDED", "exit code 1"]
LIVE_WORDS = ["$ exp run study.yaml", "FAILED", "RUNNING", "train 2/5 done", "4 of 7 finished"]
SCRIPT_LIMIT = 300.0  # seconds: more than the three waits in the script together
STUDY = """
name: study
params: {lr: 0.1}
tasks:
  score: {inline: 'echo "accuracy:=0.9" >> "$EXP_OUTPUT"; echo scored'}
"""


def test_what_the_readme_says_works(exp: Exp) -> None:
    """The files of the README are written, its commands run, and their output is what stands there."""
    for program in ("data.py", "train.py"):
        shutil.copy(PICTURES / "study" / program, exp.folder)
    marked = [block for block in blocks(ROOT / "README.md") if block.mark]
    assert {block.language for block in marked} == {"yaml", "sh", "console", "python"}
    assert DocumentSession(exp).follow(ROOT / "README.md") == len(marked)


def test_the_recipes_work(exp: Exp) -> None:
    """The recipes for scripts run as they stand; those that need jq where there is one."""
    exp.spec(STUDY)
    page = ROOT / "docs" / "guides" / "scripting.md"
    assert DocumentSession(exp).follow(page) == runnable(page) > 0


@pytest.mark.parametrize(
    "name",
    [
        "guides/frameworks.md",
        "guides/python.md",
        "guides/housekeeping.md",
        "guides/resume-rerun-diff.md",
        "coming-from/nemo-run.md",
        "coming-from/nemo-run-functions.md",
        "coming-from/nemo-run-executors.md",
        "coming-from/ml-dash.md",
        "reference/exit-codes.md",
    ],
)
def test_what_other_pages_say_works(exp: Exp, name: str) -> None:
    """What these pages mark is written and run, and the output is what stands there."""
    page = ROOT / "docs" / name
    assert DocumentSession(exp).follow(page) == runnable(page) > 0


def test_the_line_that_installs_names_what_there_is() -> None:
    """The one line that installs and runs the example uses an extra and a spec that are there."""
    line = next(block.text for block in blocks(ROOT / "README.md") if "pip install" in block.text)
    assert line.count("\n") == 1
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert re.findall(r"\.\[(\w+)\]", line) == ["examples"]
    assert "examples" in extras
    spec = re.search(r"exp run (\S+)", line)
    assert spec is not None
    assert (ROOT / spec[1]).is_file()


def test_the_pictures_are_of_the_spec_in_the_readme() -> None:
    """The README shows the spec that the script for the pictures runs, in ten lines."""
    shown = next(block.text for block in blocks(ROOT / "README.md") if block.mark == "file: study.yaml")
    assert shown == (PICTURES / "study" / "study.yaml").read_text(encoding="utf-8")
    assert shown.count("\n") == 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("live", LIVE_WORDS),
        ("status", STATUS_WORDS),
        ("metrics", ["$ exp metrics study --plot", "━ train/lr=0.003", "(epoch)", "⣀"]),
    ],
)
def test_a_picture_shows_its_command(name: str, words: list[str]) -> None:
    """Each picture of the README has the words of its command, is small and loads nothing."""
    assert f"](docs/pictures/{name}.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    check_picture(PICTURES / f"{name}.svg", words)


def test_pictures_are_made_from_a_run(tmp_path: Path) -> None:
    """The script runs the study in a terminal, and writes what it shows at one moment and at the end.

    Two trainings wait until the first picture is taken, however fast the others are.
    """
    script = [sys.executable, PICTURES / "make.py", "--out", tmp_path, "--pause", "0", "live", "status"]
    subprocess.run(script, check=True, timeout=SCRIPT_LIMIT)
    assert {path.name for path in tmp_path.iterdir()} == {"live.svg", "status.svg"}
    check_picture(tmp_path / "live.svg", LIVE_WORDS)
    check_picture(tmp_path / "status.svg", STATUS_WORDS)


def check_picture(path: Path, words: list[str]) -> None:
    """Check that an SVG has these words, is small, and that its only URL is the name of its format."""
    picture = path.read_text(encoding="utf-8")
    text = "\n".join(html.unescape(part) for part in re.findall(r">([^<]*)</text>", picture))
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    assert [word for word in words if word not in text] == []
    assert re.findall(r"\w+://[^\s\"']+", picture) == ["http://www.w3.org/2000/svg"]
    assert re.findall(r"url\(|@import|@font-face|href|<script|<image", picture) == []
    assert len(picture.encode()) < LARGEST_PICTURE
