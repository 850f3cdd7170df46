"""The `metrics` of a task: patterns by series, from the task, its group and the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.model.metric_patterns import PatternError, finder
from nemorun_cli.model.problems import Finding
from nemorun_cli.tracking.store.record_paths import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.model.problems import Place


class MetricSection:
    """Collects patterns; each one is checked once, and what is wrong is in `findings`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._checked: set[Place] = set()

    def patterns(self, sections: Iterable[tuple[Mapping[str, Any], Place]]) -> dict[str, tuple[str, ...]]:
        """The patterns of each series; of sections, each with its place, later ones win."""
        found: dict[str, tuple[str, ...]] = {}
        for section, place in sections:
            for name, given in section.get("metrics", {}).items():
                several = given if isinstance(given, list) else [given]
                found[name] = tuple(several)
                at: Place = (*place, "metrics", name)
                if at not in self._checked:
                    self._checked.add(at)
                    self._check(name, several, at, is_list=isinstance(given, list))
        return found

    def _check(self, name: str, several: list[str], place: Place, *, is_list: bool) -> None:
        try:
            encode_name(name)
        except UsageError as fault:
            self.findings.append(Finding(place=place, message=fault.message, on_key=True))
        for index, pattern in enumerate(several):
            try:
                finder(pattern)
            except PatternError as fault:
                at = (*place, index) if is_list else place
                self.findings.append(Finding(place=at, message=str(fault), hint=fault.hint))
