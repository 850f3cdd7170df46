"""The copy of `resolved.json` that a server gets unless `tracking.spec` is true: without the values of `env`.

The names stay. Where a command, its arguments or an option contain such a value, because the spec has
`${{ env.NAME }}` there, it is masked too; values of params stay, for those are there to be seen.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.masking import MASK, mask_texts
from nemorun_cli.storage.spec_copies import MASKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WHAT: Final = ("env",)
_TEXTS_OF_TASK: Final = (
    "body",
    "args",
    "entrypoint",
    "prefix",
    "launcher",
    "when",
    "metrics",
    "retry",
    "python",
    "cache",
)
_CHECKED: Final = frozenset(("type", "tunnel"))  # options of an executor whose form every reader checks


def masked(document: Mapping[str, Any]) -> bytes:
    """The copy of a spec with its environment variables, and the origins of its secrets, masked.

    The same document always gives the same bytes.
    """
    shown = {str(value) for value in _leaves(document.get("params", {}))}
    general = _hidden([document.get("env"), *_environments(document.get("executors", {}))], shown)
    shared = {name: _task(entry, general, shown) for name, entry in document.get("shared", {}).items()}
    copy = {
        **document,
        "executors": {
            name: {
                key: value if key in _CHECKED else _shown(value, general, key)
                for key, value in options.items()
            }
            for name, options in document.get("executors", {}).items()
        },
        "plugins": [
            {**use, "options": _shown(use.get("options", {}), general)} for use in document.get("plugins", [])
        ],
        "environments": mask_texts(document.get("environments", []), general),
        "description": mask_texts(document.get("description"), general),
        "env": _blank(document.get("env", {})),
        "tasks": [
            _task(entry, general | _of_shared(document, entry, shown), shown) for entry in document["tasks"]
        ],
        "secrets": {
            name: dict.fromkeys(source, MASK) for name, source in document.get("secrets", {}).items()
        },
        **({"shared": shared} if "shared" in document else {}),
        MASKED: list(_WHAT),
    }
    return json.dumps(copy).encode()


def _of_shared(document: Mapping[str, Any], entry: Mapping[str, Any], shown: set[str]) -> frozenset[str]:
    """The values that the members of a task's sweep have in common."""
    common = document.get("shared", {}).get(str(entry.get("id", "")).partition("/")[0], {})
    return _hidden([common.get("env")], shown | _matrix(entry))


def _task(entry: Mapping[str, Any], general: frozenset[str], shown: set[str]) -> dict[str, Any]:
    values = (general | _hidden([entry.get("env")], shown)) - _matrix(entry)
    masked = {key: mask_texts(item, values) if key in _TEXTS_OF_TASK else item for key, item in entry.items()}
    if "stop" in entry:
        masked["stop"] = [{**rule, "metric": mask_texts(rule["metric"], values)} for rule in entry["stop"]]
    return {**masked, "env": _blank(entry["env"])} if "env" in entry else masked


def _shown(value: Any, hidden: frozenset[str], key: str = "") -> Any:
    """An option without the values of environments in it, and without these texts elsewhere."""
    return _blank(value) if key == "env" else mask_texts(_without_environments(value), hidden)


def _matrix(entry: Mapping[str, Any]) -> set[str]:
    return {str(value) for value in _leaves(entry.get("matrix", {}))}


def _hidden(environments: Iterable[Any], shown: set[str]) -> frozenset[str]:
    return frozenset(
        value
        for environment in environments
        for text in _leaves(environment)
        for value in ((str(text).partition("=")[2] if isinstance(environment, list) else text),)
        if isinstance(value, str) and value not in shown
    )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    elif value is not None:
        yield value


def _environments(value: Any) -> Iterator[Any]:
    """What is called `env`, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "env":
                yield item
            else:
                yield from _environments(item)
    elif isinstance(value, list):
        for item in value:
            yield from _environments(item)


def _without_environments(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _blank(item) if key == "env" else _without_environments(item) for key, item in value.items()
        }
    return [_without_environments(item) for item in value] if isinstance(value, list) else value


def _blank(environment: Any) -> Any:
    """An environment with the names alone, whatever form it has."""
    if isinstance(environment, dict):
        return dict.fromkeys(environment, MASK)
    if isinstance(environment, list):
        return [f"{str(item).partition('=')[0]}={MASK}" for item in environment]
    return MASK
