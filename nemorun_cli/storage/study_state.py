"""The state of one search, folded from its events: what was suggested for its trials, and their results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli.model.search import Outcome, Rung, Suggestion, TrialResult, pruned_with, trial_number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nemorun_cli.storage.events import Event


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """Why a trial was to be stopped, and after which value; `at` is a step, an epoch or a row's number."""

    message: str | None
    at: float | None = None
    value: float | None = None
    attempt: int = 1
    task: str | None = None  # of the trial, by whose metric it was decided


@dataclass(frozen=True, slots=True)
class JudgedSteps:
    """Up to which step a pruner had judged the values of a trial, which ran on."""

    attempt: int
    step: float
    pruner: str | None


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
        sources: the task whose metric is judged, by the number of its trial, as far as it was.
        rungs: the rungs that trials have reached, by number: of the last attempt that reached one.
        judged: how far trials that ran were judged when the last result was recorded, by number.
    """

    suggestions: dict[int, Suggestion] = field(default_factory=dict)
    results: dict[int, TrialResult] = field(default_factory=dict)
    order: list[Suggestion | TrialResult] = field(default_factory=list)
    began: str | None = None
    deciders: dict[int, str] = field(default_factory=dict)
    prunes: dict[int, PruneRequest] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    rungs: dict[int, list[Rung]] = field(default_factory=dict)
    judged: dict[int, JudgedSteps] = field(default_factory=dict)

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
            attempt=event["attempt"],
            pruner=event.get("pruner"),
            last_step=event.get("last_step"),
        )
        self.results[number] = result
        self.deciders[number] = event["task"]
        self.order.append(result)
        self.judged.pop(number, None)
        if result.outcome is Outcome.FAILED or self._rung_attempt(number) != result.attempt:
            self.rungs.pop(number, None)
        return None

    def _rung_attempt(self, number: int) -> int | None:
        reached = self.rungs.get(number)
        return reached[-1].attempt if reached else None

    def note_judged(self, event: Event, attempts: Mapping[str, int]) -> None:
        """Take how far the trials were judged that ran when a result was recorded."""
        for task, step in event.get("judged", {}).items():
            if task in attempts:
                self.sources[trial_number(task)] = task
                self.judged[trial_number(task)] = JudgedSteps(attempts[task], step, event.get("pruner"))

    def reach(self, event: Event) -> None:
        """Take an event `rung_reached`; a rung that the attempt had reached before stays as it was."""
        rung = Rung(
            number=event["number"],
            attempt=event["attempt"],
            rung=event["rung"],
            step=event["step"],
            value=float(event["rung_value"]),
            pruner=event.get("pruner"),
        )
        self.sources[rung.number] = event["task"]
        reached = self.rungs.get(rung.number, [])
        if not reached or (reached[-1].attempt, reached[-1].pruner) != (rung.attempt, rung.pruner):
            self.rungs[rung.number] = [rung]
        elif rung.rung > reached[-1].rung:
            reached.append(rung)

    def prune(self, event: Event, *, task: str, attempt: int) -> None:
        """Take a `stop_requested` or `skipped` with the reason `pruned`; the first of a trial counts.

        Args:
            event: the event.
            task: the task of the trial by whose metric it was decided.
            attempt: the attempt at it.
        """
        message = event.get("message")
        request = PruneRequest(
            None if message is None else message.removeprefix(pruned_with(task)),
            at=event.get("pruned_at"),
            value=event.get("pruned_value"),
            attempt=attempt,
            task=task,
        )
        self.prunes.setdefault(trial_number(task), request)

    def reopen(self, tasks: Collection[str]) -> None:
        """Forget the results of trials of which these tasks run again; they keep their suggestions.

        What was judged stays if the metric is that of another task.
        """
        ended = set()
        for task in tasks:
            number = trial_number(task)
            self.prunes.pop(number, None)
            self.deciders.pop(number, None)
            if self.sources.get(number, task) == task:
                for known in (self.rungs, self.judged, self.sources):
                    known.pop(number, None)
            if self.results.pop(number, None) is not None:
                ended.add(number)
        if ended:
            self.order = [
                entry for entry in self.order if isinstance(entry, Suggestion) or entry.number not in ended
            ]
