"""Who asks, and what they may do."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Scope(enum.Enum):
    """What a token allows; `WRITE` only below its own prefixes."""

    READ = "read"
    WRITE = "write"
    CONTROL = "control"


class Caller(NamedTuple):
    """The user behind a request.

    Attributes:
        user: the name; the first part of the prefixes that are theirs.
        scopes: what the token allows.
        prefixes: globs of the prefixes that may be written, such as `alice/**`.
        token_id: the token that the request, or its session, came with.
        session_id: the session of a page; None for a request with the token itself.
    """

    user: str
    scopes: frozenset[Scope]
    prefixes: tuple[str, ...]
    token_id: str
    session_id: str | None = None
