"""Ids that experiments get before they exist, because a plugin or the program asks for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage import paths

if TYPE_CHECKING:
    from nemorun_cli.storage.paths import Home

KEPT: Final = 30.0  # seconds; an id contains the second of the creation, by which experiments are listed

_reserved: set[tuple[str, str]] = set()  # homes and ids: of this process


def reserve(name: str, home: Home) -> str:
    """An id of the current second that no experiment of the home has, nor one of this process."""
    wanted = f"{name}_{int(time.time())}"
    while (str(home.directory), wanted) in _reserved or any(
        (root / name / wanted).exists() for root in home.roots
    ):
        wanted = paths.next_id(wanted)
    _reserved.add((str(home.directory), wanted))
    return wanted


def is_stale(experiment_id: str) -> bool:
    """Whether an id was reserved too long ago for an experiment that is created now."""
    return time.time() - paths.age_key(experiment_id)[0] > KEPT
