"""What can be a tag or a note that somebody adds to an experiment or a record."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model import labels


def tag_change(add: str | Iterable[str], remove: str | Iterable[str]) -> labels.TagChange:
    """The change that adds and removes these tags; one text is one tag.

    Raises:
        TypeError: a tag is not a text.
        InvalidValueError: a tag cannot be added, or is both added and removed; or none is given.
    """
    added, removed = _texts(add), _texts(remove)
    for tag in added:
        _check_tag(tag)
    if both := [tag for tag in added if tag in removed]:
        raise InvalidValueError(f"the tag {both[0]!r} is both added and removed")
    if not added and not removed:
        raise InvalidValueError("no tag is given to add or to remove")
    return labels.TagChange(added, removed)


def _texts(tags: str | Iterable[str]) -> list[str]:
    listed = [tags] if isinstance(tags, str) or not isinstance(tags, Iterable) else list(tags)
    if wrong := [tag for tag in listed if not isinstance(tag, str)]:
        raise TypeError(f"a tag is a text, not {wrong[0]!r}")
    return list(dict.fromkeys(listed))


def _check_tag(tag: str) -> None:
    """Refuse a tag that lists could not show, or nobody could type."""
    if not tag.strip():
        raise InvalidValueError("a tag is empty", hint="is a variable of the script unset?")
    if len(tag) > labels.LONGEST_TAG:
        raise InvalidValueError(f"the tag {tag[:20]!r}… is longer than {labels.LONGEST_TAG} characters")
    if tag != tag.strip():
        raise InvalidValueError(f"the tag {tag!r} begins or ends with a space")
    if any(unicodedata.category(character)[0] == "C" for character in tag):
        raise InvalidValueError(f"the tag {tag!r} contains a control character, or is not valid Unicode")


def note_text(text: str) -> str:
    """A note without the blank space at its end.

    Raises:
        TypeError: it is not a text.
        InvalidValueError: it is empty, too long or not valid Unicode.
    """
    if not isinstance(text, str):
        raise TypeError(f"a note is a text, not {text!r}")
    text = text.rstrip()
    if not text:
        raise InvalidValueError("the note is empty", hint="is a variable of the script unset?")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidValueError("the note is not valid Unicode") from None
    if size > labels.LONGEST_NOTE:
        raise InvalidValueError(
            f"the note has {size:,} bytes, and can have {labels.LONGEST_NOTE:,}",
            hint="save a long text in a file, and note its path",
        )
    return text
