"""Where a token may be sent: the origin of an address, and whether others can read what is sent there."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from nemorun_cli.replication.connection import is_loopback
from nemorun_cli.tracking.outbox.addresses import VARIABLE as VARIABLE  # noqa: PLC0414 - the same for both ends
from nemorun_cli.tracking.outbox.addresses import normalized as normalized  # noqa: PLC0414 - the same


def origin(address: str) -> str:
    """The origin of a normalized address: its scheme, host and port."""
    split = urlsplit(address)
    return f"{split.scheme}://{split.netloc}"


def is_private(address: str) -> bool:
    """Whether nobody can read a token on its way to a normalized address: TLS, or this machine."""
    split = urlsplit(address)
    return split.scheme == "https" or is_loopback(split.hostname or "")


def from_environment() -> str | None:
    """The normalized address in EXP_DASH_URL; None if it is not set.

    Raises:
        InvalidValueError: it is no address.
    """
    url = os.environ.get(VARIABLE)
    return normalized(url, what=VARIABLE) if url else None
