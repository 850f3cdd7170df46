"""Fields of a trial that its values decide, such as what it requests: filled in from its suggestion."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from nemorun_cli.model.search import trial_number

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.state import ExperimentState


def filled(task: Task, spec: Spec, history: ExperimentState) -> Task:
    """The task with these fields filled in, if it is a trial that has a suggestion.

    Raises:
        TemplateError: a value does not fit.
    """
    study = history.studies.get(task.group or "") if task.searched else None
    suggestion = study.suggestions.get(trial_number(task.id)) if study is not None else None
    rule = next((group.search for group in spec.groups if group.id == task.group), None)
    if suggestion is None or rule is None:
        return task
    from nemorun_cli.spec.expressions import searched_keys  # noqa: PLC0415 - slow to import, and few searches need it

    task = searched_keys.variant(task, suggestion.params)
    names = [param.name for param in rule.params]
    return searched_keys.with_values(task, suggestion.params, names=names, params=spec.params, env=spec.env)


def filled_where_possible(task: Task, spec: Spec, history: ExperimentState) -> Task:
    """The same, but a task with a value that does not fit stays as it is: it fails before it starts."""
    if not task.searched:
        return task
    from nemorun_cli.spec.expressions.syntax import TemplateError  # noqa: PLC0415 - as above

    with suppress(TemplateError):
        return filled(task, spec, history)
    return task


def asks_for_gpus(task: Task) -> bool:
    """Whether a task requests GPUs, or would with some values."""
    return "/resources/gpus" in task.searched or any(form.resources.gpus for form in task.possible)


def as_suggested(spec: Spec, history: ExperimentState) -> Spec:
    """The same, in which trials that have a suggestion are of no other form any more."""
    if not any(task.variants is not None for task in spec.kin):
        return spec
    tasks = (
        (task, filled_where_possible(task, spec, history)) if task.variants is not None else (task, task)
        for task in spec.tasks
    )
    known = (after if after is before else after.changed({"variants": None}) for before, after in tasks)
    return replace(spec, tasks=tuple(known))


def spec_with_values(spec: Spec, history: ExperimentState) -> Spec:
    """The spec as its trials have run: with the fields that their values decided."""
    if not any(task.searched for task in spec.possible_tasks):
        return spec
    return replace(spec, tasks=tuple(filled_where_possible(task, spec, history) for task in spec.tasks))
