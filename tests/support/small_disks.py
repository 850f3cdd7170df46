"""Disks of a few pages, which tests fill."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def mount(*argv: str) -> None:
    """Mount, or skip loudly where that is not allowed."""
    done = subprocess.run(["mount", *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TRIED: mounting needs root ({done.stderr.strip()})")


@contextlib.contextmanager
def mounted(folder: Path, kib: int) -> Iterator[None]:
    """A new folder that is a disk of its own, of so many KiB."""
    folder.mkdir(mode=0o700)
    mount("-t", "tmpfs", "-o", f"size={kib}k,mode=0700", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def full(home: Path) -> Iterator[None]:
    """Fill the disk to its last byte, and free it again."""
    ballast = home / "ballast"
    with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))
    yield
    ballast.unlink()
