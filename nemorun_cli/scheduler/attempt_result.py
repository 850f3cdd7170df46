"""The final result of an attempt: its exit, unless it was cancelled or its outputs are invalid."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nemorun_cli.model import masking
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage import outputs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
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
    are_known: bool = True,
) -> AttemptEnd:
    """Return the result to record, with the outputs of the task.

    Args:
        ending: the result that the executor reported.
        sent: the cancel that the executor carried out.
        requested: a requested cancel, possibly carried out by a process that crashed.
        written: the `$EXP_OUTPUT` file of the task; it may be missing.
        inside: the folder of its experiment, in which no link is followed.
        secrets: values that must not appear in outputs.
        are_known: whether these are all secrets; if not, no message quotes an output.

    Raises:
        OSError: this machine lacks what it needs to read the outputs now.
    """
    cancel = sent or (requested if ending.status is TaskStatus.FAILED else None)
    if cancel is not None:
        message = cancel.message or f"cancelled by {cancel.by}"
        ending = replace(ending, status=TaskStatus.CANCELLED, reason=Reason(cancel.reason), message=message)
    try:
        hidden = {value for value in secrets.values() if value}
        shown = partial(masking.mask, values=hidden) if are_known else _unshown
        values = outputs.read(written, inside=inside, shown=shown) if os.path.lexists(written) else {}
        _refuse_secrets(values, hidden)
    except ValueError as error:
        values = {}
        if ending.status is TaskStatus.SUCCEEDED:
            message = f"the outputs are invalid: {error}"
            ending = replace(ending, status=TaskStatus.FAILED, reason=Reason.OUTPUTS, message=message)
    return replace(ending, outputs=values)


def _unshown(line: str) -> str:
    del line
    return masking.MASK


def _refuse_secrets(values: Mapping[str, Any], hidden: Collection[str]) -> None:
    """Refuse a text that is a secret, or contains a form of one that would be masked; a number that is one.

    Masked, the output would be another value than the one that other tasks receive.
    """
    for key, value in values.items() if hidden else ():
        is_line = _is_line_with_secret(key, value, hidden)
        if is_line or any(_is_secret(text, hidden) for text in _texts({key: value})):
            name = masking.MASK if is_line else masking.mask(key, hidden)
            raise ValueError(f"{name} is or contains the value of a secret, which must not be an output")


def _is_line_with_secret(key: str, value: Any, hidden: Collection[str]) -> bool:
    """Whether the line of an output is a secret with `=` in it, which has its beginning as the key."""
    mark, text = ("=", value) if isinstance(value, str) else (":=", json.dumps(value))
    return any(mark in form and form in f"{key}{mark}{text}" for form in masking.forms(hidden))


def _is_secret(value: str | float, hidden: Collection[str]) -> bool:
    if isinstance(value, str):
        return value in hidden or masking.contains(value, hidden)
    text = json.dumps(value)  # a short number is too often the same by chance
    return len(text) >= masking.SHORTEST_MASKED and text in hidden


def _texts(value: Any) -> Iterator[str | float]:
    """The texts and numbers of a JSON value, and its keys."""
    if isinstance(value, str | int | float):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
