"""Warnings about secrets: variables that tasks do not inherit, and params that contain a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.model import masking
from nemorun_cli.model.problems import Finding
from nemorun_cli.spec import secret_values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Problem
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.spec.document import Document

MOST_NAMED: Final = 5  # tasks in a warning


def not_inherited(spec: Spec, document: Document) -> list[Problem]:
    """Return a warning for each variable with a secret that some task would inherit if it were none."""
    findings = []
    for variable, secrets in _sources(spec).items():
        tasks = [task.id for task in spec.tasks if _would_inherit(task, variable, secrets, spec, document)]
        if tasks:
            findings.append(_finding(variable, secrets[0], tasks, spec, document.data))
    return document.sources.in_order([document.attributed(finding) for finding in findings])


def _sources(spec: Spec) -> dict[str, list[str]]:
    """By variable, the names of the secrets that it is the source of."""
    sources: dict[str, list[str]] = {}
    for name in secret_values.names_in_use(spec):
        if variable := secret_values.variable(spec, name):
            sources.setdefault(variable, []).append(name)
    return sources


def _would_inherit(
    task: Task, variable: str, secrets: Collection[str], spec: Spec, document: Document
) -> bool:
    if task.env_inherit != "all" or variable in task.env or not set(secrets).isdisjoint(task.secrets):
        return False
    options = spec.executors.get(task.executor, {})
    return document.executors.capabilities(task.executor, options).runs_here


def _finding(
    variable: str, secret: str, tasks: Sequence[str], spec: Spec, data: Mapping[str, Any]
) -> Finding:
    others = [task.id for task in spec.tasks if secret in task.secrets]
    of = _listed(others) if others else "a plugin"
    verb = "do not inherit" if len(tasks) > 1 else "does not inherit"
    return Finding(
        place=secret_values.place(secret, data),
        message=f"{_listed(tasks)} {verb} {variable}: it is a secret of {of}",
        hint=f"give the secret to what needs it, or name {variable} in its env_inherit",
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def refuse_in_params(document: Document, values: Mapping[str, str], *, stored: str = "") -> None:
    """Refuse params and changes of the command line that contain a secret: the spec's copies would have it.

    Args:
        document: the spec, with the options of the command line.
        values: the secrets by name.
        stored: the JSON text of those options that an experiment has stored already.

    Raises:
        SpecError: with each of them; no message contains the value.
    """
    findings = [
        Finding(
            place=place,
            message=f"contains the value of the secret {name}, which would be stored as it is",
            hint="pass it as a secret only: secrets: {NAME: {env: NAME}}",
            option=f"{option} {'.'.join(place)}=…",
        )
        for option, place, text in _given(document, stored)
        for name, value in values.items()
        if _is_in(value, text)
    ]
    if findings:
        raise SpecError(document.sources.in_order(findings))


def refuse_in_key(key: str | None, values: Mapping[str, str]) -> None:
    """Refuse a key of a run that contains a secret, given by name: the ledger and the list would show it.

    Raises:
        UsageError: it does; the message does not contain the value.
    """
    for name, value in values.items() if key else ():
        if _is_in(value, key or ""):
            raise UsageError(
                f"the key contains the value of the secret {name}, which would be stored as it is",
                hint="use another key",
            )


def _is_in(secret: str, text: str) -> bool:
    """Whether a text has a secret in it; a short one, such as a user's name, only if it is all of it."""
    if len(secret) >= masking.SHORTEST_WORD:
        return masking.contains(text, [secret])
    return len(secret) >= masking.SHORTEST_MASKED and text in masking.forms([secret])


def _given(document: Document, stored: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """The option, the place and the text of each value that the command line gave and is not stored."""
    for option, texts in (("-p", document.params), ("--set", document.sets)):
        for text in texts:
            name, _, value = text.partition("=")
            if json.dumps(text) not in stored:
                yield option, tuple(name.split(".")), value
