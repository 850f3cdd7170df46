"""The `metrics` of a task: patterns per series, from the task, its group and the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.model.metric_patterns import PatternError, finder
from nemorun_cli.model.problems import Finding
from nemorun_cli.system.patterns import check_length
from nemorun_cli.system.regex_timeout import SearchPatternError
from nemorun_cli.tracking.store.record_paths import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.model.problems import Place


class MetricSection:
    """Collects patterns and checks each once; collects errors in `findings`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._checked: set[Place] = set()

    def patterns(self, sections: Iterable[tuple[Mapping[str, Any], Place]]) -> dict[str, tuple[str, ...]]:
        """Return the patterns of each series; `sections` have their places, later ones win."""
        by_series: dict[str, tuple[str, ...]] = {}
        for section, place in sections:
            for name, value in section.get("metrics", {}).items():
                patterns = value if isinstance(value, list) else [value]
                by_series[name] = tuple(patterns)
                series_place: Place = (*place, "metrics", name)
                if series_place not in self._checked:
                    self._checked.add(series_place)
                    self._check(name, patterns, series_place, is_list=isinstance(value, list))
        return by_series

    def _check(self, name: str, patterns: list[str], place: Place, *, is_list: bool) -> None:
        try:
            encode_name(name)
        except UsageError as fault:
            self.findings.append(Finding(place=place, message=fault.message, on_key=True))
        for index, pattern in enumerate(patterns):
            try:
                check_length(pattern)
                finder(pattern)
            except (PatternError, SearchPatternError) as fault:
                pattern_place = (*place, index) if is_list else place
                hint = fault.hint if isinstance(fault, PatternError) else None
                self.findings.append(Finding(place=pattern_place, message=str(fault), hint=hint))
