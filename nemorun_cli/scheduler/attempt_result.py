"""The final result of an attempt: its exit, unless it was cancelled or its outputs are invalid."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage import outputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.storage.state import Cancel


def conclude(
    ending: AttemptEnd,
    *,
    sent: Cancel | None,
    requested: Cancel | None,
    written: Path,
    inside: Path | None,
    secrets: Mapping[str, str],
) -> AttemptEnd:
    """Return the result to record, with the outputs of the task.

    Args:
        ending: the result that the executor reported.
        sent: the cancel that the executor carried out.
        requested: a requested cancel, possibly carried out by a process that crashed.
        written: the `$EXP_OUTPUT` file of the task; it may be missing.
        inside: the folder of its experiment, in which no link is followed.
        secrets: values that must not appear in outputs.

    Raises:
        OSError: this machine lacks what it needs to read the outputs now.
    """
    cancel = sent or (requested if ending.status is TaskStatus.FAILED else None)
    if cancel is not None:
        message = cancel.message or f"cancelled by {cancel.by}"
        ending = replace(ending, status=TaskStatus.CANCELLED, reason=Reason(cancel.reason), message=message)
    try:
        values = outputs.read(written, inside=inside) if os.path.lexists(written) else {}
        _refuse_secrets(values, secrets)
    except ValueError as error:
        values = {}
        if ending.status is TaskStatus.SUCCEEDED:
            message = f"the outputs are invalid: {error}"
            ending = replace(ending, status=TaskStatus.FAILED, reason=Reason.OUTPUTS, message=message)
    return replace(ending, outputs=values)


def _refuse_secrets(values: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    hidden = {value for value in secrets.values() if value}
    for key, value in values.items():
        if hidden and not hidden.isdisjoint(_texts(value)):
            raise ValueError(f"{key} is or contains the value of a secret, which must not be an output")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
