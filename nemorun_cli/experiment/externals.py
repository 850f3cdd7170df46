"""Finds the experiments that the tasks of a spec wait for, and those that other experiments wait for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nemorun_cli.errors import ExpError, LedgerError, NotFoundError, SpecError, UsageError
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.spec.tasks import externals as entries
from nemorun_cli.storage import spec_copies
from nemorun_cli.storage.paths import age_key
from nemorun_cli.views import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.spec import External, Spec
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import ExperimentFiles, Home


def resolved(spec: Spec, document: Document, home: Home, known: Mapping[str, str]) -> Spec:
    """The spec with the ids of the experiments that its tasks wait for.

    Args:
        spec: as resolved for its experiment.
        document: what it was resolved from.
        home: contains the experiments.
        known: ids by name, for names that keep the id that they had before.

    Raises:
        SpecError: an experiment or a task of it does not exist, or an executor knows no jobs.
    """
    findings: list[Finding] = []
    found = []
    for external in spec.external:
        try:
            found.append(_resolved(external, spec, document, home, known))
        except ExpError as error:
            place = entries.place_of(document.data.get("tasks"), external)
            findings.append(Finding(place=place, message=error.message, hint=error.hint))
    if findings:
        attributed = [document.attributed(finding) for finding in findings]
        raise SpecError(document.sources.in_order(attributed))
    return replace(spec, external=tuple(found))


def _resolved(
    external: External, spec: Spec, document: Document, home: Home, known: Mapping[str, str]
) -> External:
    if external.slurm_job is not None:
        _require_jobs(external, spec, document)
        return external
    if external.given in known:
        return replace(external, experiment=known[external.given])
    files = _latest(external.given, home)
    if external.task is not None:
        _require_task(external.task, files)
    return replace(external, experiment=files.id)


def _latest(given: str, home: Home) -> ExperimentFiles:
    """The experiment with this id, or else the latest one of this name."""
    if files := home.experiment(given):
        return files
    ids = sorted(home.ids(given), key=age_key, reverse=True)
    if (latest := next(home.readable(ids), None)) is None:
        hint = choices(given, home.names()) or "start it first, or list the experiments with: exp list"
        raise NotFoundError(f"there is no experiment {given!r} under {home.directory}", hint=hint)
    return latest


def _require_jobs(external: External, spec: Spec, document: Document) -> None:
    name = external.executor or "local"
    if not document.executors.capabilities(name, spec.executors.get(name, {"type": name})).knows_jobs:
        raise UsageError(
            f"the executor {name} knows nothing of the job {external.slurm_job}",
            hint="run the task on the cluster of the job",
        )


def _require_task(task: str, files: ExperimentFiles) -> None:
    other = spec_copies.read_spec(files)
    names = [*(one.id for one in other.tasks), *(group.id for group in other.groups)]
    if task not in names:
        raise NotFoundError(f"{files.id} has no task {task!r}", hint=choices(task, names))


def waited_for(home: Home) -> dict[str, str]:
    """The experiments for which others wait that have not finished, each with the id of one of these."""
    return {
        experiment_id: files.id
        for summary in listing.newest_first(home)
        if summary.ended is None
        for files in home.readable([summary.id])
        for experiment_id in _named_by(files)
    }


def _named_by(files: ExperimentFiles) -> Iterator[str]:
    """The experiments that an experiment waits for, if its spec can be read."""
    try:
        spec = spec_copies.read_spec(files)
    except LedgerError:  # reported by what lists it
        return
    yield from (external.experiment for external in spec.external if external.experiment is not None)
