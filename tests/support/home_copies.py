"""Homes that tests change and put back, often: copying a whole home takes longer than most commands."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def put_back(home: Path, template: Path) -> None:
    """Make a home like its copy again; files that were not written since stay."""
    wanted, present = _contents(template), _contents(home)
    changed = {name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)}
    if any(stat.S_ISDIR(about[name][0]) for about in (wanted, present) for name in changed & about.keys()):
        shutil.rmtree(home)
        shutil.copytree(template, home, symlinks=True)
        return
    for name in changed:
        (home / name).unlink(missing_ok=True)
        if name in wanted:
            shutil.copy2(template / name, home / name, follow_symlinks=False)
    assert _contents(home) == wanted


def _contents(folder: Path) -> dict[str, tuple[int, ...]]:
    """The files and folders in a folder, with what differs for a file that was written."""
    found: dict[str, tuple[int, ...]] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)  # noqa: PTH118 - thousands of paths
            status = os.lstat(path)
            is_file = stat.S_ISREG(status.st_mode)
            about = (status.st_size, status.st_mtime_ns) if is_file else ()
            found[path[len(str(folder)) + 1 :]] = (status.st_mode, *about)
    return found
