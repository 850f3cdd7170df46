"""What no version of `exp` writes, in files that any sender may have written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nemorun_cli.errors import ExpError, LedgerDamagedError
from nemorun_cli.serve.index.cache_file import CacheLostError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def reading(subject: str) -> Iterator[None]:
    """Read a record or an experiment: what goes wrong is a damage of its files, and no fault of the server.

    Args:
        subject: its prefix or id.

    Raises:
        LedgerDamagedError: it has values of a kind that nobody expects there.
    """
    try:
        yield
    except (ExpError, OSError, CacheLostError):
        raise
    except Exception as error:
        raise LedgerDamagedError(f"{subject} cannot be read: {type(error).__name__}: {error}") from error
