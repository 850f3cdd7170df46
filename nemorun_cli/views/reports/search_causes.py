"""What a search explains: how far it is and what it waits for, and of a trial its params and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.search import Outcome
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.views import group_bests, searches
from nemorun_cli.views.reports.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.model.spec import Task
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.searches import StudyView, Trial
    from nemorun_cli.views.snapshot import Snapshot

MOST_NAMED: Final = 5  # trials of a kind that are listed
_GOALS: Final = {"minimize": "smallest", "maximize": "largest"}


def of_trial(snapshot: Snapshot, task: Task) -> Iterator[Cause]:
    """The params of a trial, who chose them, and its result; nothing for a task that is none."""
    trial = searches.trial_of(snapshot.spec, snapshot.history, task)
    study = searches.study_of(snapshot.spec, snapshot.history, task)
    if trial is None or trial.suggestion is None or study is None:
        return
    given = study.rule.start_with[trial.number - 1 : trial.number]
    origin = f"suggested by the sampler {study.rule.sampler}"
    if given:
        is_whole = set(trial.params) <= set(given[0])
        origin = "given by start_with" if is_whole else f"from start_with, the others {origin}"
    text = f"its params: {searches.params_text(trial.params, most=len(trial.params))} ({origin})"
    yield Cause(kind="params", message=text)
    if trial.is_over and trial.result is not None:
        yield from _of_result(study, trial, whose="its" if trial.id == task.id else "its trial's")


def _of_result(study: StudyView, trial: Trial, *, whose: str) -> Iterator[Cause]:
    result = trial.result
    assert result is not None  # noqa: S101 - see of_trial
    if result.outcome is Outcome.PRUNED:
        if result.pruned_value is not None and study.rule.pruner is not None:
            value = searches.result_text(study, trial).removesuffix(" (pruned)")
            text = f"the pruner {study.rule.pruner} judged {value}"
            yield Cause(kind="pruned", message=text, time=trial.state.ended)
        if result.message and trial.state.message != result.message:
            yield Cause(kind="pruned", message=f"why: {result.message}", time=trial.state.ended)
    elif result.outcome is Outcome.COMPLETE:
        text = f"{whose} result: {searches.result_text(study, trial)}{_place(study, trial)}"
        yield Cause(
            kind="value",
            message=text,
        )
    elif result.message and result.message != trial.state.message:
        subject = "it" if whose == "its" else "its trial"
        yield Cause(kind="value", message=f"{subject} has no result: {result.message}")


def _place(study: StudyView, trial: Trial) -> str:
    """How good a complete trial is among the others."""
    if (rank := study.rank(trial)) is not None:
        place, count = rank
        if place == 1:
            return f", the {_GOALS[study.rule.goals[0]]} of {count} so far" if count > 1 else ""
        return f", number {place} of {count}"
    if trial in study.front:
        return ", not dominated by another trial"
    return ", dominated by another trial" if trial.values is not None else ""


def of_study(
    snapshot: Snapshot, study: StudyView, causes: Callable[[Task, TaskState], Sequence[Cause]]
) -> list[str]:
    """Sentences about a search: its best, its trials by their results, and what it waits for.

    Args:
        snapshot: the state of the experiment.
        study: the search.
        causes: those of the status of a task.
    """
    lines = list(searches.lines([study]))
    if (estimate := snapshot.sweep(study.group).estimate) is not None:
        lines.append(estimate)
    running = [trial for trial in study.trials if trial.phase == searches.RUNNING]
    lines += _listed("running", [_running(trial) for trial in running])
    pruned = [trial for trial in study.trials if trial.phase == Outcome.PRUNED]
    lines += _listed("pruned", [_pruned(study, trial) for trial in pruned[::-1]])
    without = [
        trial
        for trial in study.trials
        if trial.state.status is TaskStatus.SUCCEEDED
        and trial.result is not None
        and trial.result.outcome is Outcome.FAILED
    ]
    reasons: dict[str, list[str]] = {}
    for trial in without:
        reasons.setdefault(_message(trial), []).append(trial.id)
    lines += [f"without a result: {group_bests.excluded(reason, tasks)}" for reason, tasks in reasons.items()]
    waiting = next((trial for trial in study.trials if trial.state.status is TaskStatus.PENDING), None)
    if waiting is not None:
        task = snapshot.spec.named(waiting.task)
        count = study.counts["pending"]
        subject = f"{count} trial{'s have' if count > 1 else ' has'} not started; the next, {waiting.task}"
        lines += [
            f"{subject}: {cause.message}" for cause in causes(task, waiting.state) if cause.kind != "params"
        ]
    return lines


def _listed(word: str, texts: Sequence[str]) -> list[str]:
    """A line with how many trials there are of a kind, and the first of them."""
    if not texts:
        return []
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return [f"{len(texts)} {word}: {', '.join(texts[:MOST_NAMED])}{more}"]


def _running(trial: Trial) -> str:
    return f"{trial.id} ({searches.params_text(trial.params)})"


def _pruned(study: StudyView, trial: Trial) -> str:
    result = trial.result
    if result is None or result.pruned_value is None:
        return trial.id
    at = "" if result.pruned_at is None else f" at {result.pruned_at:g}"
    return f"{trial.id} ({study.metric} {result.pruned_value:.4g}{at})"


def _message(trial: Trial) -> str:
    return (trial.result.message if trial.result is not None else None) or Reason.OUTPUTS
