"""The name that a title gives an experiment: for folders, ids and commands."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 64  # characters of a name
NAME: Final = re.compile(r"(?!(?:[0-9]+|latest|attempt-[0-9]+)\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_OTHERS: Final = re.compile(r"[^a-z0-9]+")


def name_of(title: str) -> str:
    """The name of a title: its ASCII letters in lower case, its digits, and `-` for all between them.

    A title without any gives `experiment-` with a hash of it; a result that is no name gets `x-` in front.
    """
    letters = "".join(
        char for char in unicodedata.normalize("NFKD", title) if not unicodedata.combining(char)
    )
    name = _OTHERS.sub("-", letters.lower()).strip("-")[:LONGEST].rstrip("-")
    if not name:
        return f"experiment-{hashlib.sha256(title.encode(errors='surrogatepass')).hexdigest()[:6]}"
    return name if NAME.match(name) else f"x-{name}"[:LONGEST]
