"""Which files of a record and of an experiment are copied, and how: the list that both ends use."""

from __future__ import annotations

import enum
import re
from functools import cache
from typing import Final


class FileKind(enum.Enum):
    """How a file comes to be, and so how it is copied."""

    GROWING = "growing"  # one writer appends to it
    WHOLE = "whole"  # written once, or replaced as a whole
    CONTENT = "content"  # named by the SHA-256 of its bytes


_NAME: Final = r"(?!\.)[^/]{1,255}"  # one that begins with a dot is being written
_OF_RECORD: Final = (
    (FileKind.GROWING, rf"openings/{_NAME}\.jsonl"),
    (FileKind.WHOLE, rf"openings/{_NAME}\.verdict\.json"),
    (FileKind.WHOLE, rf"environment/{_NAME}\.(packages\.json|diff)"),
    (FileKind.WHOLE, rf"labels/{_NAME}\.jsonl"),
    (FileKind.GROWING, rf"(params|logs|files)/{_NAME}\.jsonl"),
    (FileKind.GROWING, rf"(metrics|tracks)/{_NAME}/{_NAME}\.jsonl"),
    (FileKind.CONTENT, r"blobs/(?P<start>[0-9a-f]{2})/(?P=start)[0-9a-f]{62}"),
)


def of_record(path: str) -> FileKind | None:
    """The kind of a file by its path below `.record/`; None if it is not copied."""
    if any(part in {"", ".", ".."} or "\0" in part for part in path.split("/")):
        return None
    return next((kind for kind, pattern in _compiled() if pattern.fullmatch(path)), None)


@cache
def _compiled() -> list[tuple[FileKind, re.Pattern[str]]]:
    return [(kind, re.compile(pattern)) for kind, pattern in _OF_RECORD]
