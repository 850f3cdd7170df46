"""The experiment's own copy of its resolved spec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nemorun_cli.errors import LedgerError, NotFoundError
from nemorun_cli.model.spec import Spec
from nemorun_cli.storage.ledger import read_settled
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from nemorun_cli.storage.paths import ExperimentFiles


def read_spec(files: ExperimentFiles) -> Spec:
    """The spec as resolved when the experiment was created, or when a resume last changed it.

    Raises:
        LedgerError: the copy is missing or unreadable.
    """
    spec = _read_spec(files)
    if files.revisions.is_dir() and (number := _revision(files)) > spec.revision:
        return _read_spec(files.revision(number))
    return spec


def _revision(files: ExperimentFiles) -> int:
    """The current revision by the ledger, which is updated before the copies at the top of the folder."""
    try:
        events, _ = read_settled(files.ledger)
    except (LedgerError, NotFoundError):
        return 1  # other readers report the error; the copies at the top are used
    return max((event["revision"] for event in events if event.get("revision")), default=1)


def _read_spec(files: ExperimentFiles) -> Spec:
    try:
        return Spec.from_json(json.loads(read_bytes(files.resolved)))
    except OSError as error:
        hint = None if isinstance(error, PermissionError) else "restore it from a backup"
        raise LedgerError(f"cannot read {files.resolved}: {error.strerror}", hint=hint) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise LedgerError(
            f"{files.resolved} cannot be read: {error}", hint="restore it from a backup"
        ) from error
