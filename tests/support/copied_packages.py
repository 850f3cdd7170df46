"""Copies of the package, which tests remove or replace while programs run from them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import nemorun_cli

PACKAGE: Final = Path(nemorun_cli.__file__).parent


def copied_package(folder: Path) -> Path:
    """A copy in a folder for PYTHONPATH; returns the copy's own folder."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PACKAGE.parent / "schemas", folder / "schemas")
    return folder / PACKAGE.name
