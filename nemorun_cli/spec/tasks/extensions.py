"""Packagers and launchers as a spec names them, in one form, and what is wrong with their options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nemorun_cli.model import units
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.spec.schema import checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Place


class Extensions:
    """Reads what a spec says of packagers and launchers, each value once; what is wrong is in `findings`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._packagers: dict[tuple[Place, str], dict[str, Any] | None] = {}
        self._launchers: dict[tuple[Place, str, str], dict[str, Any]] = {}

    def packager(self, value: Any, place: Place) -> dict[str, Any] | None:
        """A packager's options with its type; None where nothing is shipped, or what is said is wrong."""
        key = (place, json.dumps(value, sort_keys=True, default=str))
        if key not in self._packagers:
            from nemorun_cli import packagers  # noqa: PLC0415 - only for specs that name one

            options = packagers.normal(value)
            is_right = self._check_packager(options, place)
            self._packagers[key] = options if is_right and options["type"] != packagers.NONE else None
        return self._packagers[key]

    def launcher(
        self, value: Any, place: Place, *, executor: str, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Launchers by name with their options, for an executor with these; none where something is wrong."""
        key = (place, executor, json.dumps(value, default=str))
        if key not in self._launchers:
            from nemorun_cli.executors import launchers  # noqa: PLC0415 - only for specs that name one

            named = launchers.normal(value)
            is_right = [self._check_launcher(name, given, place) for name, given in named.items()]
            if all(is_right):
                setting = launchers.LaunchSetting(executor=options)
                for name, given in named.items():
                    problems = launchers.make(name, given).problems(setting)
                    self.findings += [Finding(place=place, message=problem) for problem in problems]
            self._launchers[key] = named if all(is_right) else {}
        return self._launchers[key]

    def _check_launcher(self, name: str, options: Any, place: Place) -> bool:
        from nemorun_cli.executors import launchers  # noqa: PLC0415 - as above

        if not launchers.REGISTRY.has(name):
            known = [*launchers.REGISTRY.names(), launchers.NONE]
            message = f"no launcher is called {name!r}"
            found = [Finding(place=place, message=message, hint=choices(name, known), needle=name)]
        else:
            found = checks.check(options, launchers.REGISTRY.find(name).options_schema, (*place, name))
        self.findings += found
        return not found

    def _check_packager(self, options: dict[str, Any], place: Place) -> bool:
        from nemorun_cli import packagers  # noqa: PLC0415 - as above

        before = len(self.findings)
        kind = options.get("type")
        if kind is None:
            self.findings.append(Finding(place=place, message="needs the key 'type'", on_key=True))
        elif not packagers.REGISTRY.has(kind):
            known = packagers.REGISTRY.names()
            where = (*place, "type") if len(options) > 1 else place
            self.findings.append(
                Finding(place=where, message=f"no packager is called {kind!r}", hint=choices(kind, known))
            )
        else:
            self._check_options(options, packagers.REGISTRY.find(kind).options_schema, place)
            if kind == packagers.HYBRID:
                for target, part in _parts(options).items():
                    self.packager(part, (*place, "parts", target))
        return len(self.findings) == before

    def _check_options(self, options: dict[str, Any], form: Mapping[str, Any], place: Place) -> None:
        own = {key: value for key, value in options.items() if key not in ("type", "max_size")}
        self.findings += checks.check(own, form, place)
        if "max_size" in options:
            try:
                units.size(str(options["max_size"]))
            except ValueError as fault:
                self.findings.append(Finding(place=(*place, "max_size"), message=str(fault)))


def _parts(options: dict[str, Any]) -> dict[str, Any]:
    parts = options.get("parts")
    if not isinstance(parts, dict):
        return {}
    return {target: part for target, part in parts.items() if isinstance(part, (str, dict))}
