"""The paths of a record: its prefix, the names in it, and every path that tracking uses.

Paths are text here and in the rest of tracking: `pathlib` would take a third of the time that importing the
SDK is allowed to take.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.process.process_info import user
from nemorun_cli.tracking.process.program_name import script

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD: Final = ".record"
REGISTER: Final = "records"  # a file in the folder of an attempt: the records it opened
MAX_PREFIX: Final = 1024  # bytes
MAX_PART: Final = 200  # bytes of one part of a prefix, and of an encoded name

UNNAMED: Final = "@"  # the folder of the unnamed metric; no name encodes to it

# Compiled when used: compiling takes a tenth of the import time of the SDK.
_TEMPLATE: Final = r"\{([^{}]*)\}"


class Place:
    """The location of a record: the root folder of all records, and the prefix in it."""

    __slots__ = ("prefix", "root")

    def __init__(self, root: str, prefix: str) -> None:
        self.root = root
        self.prefix = prefix

    def move(self, prefix: str) -> None:
        """Change the prefix, before anything is written under it.

        Raises:
            InvalidValueError: it could leave the root.
        """
        self.prefix = check_prefix(prefix)

    @property
    def record(self) -> str:
        """The folder of the record's own files; records below the prefix are next to it."""
        return f"{self.root}/{self.prefix}/{RECORD}"

    @property
    def openings(self) -> str:
        """The folder with one file per opening, and the verdicts of supervisors."""
        return f"{self.record}/openings"

    @property
    def labels(self) -> str:
        """The folder of tags and notes that were added from outside, one file per addition."""
        return f"{self.record}/labels"

    @property
    def environment(self) -> str:
        """The folder of packages and uncommitted changes of each opening."""
        return f"{self.record}/environment"

    @property
    def params(self) -> str:
        """The folder of params, one file per writer."""
        return f"{self.record}/params"

    @property
    def logs(self) -> str:
        """The folder of log lines, one file per writer."""
        return f"{self.record}/logs"

    @property
    def metrics(self) -> str:
        """The folder of metrics: one folder per metric, with one file per writer."""
        return f"{self.record}/metrics"

    @property
    def tracks(self) -> str:
        """The folder of tracks: one folder per track, with one file per writer."""
        return f"{self.record}/tracks"

    @property
    def files(self) -> str:
        """The folder of the index of saved files, one file per writer."""
        return f"{self.record}/files"

    @property
    def blobs(self) -> str:
        """The folder of the contents of saved files, by checksum."""
        return f"{self.record}/blobs"

    def metric(self, name: str | None) -> str:
        """The folder of one metric; None is the unnamed one."""
        return f"{self.metrics}/{UNNAMED if name is None else encode_name(name)}"

    def track(self, topic: str) -> str:
        """The folder of one track."""
        return f"{self.tracks}/{encode_name(topic)}"

    def opening(self, opening: str) -> str:
        """The file of one opening."""
        return f"{self.openings}/{opening}.jsonl"

    def verdict(self, opening: str) -> str:
        """The file of the latest verdict of a supervisor on one opening."""
        return f"{self.openings}/{opening}.verdict.json"

    def packages(self, opening: str) -> str:
        """The file of the names and versions of the packages that an opening could import."""
        return f"{self.environment}/{opening}.packages.json"

    def diff(self, opening: str) -> str:
        """The file of the uncommitted changes at the start of an opening; absent if they are incomplete."""
        return f"{self.environment}/{opening}.diff"


def parent_of_record(path: str) -> str | None:
    """The folder that contains the record of a file: below it, no path of a record has a link; or None."""
    end = path.rfind(f"/{RECORD}/")
    return path[:end] if end >= 0 else None


def place(
    root: str | os.PathLike[str], prefix: str | os.PathLike[str], *, kind: type[Place] = Place
) -> Place:
    """The place of a prefix, with its templates filled in and the root made absolute.

    Raises:
        TypeError: the root or the prefix is no path.
        InvalidValueError: the prefix could leave the root, or contains an unknown template.
    """
    return kind(absolute(root, what="dash_root"), check_prefix(expand(as_text(prefix, what="prefix"))))


def as_text(path: str | os.PathLike[str], *, what: str) -> str:
    """A path or a prefix as text.

    Raises:
        TypeError: it is neither a text nor a path.
    """
    text = path.__fspath__() if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text or a path, not {type(path).__qualname__}: {shown(path)}")
    return text


def as_command(place: Place) -> str:
    """Where a record is, and the command that shows it, for a shell in any folder."""
    import shlex  # noqa: PLC0415 - only for this line

    return f"tracking: exp metrics {shlex.quote(place.prefix)} --dash-root {shlex.quote(place.root)}"


def default_prefix(root: str) -> str:
    """A new prefix for a program that gives none: `{user}/{script}/{date}-{time}-{4 hexadecimal digits}`."""
    while True:
        prefix = f"{expand('{user}/{script}/{date}-{time}')}-{os.urandom(2).hex()}"
        if not os.path.exists(f"{root}/{prefix}"):
            return prefix


def absolute(path: str | os.PathLike[str], *, what: str) -> str:
    """A path of this machine as an absolute one; a leading `~` is the folder of the user.

    Raises:
        TypeError: it is not a path.
        InvalidValueError: the folder of the user is not known, or the path holds a NUL.
    """
    text = as_text(path, what=what)
    if "\0" in text:
        raise InvalidValueError(f"{what} holds a NUL, which no path can have")
    if text.startswith("~"):
        text = os.path.expanduser(text)
        if text.startswith("~"):
            raise InvalidValueError(
                f"{what}: the folder that ~ means in {text} is not known: there is no such user",
                hint="write the path without ~, or as ./~name for a name that begins with ~",
            )
    return os.path.abspath(text)


def check_prefix(prefix: str) -> str:
    """Return the prefix if every part of it is a plain name.

    Raises:
        InvalidValueError: it is empty, absolute, too long, or a part is not a plain name.
    """
    if not prefix:
        raise InvalidValueError("the prefix is empty", hint="write it as owner/project/name")
    if len(prefix.encode(errors="surrogatepass")) > MAX_PREFIX:
        raise InvalidValueError(f"the prefix is longer than {MAX_PREFIX} bytes: {prefix[:40]!r}…")
    for part in prefix.split("/"):
        problem = _part_problem(part)
        if problem:
            raise InvalidValueError(f"prefix {prefix!r}: {problem}", hint="write it as owner/project/name")
    return prefix


def check_path(path: str, *, what: str) -> str:
    """A path inside a record, such as `models/best.pt`, without the slashes around it.

    Raises:
        InvalidValueError: a part of it is not a plain name.
    """
    path = path.strip("/")
    for part in path.split("/") if path else ():
        problem = _part_problem(part)
        if problem:
            raise InvalidValueError(f"{what} {path!r}: {problem}")
    return path


def _part_problem(part: str) -> str | None:
    """Why this cannot be one part of a path, or None."""
    if not part:
        return "it has an empty part (a slash at the start or the end, or two in a row)"
    if part in {".", ".."}:
        return f"{part!r} could leave the folder of records"
    if part == RECORD:
        return f"{RECORD!r} is reserved for the files of a record"
    if any(ord(character) < 32 or ord(character) == 127 for character in part):  # noqa: PLR2004 - ASCII
        return "it contains a control character"
    try:
        length = len(part.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return f"a part is longer than {MAX_PART} bytes" if length > MAX_PART else None


def expand(prefix: str) -> str:
    """The prefix with `{user}`, `{script}`, `{date}`, `{time}` and `{id}` filled in.

    Raises:
        InvalidValueError: an unknown template, or an unmatched brace.
    """
    if "{" not in prefix and "}" not in prefix:
        return prefix

    def fill(match: re.Match[str]) -> str:
        template = TEMPLATES.get(match[1])
        if template is None:
            known = " ".join(f"{{{name}}}" for name in TEMPLATES)
            raise InvalidValueError(
                f"prefix {prefix!r}: there is no template {match[0]} (there are: {known})"
            )
        return template()

    filled = re.sub(_TEMPLATE, fill, prefix)
    if "{" in filled or "}" in filled:
        raise InvalidValueError(f"prefix {prefix!r}: unmatched brace")
    return filled


def unique() -> str:
    """A unique id that sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(8).hex()}"


TEMPLATES: Final[dict[str, Callable[[], str]]] = {
    "user": user,
    "date": lambda: time.strftime("%Y-%m-%d"),
    "time": lambda: time.strftime("%H.%M.%S"),
    "id": unique,
    "script": script,
}


def encode_name(name: str) -> str:
    """Encode the name of a metric or track as one file name; `decode_name` is the inverse.

    Letters, digits and `_ - .` stay; all other characters and a leading dot become `%XX` of their UTF-8
    bytes, as in a URL: `a/b` and `a_b` never collide, and no name leaves its folder.

    Raises:
        InvalidValueError: it is empty, not text, or too long.
    """
    if not isinstance(name, str) or not name:
        raise InvalidValueError(f"a name must be a text that is not empty, not {shown(name)}")
    encoded = "".join(
        character
        if character.isalnum() or character in "_-" or (character == "." and index)
        else _escape(character)
        for index, character in enumerate(name)
    )
    if len(encoded.encode()) > MAX_PART:
        raise InvalidValueError(f"the name is too long ({MAX_PART} bytes as a file name): {name[:40]!r}…")
    return encoded


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def decode_name(encoded: str) -> str | None:
    """The name that was encoded; None for the unnamed metric."""
    if encoded == UNNAMED:
        return None
    raw = re.sub(rb"%([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), encoded.encode())
    return raw.decode(errors="surrogatepass")
