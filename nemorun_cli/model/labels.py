"""Tags and notes that people and programs add to experiments and records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_TAG: Final = 200  # characters
LONGEST_NOTE: Final = 1 << 20  # bytes
EXCERPT: Final = 100  # characters of a note where one line is shown of it


class Note(NamedTuple):
    """A text that somebody added, with the time (a UTC stamp) and the author."""

    time: str
    by: str
    text: str

    def to_json(self) -> dict[str, str]:
        """An entry of `notes` in JSON documents."""
        return self._asdict()


class TagChange(NamedTuple):
    """Tags that somebody added and removed."""

    added: Sequence[str]
    removed: Sequence[str]


def current(declared: Iterable[str], changes: Iterable[TagChange]) -> list[str]:
    """The declared tags as the changes, in the order of their times, leave them; each once."""
    tags = dict.fromkeys(declared)
    for change in changes:
        for tag in change.removed:
            tags.pop(tag, None)
        tags.update(dict.fromkeys(change.added))
    return list(tags)


def excerpt(text: str) -> str:
    """The first line of a note, shortened; an ellipsis shows that there is more."""
    first, _, rest = text.strip().partition("\n")
    cut = first.rstrip()[:EXCERPT]
    return f"{cut} …" if rest or len(cut) < len(first.rstrip()) else cut
