"""Normalizes the packagers and launchers of a spec, and checks their options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.model import units
from nemorun_cli.model.problems import Finding, choices, shown
from nemorun_cli.spec.schema import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place


class Extensions:
    """Reads the packagers and launchers of a spec, each value once; collects errors in `findings`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._packagers: dict[tuple[Place, str], dict[str, Any] | None] = {}
        self._launchers: dict[tuple[Place, str, str], dict[str, Any]] = {}

    def packager(self, value: Any, place: Place) -> dict[str, Any] | None:
        """Return a packager's options with its type; None if nothing is shipped or the value is invalid."""
        key = (place, json.dumps(value, sort_keys=True, default=str))
        if key not in self._packagers:
            from nemorun_cli import packagers  # noqa: PLC0415 - only for specs that name one

            options = packagers.normal(value)
            is_valid = self._check_packager(options, place)
            self._packagers[key] = options if is_valid and options["type"] != packagers.NONE else None
        return self._packagers[key]

    def launcher(
        self, value: Any, place: Place, *, executor: str, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return launchers by name with their options, for an executor with `options`; empty on errors."""
        key = (place, executor, json.dumps(value, default=str))
        if key not in self._launchers:
            from nemorun_cli.executors import launchers  # noqa: PLC0415 - only for specs that name one

            named = launchers.normal(value)
            are_valid = [self._check_launcher(name, own, place) for name, own in named.items()]
            if all(are_valid):
                setting = launchers.LaunchSetting(executor=options)
                for name, own in named.items():
                    try:
                        problems = launchers.make(name, own).problems(setting)
                    except UsageError as error:
                        self.findings.append(Finding(place=place, message=error.message, hint=error.hint))
                    else:
                        self.findings += [Finding(place=place, message=problem) for problem in problems]
            self._launchers[key] = named if all(are_valid) else {}
        return self._launchers[key]

    def _check_launcher(self, name: str, options: Any, place: Place) -> bool:
        from nemorun_cli.executors import launchers  # noqa: PLC0415 - as above

        if not launchers.REGISTRY.has(name):
            known = [*launchers.REGISTRY.names(), launchers.NONE]
            message = f"no launcher is called {name!r}"
            findings = [Finding(place=place, message=message, hint=choices(name, known), needle=name)]
        else:
            findings = checks.check(options, launchers.REGISTRY.find(name).options_schema, (*place, name))
        self.findings += findings
        return not findings

    def _check_packager(self, options: dict[str, Any], place: Place) -> bool:
        from nemorun_cli import packagers  # noqa: PLC0415 - as above

        count_before = len(self.findings)
        kind = options.get("type")
        if kind is None:
            self.findings.append(Finding(place=place, message="needs the key 'type'", on_key=True))
        elif not isinstance(kind, str):
            message = f"must be text that is not empty, not {shown(kind)}"
            self.findings.append(Finding(place=(*place, "type"), message=message))
        elif not packagers.REGISTRY.has(kind):
            known = packagers.REGISTRY.names()
            type_place = (*place, "type") if len(options) > 1 else place
            self.findings.append(
                Finding(
                    place=type_place, message=f"no packager is called {kind!r}", hint=choices(kind, known)
                )
            )
        else:
            self._check_options(options, packagers.REGISTRY.find(kind).options_schema, place)
            if kind == packagers.HYBRID:
                for part_place, part in _parts(options):
                    self.packager(part, (*place, "parts", *part_place))
        return len(self.findings) == count_before

    def _check_options(self, options: dict[str, Any], schema: Mapping[str, Any], place: Place) -> None:
        own = {key: value for key, value in options.items() if key not in ("type", "max_size")}
        self.findings += checks.check(own, schema, place)
        if "max_size" in options:
            try:
                units.size(str(options["max_size"]))
            except ValueError as fault:
                self.findings.append(Finding(place=(*place, "max_size"), message=str(fault)))


def _parts(options: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    """The packagers of a hybrid one, each with its place in `parts`."""
    parts = options.get("parts")
    for target, listed in parts.items() if isinstance(parts, dict) else ():
        if isinstance(listed, (str, dict)):
            yield (target,), listed
        for index, part in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(part, (str, dict)):
                yield (target, index), part
