"""The state of one search, folded from its events: what was suggested for its trials, and their results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli.model.search import Outcome, Suggestion, TrialResult

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.storage.events import Event


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """Why a trial was to be stopped, and after which value; `at` is a step, an epoch or a row's number."""

    message: str | None
    at: float | None = None
    value: float | None = None


@dataclass(slots=True)
class StudyState:
    """What the ledger has of a search.

    Attributes:
        suggestions: by the number of the trial, in the order of their events.
        results: the same; without those of trials that run again.
        order: both kinds together: a suggestion is a function of what is before it here.
        began: the time of the first suggestion.
        deciders: the task of the event of each result, by number: the one of its trial that has the value.
        prunes: why trials were to be stopped, by number: of their attempts that run or have ended.
    """

    suggestions: dict[int, Suggestion] = field(default_factory=dict)
    results: dict[int, TrialResult] = field(default_factory=dict)
    order: list[Suggestion | TrialResult] = field(default_factory=list)
    began: str | None = None
    deciders: dict[int, str] = field(default_factory=dict)
    prunes: dict[int, PruneRequest] = field(default_factory=dict)

    def suggest(self, event: Event) -> str | None:
        """Take an event `suggested`; returns why it cannot follow those before it, if it cannot."""
        number = event["number"]
        if number in self.suggestions:
            return f"trial {number} has a suggestion"
        suggestion = Suggestion(number=number, params=event["params"], written=event.get("written", {}))
        self.suggestions[number] = suggestion
        self.order.append(suggestion)
        self.began = self.began or event["time"]
        return None

    def end(self, event: Event) -> str | None:
        """Take an event `trial_ended`; returns why it cannot follow those before it, if it cannot."""
        number = event["number"]
        if number not in self.suggestions or number in self.results:
            return f"trial {number} has {'a result' if number in self.results else 'no suggestion'}"
        result = TrialResult(
            number=number,
            outcome=Outcome(event["outcome"]),
            values=tuple(event["values"]) if "values" in event else None,
            pruned_at=event.get("pruned_at"),
            pruned_value=event.get("pruned_value"),
            message=event.get("message"),
        )
        self.results[number] = result
        self.deciders[number] = event["task"]
        self.order.append(result)
        return None

    def prune(self, number: int, event: Event) -> None:
        """Take a `stop_requested` or `skipped` with the reason `pruned`; the first of a trial counts."""
        request = PruneRequest(
            event.get("message"), at=event.get("pruned_at"), value=event.get("pruned_value")
        )
        self.prunes.setdefault(number, request)

    def reopen(self, numbers: Collection[int]) -> None:
        """Forget the results of trials that run again; they keep their suggestions."""
        for number in numbers:
            self.prunes.pop(number, None)
            self.deciders.pop(number, None)
        ended = {number for number in numbers if self.results.pop(number, None) is not None}
        if ended:
            self.order = [
                entry for entry in self.order if isinstance(entry, Suggestion) or entry.number not in ended
            ]
