"""The folders of the engines that a run of the tests starts; each belongs to one checkout."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]


def shared_folder(kind: str, *, checkout: Path = CHECKOUT) -> Path:
    """The folder that all test processes of a user and a checkout share for an engine; short, for sockets."""
    return Path(tempfile.gettempdir()) / f"exp-tests-{digest(f'{checkout}:{os.geteuid()}')}-{kind}"


def digest(text: str) -> str:
    """Eight characters that differ wherever the text differs, for names."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
