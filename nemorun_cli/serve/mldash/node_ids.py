"""The ids of ML-Dash's API: what they name is written in them, so the server stores none and loses none.

An id is a letter for its kind and base64url of its parts. Clients do not quote the ids in addresses, so an id
consists of letters, digits, `_` and `-`. It is checked like any other input when a request contains it.
"""

from __future__ import annotations

import base64
import binascii
import enum
from typing import Final, NamedTuple

from nemorun_cli.errors import InvalidValueError, NotFoundError
from nemorun_cli.replication.protocol import RESERVED
from nemorun_cli.tracking.store.record_paths import check_path, check_prefix

LONGEST: Final = 4_096  # characters of an id
_SEPARATOR: Final = "\0"


class NodeKind(enum.Enum):
    """What an id names, with the number of its parts."""

    PROJECT = "p"  # its prefix
    FOLDER = "d"  # the prefix of a folder of records
    EXPERIMENT = "e"  # the prefix of a record
    NODE = "n"  # the same as a node, with the opening that a client began; empty for the record itself
    INNER = "g"  # a folder in a record: the prefix and the path in it
    FILE = "f"  # the prefix, the path in it, and the id of the version


_PARTS: Final = {
    NodeKind.PROJECT: 1,
    NodeKind.FOLDER: 1,
    NodeKind.EXPERIMENT: 1,
    NodeKind.NODE: 2,
    NodeKind.INNER: 2,
    NodeKind.FILE: 3,
}


class NodeId(NamedTuple):
    """What an id names; parts that its kind lacks are empty."""

    kind: NodeKind
    prefix: str
    path: str = ""
    version: str = ""

    def __str__(self) -> str:
        """The text that clients get."""
        parts = (self.prefix, self.path, self.version)[: _PARTS[self.kind]]
        text = base64.urlsafe_b64encode(_SEPARATOR.join(parts).encode(errors="surrogatepass"))
        return f"{self.kind.value}{text.rstrip(b'=').decode()}"

    @property
    def opening(self) -> str:
        """The opening of a node; empty for the record itself."""
        return self.path if self.kind is NodeKind.NODE else ""


def parsed(text: object, *kinds: NodeKind) -> NodeId:
    """What an id names.

    Args:
        text: the id, as it came.
        kinds: those that are accepted; by default all.

    Raises:
        NotFoundError: it is no id of this server, or is of another kind.
    """
    found = _decoded(text)
    if found is None or (kinds and found.kind not in kinds):
        raise NotFoundError(f"{text!r:.80} is not an id of this server")
    return found


def _decoded(text: object) -> NodeId | None:
    if not isinstance(text, str) or not 1 < len(text) <= LONGEST or not text.isascii():
        return None
    coded = text[1:].encode()
    try:
        kind = NodeKind(text[0])
        raw = base64.b64decode(coded + b"=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        parts = raw.decode().split(_SEPARATOR)
        found = NodeId(kind, *parts) if len(parts) == _PARTS[kind] else None
        if found is None or str(found) != text:
            return None
        checked_prefix(found.prefix, least=1 if kind in {NodeKind.PROJECT, NodeKind.FOLDER} else 2)
        is_plain = check_path(found.path, what="path") == found.path
    except (ValueError, InvalidValueError, binascii.Error):
        return None
    is_opening = kind is NodeKind.NODE
    return found if is_plain and not (is_opening and "/" in found.path) else None


def checked_prefix(prefix: str, *, least: int = 2) -> str:
    """A prefix that a record, or a folder of records, can have on this server.

    Raises:
        InvalidValueError: it could leave the folder of records, is reserved, or has too few parts.
    """
    check_prefix(prefix)
    if prefix.partition("/")[0] in RESERVED:
        raise InvalidValueError(f"prefix {prefix!r}: its first part is reserved by the server")
    if prefix.count("/") + 1 < least:
        raise InvalidValueError(
            f"prefix {prefix!r}: it has only one part", hint="write it as owner/project/name"
        )
    return prefix
