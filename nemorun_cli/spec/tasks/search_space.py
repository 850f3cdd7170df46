"""Fills in the key `search` of a task: all expressions of it but conditions are known when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.spec.expressions.syntax import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.expressions.fill import Filler


def filled_section(section: Any, place: Place, filler: Filler) -> Any:
    """Return a section with its expressions filled in; those over `search` stay as they are."""
    if not isinstance(section, dict) or not isinstance(section.get("params"), dict):
        return filler.tree(section, place)
    rest = {key: value for key, value in section.items() if key != "params"}
    filled = {**filler.tree(rest, place), "params": {}}
    for name, param in section["params"].items():
        filled["params"][name] = _filled_param(param, section["params"], (*place, "params", name), filler)
    return {key: filled[key] for key in section}


def _filled_param(param: Any, params: Mapping[str, Any], place: Place, filler: Filler) -> Any:
    if not isinstance(param, dict) or "when" not in param:
        return filler.tree(param, place)
    rest = {key: value for key, value in param.items() if key != "when"}
    filled = filler.tree(rest, place)
    filler.names["search"] = dict.fromkeys(params, UNKNOWN)
    filled["when"] = filler.tree(param["when"], (*place, "when"))
    filler.names["search"] = {}
    return {key: filled[key] for key in param}
