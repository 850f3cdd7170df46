"""The server that a spec names: its address in the normal form, and what it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model.problems import Finding
from nemorun_cli.tracking.outbox import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

_FURTHER: Final = ("logs", "spec", "code")


def resolved(tracking: Mapping[str, Any], *, prefix: str | None) -> tuple[dict[str, Any], list[Finding]]:
    """The section `tracking` with the address that is used, and without flags that are false.

    Args:
        tracking: the section, with values filled in.
        prefix: the prefix of the spec, if it has one.
    """
    values = {key: value for key, value in tracking.items() if key not in _FURTHER or value is True}
    given = values.pop("dash_url", False)
    findings = []
    if given is False:
        for key in _FURTHER:
            if key in values:
                message = "has no effect without dash_url: nothing is sent"
                findings.append(Finding(place=("tracking", key), message=message, hint="add dash_url: true"))
        return values, findings
    try:
        values["dash_url"] = addresses.default() if given is True else addresses.normalized(given)
    except InvalidValueError as error:
        message = error.message.replace("dash_url=True: ", "").removeprefix("dash_url ")
        findings.append(Finding(place=("tracking", "dash_url"), message=message, hint=error.hint))
    if prefix is not None and (problem := addresses.prefix_problem(prefix)) is not None:
        message = f"cannot be on a server: {problem}"
        findings.append(
            Finding(place=("prefix",), message=message, hint="begin it with your user and a slash")
        )
    return values, findings
