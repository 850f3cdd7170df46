"""The parameters and bodies of requests of the API, as JSON Schemas."""

from __future__ import annotations

from typing import Any, Final

from nemorun_cli.model import labels
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.serve import attempt_logs, control, curve_views, experiment_views, log_search, record_views
from nemorun_cli.serve.answers import LONGEST, MOST
from nemorun_cli.serve.index import curves, pages

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string", "maxLength": LONGEST}
_FLAG: Final[Schema] = {"type": "string", "enum": ["0", "1"]}
_NUMBER: Final[Schema] = {"type": "number"}
_STATUS: Final[Schema] = {"type": "string", "enum": [str(each) for each in ExperimentStatus]}
_LIMIT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": pages.MOST, "default": pages.DEFAULT}


def _integer(least: int, **others: int) -> Schema:
    return {"type": "integer", "minimum": least, **others}


def _several(each: Schema) -> Schema:
    """A parameter that may be given several times."""
    return {"type": "array", "items": each, "maxItems": MOST}


def _or_all(least: int) -> Schema:
    return {"anyOf": [_integer(least), {"const": "all"}]}


def _sort(words: Any, default: str) -> Schema:
    return {
        "type": "string",
        "enum": [sign + word for word in words for sign in ("", "-")],
        "default": default,
    }


_LAST: Final = {**_integer(0), "default": record_views.LINES}
_ATTEMPTS: Final = {"attempts": _or_all(1)}
_ROOT: Final = {"root": _TEXT}
_SIGNATURE: Final = {"signature": _TEXT}
_LOG: Final[dict[str, Schema]] = {
    "task": _TEXT,
    "attempt": _integer(1),
    "stream": {"type": "string", "enum": list(attempt_logs.STREAMS), "default": "log"},
}
_RECORD_VIEWS: Final[dict[str, dict[str, Schema]]] = {
    "": {},
    "/params": _ATTEMPTS,
    "/metrics": {"key": _several(_TEXT), "last": _or_all(0), **_ATTEMPTS},
    "/logs": {"level": _TEXT, "contains": _TEXT, "last": _LAST},
    "/tracks": {"topic": _TEXT, "last": _LAST},
    "/files": {"name": _TEXT, "versions": _FLAG},
    "/environment": {},
    "/openings": {},
    "/curve": {
        "key": _several(_TEXT),
        "keys": _several(_TEXT),
        "x": {"type": "string", "enum": list(curves.AXES), "default": "step"},
        "from": _NUMBER,
        "to": _NUMBER,
        "points": {**_integer(1, maximum=record_views.MOST_POINTS), "default": 1000},
        **_ATTEMPTS,
    },
    "/contents/{checksum}": {"inline": _FLAG, **_SIGNATURE},
    "/contents/{checksum}/link": {},
}
_EXPERIMENT_VIEWS: Final[dict[str, dict[str, Schema]]] = {
    "/events": {"after": _integer(0), "limit": _integer(1)},
    "/search": {"importances": _FLAG},
    "/why": {"task": _several(_TEXT)},
    "/diff": {"with": _TEXT},
    "/spec": {"revision": _integer(0)},
    "/files": {"task": _TEXT, "name": _TEXT},
    "/log": {**_LOG, **_SIGNATURE},
    "/log/outline": _LOG,
    "/log/find": {
        **_LOG,
        "text": {**_TEXT, "maxLength": log_search.LONGEST_TEXT},
        "case": _FLAG,
        "around": {**_integer(0), "default": 0},
        "limit": {**_integer(1, maximum=log_search.MOST_LISTED), "default": log_search.LISTED},
    },
}
PARAMETERS: Final[dict[str, dict[str, Schema]]] = {
    record_views.RECORDS: {
        "prefix": _TEXT,
        "status": _several(_STATUS),
        "tag": _several(_TEXT),
        "owner": _several(_TEXT),
        "experiment": _several(_TEXT),
        "text": _TEXT,
        "since": _TEXT,
        "sort": _sort(record_views.LIST.orders, "-opened"),
        "limit": _LIMIT,
        "cursor": _TEXT,
        **_ROOT,
    },
    **{record_views.RECORD + path: {**given, **_ROOT} for path, given in _RECORD_VIEWS.items()},
    "/v1/views/compare": {
        **{name: _several(_TEXT) for name in ("prefix", "experiment", "key", "where", "group_by", "over")},
        **dict.fromkeys(("task", "sort", "best"), _TEXT),
        "goal": {"type": "string", "enum": ["min", "max"]},
        "descending": _FLAG,
        "limit": _integer(0),
        **_ATTEMPTS,
    },
    experiment_views.EXPERIMENTS: {
        "name": _several(_TEXT),
        "status": _several(_STATUS),
        "tag": _several(_TEXT),
        "owner": _several(_TEXT),
        "home": _several(_TEXT),
        "executor": _several(_TEXT),
        "text": _TEXT,
        "since": _TEXT,
        "sort": _sort(experiment_views.LIST.orders, "-created"),
        "limit": _LIMIT,
        "cursor": _TEXT,
    },
    **{experiment_views.EXPERIMENT + path: given for path, given in _EXPERIMENT_VIEWS.items()},
    **{f"{control.RECORD}/{action}": _ROOT for action in ("rm", "tag", "note")},
}
"""By the pattern of a path: the parameters of its query."""


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [*required],
        "additionalProperties": False,
    }


_NAMES: Final[Schema] = {"type": "array", "items": {"type": "string"}, "maxItems": control.MOST_NAMES}
_TAGS: Final[Schema] = {
    **_NAMES,
    "items": {"type": "string", "minLength": 1, "maxLength": labels.LONGEST_TAG},
}
_TAG: Final = {
    **_object({"add": _TAGS, "remove": _TAGS}),
    "anyOf": [{"required": ["add"]}, {"required": ["remove"]}],
}
_NOTE: Final = _object({"text": {"type": "string", "minLength": 1}}, "text")
_IS_DRY: Final[Schema] = {"type": "boolean", "default": False}
_TEXTS: Final = _several(_TEXT)
_CURVES: Final = _object(
    {
        "experiments": _TEXTS,
        "records": _several(_object({"prefix": _TEXT, "root": {"type": "string"}}, "prefix")),
        "only": _TEXTS,
        "keys": _TEXTS,
        "x": {"type": "string", "enum": list(curves.AXES), "default": "step"},
        "from": {"type": ["number", "null"]},
        "to": {"type": ["number", "null"]},
        "points": {**_integer(0, maximum=curve_views.MOST_POINTS), "default": curve_views.POINTS},
        "attempts": {"anyOf": [_integer(1), {"const": "all"}, {"type": "null"}]},
        "describe": {"type": "boolean", "default": True},
    }
)
BODIES: Final[dict[str, Schema]] = {
    curve_views.PATH: _CURVES,
    f"{control.EXPERIMENT}/cancel": _object({"tasks": _NAMES}),
    f"{control.EXPERIMENT}/resume": _object({"from": _NAMES, "dry_run": _IS_DRY}),
    f"{control.EXPERIMENT}/rerun": _object({"dry_run": _IS_DRY}),
    f"{control.EXPERIMENT}/rm": _object({"records": {"type": "boolean"}, "dry_run": _IS_DRY}),
    f"{control.EXPERIMENT}/tag": _TAG,
    f"{control.EXPERIMENT}/note": _NOTE,
    f"{control.RECORD}/rm": _object({"dry_run": _IS_DRY}),
    f"{control.RECORD}/tag": _TAG,
    f"{control.RECORD}/note": _NOTE,
}
"""By the pattern of a path: the JSON object in its body."""
