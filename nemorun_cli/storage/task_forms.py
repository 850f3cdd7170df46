"""The forms of the fields of a task in `resolved.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import forms, python_environment
from nemorun_cli.model.best import Goal
from nemorun_cli.model.forms import (
    AMOUNT,
    ATTEMPT,
    COUNT,
    FLAG,
    ID,
    IDS,
    LIST,
    NAMED_TEXTS,
    OBJECT,
    PATH,
    TEXT,
    TEXTS,
    Form,
    flaws,
    list_of,
    mapping_of,
    matching,
    record,
)
from nemorun_cli.model.spec import SAME_IN_FORMS

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONAL_TEXT: Final = TEXT | None
GOALS: Final = tuple(Goal)
KEYS: Final = list_of(TEXT | forms.INTEGER, "a list of texts and integers")

ENVIRONMENT_ID: Final = matching(python_environment.ID_PATTERN, "the id of a Python environment")
_PYTHON: Final = record(
    {
        "venv": PATH,
        "conda": PATH,
        "name": TEXT,
        "uv": TEXT | TEXTS,
        "version": TEXT,
        "environment": ENVIRONMENT_ID,
    },
    "an object about a Python environment",
)


def _are_fields(value: Any) -> bool:
    """Whether it has fields of a task, which depend on the values of a trial."""
    return OBJECT.fits(value) and SAME_IN_FORMS.isdisjoint(value) and next(flaws(value, TASK), None) is None


TASK: Final[Mapping[str, Form]] = {
    "id": ID,
    "index": COUNT,
    "kind": TEXT,
    "body": TEXT | TEXTS,
    "executor": TEXT,
    "workdir": PATH,
    "group": OPTIONAL_TEXT,
    "args": LIST | OBJECT,
    "entrypoint": TEXTS,
    "env": NAMED_TEXTS,
    "secrets": TEXTS,
    "env_inherit": TEXT | TEXTS,
    "dependencies": IDS,
    "external": TEXTS,
    "dependency_type": TEXT,
    "when": OPTIONAL_TEXT | FLAG,
    "resources": record(
        {"cpus": AMOUNT | None, "memory": COUNT | None, "gpus": COUNT | None}, "an object of resources"
    ),
    "retry": record(
        {
            "limit": COUNT,
            "delay": AMOUNT,
            "backoff": AMOUNT,
            "max_delay": AMOUNT | None,
            "on": KEYS,
            "log": TEXTS,
        },
        "an object about retries",
    ),
    "timeout": AMOUNT | None,
    "stop_signal": TEXT,
    "stop_grace": AMOUNT,
    "allow_failure": FLAG,
    "tail_logs": FLAG | None,
    "stderr_to_stdout": FLAG,
    "artifacts": TEXTS,
    "metrics": mapping_of(TEXTS, "an object of patterns"),
    "stop": list_of(
        record(
            {
                "metric": TEXT,
                "above": forms.NUMBER | None,
                "below": forms.NUMBER | None,
                "patience": ATTEMPT | None,
                "min_delta": AMOUNT,
                "goal": Form(lambda value: value in set(Goal), "minimize or maximize") | None,
            },
            "a condition on a metric",
            required=("metric",),
        ),
        "a list of conditions on metrics",
    ),
    "cache": record({"inputs": TEXTS, "outputs": TEXTS, "also": LIST, "env": TEXTS}, "an object about reuse")
    | None,
    "description": OPTIONAL_TEXT,
    "packager": OBJECT | None,
    "python": _PYTHON | None,
    "launcher": OBJECT,
    "late": TEXTS,
    "searched": NAMED_TEXTS,
    "variants": record(
        {
            "params": TEXTS,
            "entries": list_of(
                record(
                    {"values": OBJECT, "fields": Form(_are_fields, "fields of a task")},
                    "a form of a trial",
                    required=("values", "fields"),
                ),
                "a list of forms of a trial",
            ),
        },
        "an object about the forms of trials",
        required=("params", "entries"),
    )
    | None,
    "matrix": OBJECT,
    "twins": mapping_of(ID | IDS, "an object of tasks' ids"),
    "handler": OPTIONAL_TEXT,
    "prefix": TEXTS,
}
