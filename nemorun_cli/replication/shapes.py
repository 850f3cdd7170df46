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
_SPEC: Final = r"(spec\.yaml|source\.json|resolved\.json)"
_ATTEMPT: Final = rf"tasks/({_NAME}/){{1,2}}attempt-[1-9][0-9]{{0,8}}"
_SHIPPED: Final = r"([^/]{1,255}/){1,64}[^/]{1,255}"  # any names, also those that begin with a dot
_OF_EXPERIMENT: Final = (
    (FileKind.GROWING, r"ledger\.jsonl"),
    (FileKind.WHOLE, rf"{_SPEC}|labelled"),
    (FileKind.WHOLE, rf"revisions/[1-9][0-9]{{0,8}}/{_SPEC}"),
    (FileKind.GROWING, rf"{_ATTEMPT}/(records|samples)"),
    (FileKind.WHOLE, rf"{_ATTEMPT}/(exit\.json|claim|timed-out|stopped|failed-line|usage|hosts)"),
    (FileKind.GROWING, rf"{_ATTEMPT}/(log|stderr|backend-output)"),  # with `tracking.logs`
    (
        FileKind.GROWING,
        rf"(code|scripts|revisions/[1-9][0-9]{{0,8}}/scripts)/{_SHIPPED}",
    ),  # with `tracking.code`
)
_REPLACED_IN_RECORD: Final = r"openings/[^/]+\.verdict\.json"
_REPLACED_IN_EXPERIMENT: Final = rf"{_SPEC}|{_ATTEMPT}/(exit\.json|claim|failed-line|usage|hosts)"


def of_record(path: str) -> FileKind | None:
    """The kind of a file by its path below `.record/`; None if it is not copied."""
    return _kind(path, _OF_RECORD)


def of_experiment(path: str) -> FileKind | None:
    """The kind of a file by its path in the experiment's folder; None if it is not copied in any setting."""
    return _kind(path, _OF_EXPERIMENT)


def may_replace_in_record(path: str) -> bool:
    """Whether a whole file of a record may be sent again with another content."""
    return _compiled(_REPLACED_IN_RECORD).fullmatch(path) is not None


def may_replace_in_experiment(path: str) -> bool:
    """The same for a file of an experiment: a resume can change the spec, and a shim writes in two steps."""
    return _compiled(_REPLACED_IN_EXPERIMENT).fullmatch(path) is not None


def _kind(path: str, shapes: tuple[tuple[FileKind, str], ...]) -> FileKind | None:
    if any(part in {"", ".", ".."} or "\0" in part for part in path.split("/")):
        return None
    return next((kind for kind, pattern in shapes if _compiled(pattern).fullmatch(path)), None)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
