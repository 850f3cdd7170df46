"""Packages that look installed: a module, and the metadata by which their entry points are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def install_package(folder: Path, *, name: str, entry_points: str, module: str | None = None) -> Path:
    """Install a package, whose module has its name; return the folder, which is to be on the search path."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    if module is not None:
        (folder / f"{name}.py").write_text(module)
    return folder
