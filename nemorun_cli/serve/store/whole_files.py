"""Which of two versions of a whole file is the later one: requests can arrive in another order than sent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import clock
from nemorun_cli.serve.json_bodies import parsed_object

if TYPE_CHECKING:
    from nemorun_cli.serve.store.replica_addresses import ReplicaFile

_VERDICT: Final = ".verdict.json"
_LARGEST: Final = 1 << 20  # bytes of a verdict
_UNKNOWN: Final = float("-inf")


def is_older(file: ReplicaFile, descriptor: int, *, than: int) -> bool:
    """Whether an open file is an older version than another one, by the time that a verdict names.

    A verdict without a time is older than all with one; files without times have no order.

    Args:
        file: where both belong.
        descriptor: of the one.
        than: of the other.
    """
    if not (file.replica.is_record and file.path.endswith(_VERDICT)):
        return False
    return _time(descriptor) < _time(than)


def _time(descriptor: int) -> float:
    try:
        verdict = parsed_object(os.pread(descriptor, _LARGEST, 0), is_strict=False)
        return clock.unix(verdict["time"])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return _UNKNOWN
