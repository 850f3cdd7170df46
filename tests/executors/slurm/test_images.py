"""What identifies the image of `container_image`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli import executors

if TYPE_CHECKING:
    from pathlib import Path


def test_an_image_is_a_file_or_a_name(tmp_path: Path) -> None:
    """A file of this machine counts by its content; of any other image Slurm knows only the name."""
    squashed = tmp_path / "image.sqsh"
    squashed.touch()

    def image(name: str, **options: object) -> str | Path | None:
        return executors.image("c", {"type": "slurm", "container_image": name, **options})

    assert image(str(squashed)) == squashed
    assert image("nvcr.io#nvidia/pytorch:24.01-py3") == "nvcr.io#nvidia/pytorch:24.01-py3"
    assert image(str(squashed), tunnel={"host": "h", "job_dir": "/far"}) == str(squashed)
    assert executors.image("c", {"type": "slurm"}) is None
    assert executors.image("local", {"type": "local"}) is None
