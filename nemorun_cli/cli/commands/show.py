"""`exp show`: all details of an experiment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import status_text, tables, terminal, times
from nemorun_cli.cli.options import ExperimentOrLatest, Json, Observe
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment import documents
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find
from nemorun_cli.model import code_package, usage, wording
from nemorun_cli.storage import ledger
from nemorun_cli.views import searches, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.views.searches import StudyView
    from nemorun_cli.views.snapshot import Snapshot
    from nemorun_cli.views.timeline import PastAttempt

PACKAGES: Final = 20  # of an environment, that are named
FILE_LABEL: Final = 16  # columns of a label before its path
ATTEMPTS: Final = (
    Column("TASK"),
    Column("ATTEMPT", is_number=True),
    Column("STATUS"),
    Column("JOB ID", spare=5),
    Column("STARTED", spare=4),
    Column("DURATION", is_number=True, spare=2),
    Column("EXIT", is_number=True, spare=3),
    Column("REASON", is_flexible=True),
    Column("RESOURCES", is_flexible=True, spare=1),
)
MOST_TRIALS: Final = 40  # of a search, that are listed
TRIALS: Final = (
    Column("TRIAL"),
    Column("OUTCOME"),
    Column("VALUES", is_flexible=True),
    Column("PARAMS", is_flexible=True),
)
STEPS: Final = (
    Column("TIME"),
    Column("EVENT"),
    Column("BY", is_flexible=True, spare=1),
    Column("DETAILS", is_flexible=True),
)


def command(
    which: ExperimentOrLatest = LATEST,
    *,
    spec: Annotated[
        bool, typer.Option("--spec", help="Print its spec as one YAML file, to run it again or to edit it.")
    ] = False,
    observe: Observe = False,
    is_json: Json = False,
) -> None:
    """Show all details of an experiment.

    Prints its params, environment, tasks, attempts, history, plugins and files.

    Examples:
      exp show                              the latest experiment
      exp show training --json | jq .spec   its resolved spec
      exp show training --spec > again.yaml
    """
    run = find(which)
    if spec:
        _write_spec(run, is_json=is_json)
        return
    events, _ = ledger.read_settled(run.files.ledger)
    snapshot = run.status(others=observe)
    past, steps = timeline.attempts(snapshot, events), timeline.steps(events)
    if is_json:
        terminal.write_json(documents.show(snapshot, past, steps))
        return
    _section("", status_text.header(snapshot), hang=status_text.LABELLED)
    _section("params", _pairs(snapshot.spec.params))
    _section("environment at start", _pairs(snapshot.history.created.get("environment") or {}))
    _section("shipped", _packages(snapshot))
    _section("python environments", _environments(snapshot))
    _section("tasks", _tasks(snapshot))
    terminal.write("\nattempts\n")
    tables.show(ATTEMPTS, _attempt_rows(snapshot, past))
    terminal.write("\nhistory\n")
    rows = [
        [times.exact(step["time"]), step["event"], step["by"] or "", step["message"] or ""] for step in steps
    ]
    tables.show(STEPS, rows)
    for study in searches.of(snapshot.spec, snapshot.history):
        _search(study)
    _section("plugins", _plugins(snapshot))
    files = [
        f"{name + ':':<{FILE_LABEL}}{path}" for name, path in documents.own_files(snapshot).items() if path
    ]
    _section("files", files, hang=FILE_LABEL)


def _search(study: StudyView) -> None:
    """Write what a search looks for and its trials: the best first, then those that have no values."""
    rule = study.rule
    goals = ", ".join(f"{goal} {metric}" for goal, metric in zip(rule.goals, rule.metrics, strict=True))
    pruner = f", pruner {rule.pruner}" if rule.pruner else ""
    title = f"search {study.group.id}: {goals}; sampler {rule.sampler}, seed {rule.seed}{pruner}"
    counts = ", ".join(f"{count} {phase}" for phase, count in study.counts.items() if count)
    _section(title, [f"  {line}" for line in (counts, *searches.lines([study]))])
    ranked = study.ranked
    tables.show(
        TRIALS,
        [
            [
                trial.id,
                trial.phase,
                searches.result_text(study, trial),
                searches.params_text(trial.params, most=len(trial.params)),
            ]
            for trial in ranked[:MOST_TRIALS]
        ],
    )
    if len(ranked) > MOST_TRIALS:
        terminal.write_lines([f"… and {len(ranked) - MOST_TRIALS} more: --json"])


def _write_spec(run: Run, *, is_json: bool) -> None:
    """Print the spec of an experiment with all its options, from its own copies."""
    if is_json:
        raise UsageError("--spec cannot be combined with --json", hint=f"exp show {run.id} --json | jq .spec")
    from nemorun_cli.experiment import create  # noqa: PLC0415 - only for --spec
    from nemorun_cli.spec import load, merged_spec  # noqa: PLC0415 - the same

    document = load.again(run.files)
    spec = load.resolve(document, create.tentative(document, run.home))
    terminal.warn_of(document.warnings)
    if missing := [use.uses for use in run.spec().plugins if use.uses not in _uses(spec)]:
        terminal.warn(f"warning: not in it, because a program passed them as objects: {', '.join(missing)}")
    terminal.write(merged_spec.text(document, spec))


def _uses(spec: Spec) -> frozenset[str]:
    return frozenset(use.uses for use in spec.plugins)


def _plugins(snapshot: Snapshot) -> list[str]:
    """The plugins, and the errors of those that receive events."""
    lines = []
    for use in snapshot.spec.plugins:
        scope = "" if use.tasks is None else f" of {len(use.tasks)} task(s)"
        lines.append(f"  {use.uses}{scope}{', receives events' if use.hears else ''}")
    return lines + [f"  {fault.line}" for fault in documents.plugin_faults(snapshot)]


def _section(title: str, lines: Sequence[str], *, hang: int | None = None) -> None:
    if lines:
        terminal.write_lines(["", title, *lines][0 if title else 2 :], hang=hang)


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [
        f"  {name} = {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
        if value is not None
    ]


def _tasks(snapshot: Snapshot) -> list[str]:
    """A line for each task: what it runs, its dependencies, and whether its group ends with it."""
    lines = []
    leaders = {group.leader: group.id for group in snapshot.spec.groups}
    for task in snapshot.tasks:
        body = " ".join(task.body) if isinstance(task.body, tuple) else str(task.body).strip()
        first, _, rest = body.partition("\n")
        needs = ""
        outside = [each.text for each in snapshot.spec.external if each.key in task.external]
        if task.dependencies or outside:
            needs = f"  <- {task.dependency_type} {', '.join([*task.dependencies, *outside])}"
        leads = f"  ({leaders[task.id]} ends with it)" if task.id in leaders else ""
        lines.append(f"  {task.id}: {task.kind} {first}{' …' if rest else ''}{needs}{leads}")
    return lines


def _packages(snapshot: Snapshot) -> list[str]:
    """The shipped code, and the folder that contains it."""
    return [
        f"  {line}"
        for package in snapshot.spec.packages
        for line in (*code_package.lines(package), f"in {package.folder}")
    ]


def _environments(snapshot: Snapshot) -> list[str]:
    """The Python environments, each with its state and the versions of its packages."""
    lines = []
    for entry in documents.environments(snapshot):
        version = f", Python {entry['version']}" if entry["kind"] != "uv" and entry["version"] else ""
        state = f", {entry['status']}" if entry["status"] else ""
        place = f", in {entry['folder']}" if entry["folder"] else ""
        lines.append(f"  {entry['text']}{version}{place}{state}")
        packages = [f"{name} {number}" for name, number in entry["packages"].items()]
        more = f", and {len(packages) - PACKAGES} more" if len(packages) > PACKAGES else ""
        lines += [f"    {', '.join(packages[:PACKAGES])}{more}"] if packages else []
        lines += [f"    {entry['message']}"] if entry["message"] else []
    return lines


def _attempt_rows(snapshot: Snapshot, past: Mapping[str, Sequence[PastAttempt]]) -> list[list[str]]:
    requested = {task.id: task.resources for task in snapshot.tasks}
    return [
        [
            name,
            str(attempt.attempt),
            attempt.status,
            attempt.job_id or "",
            times.brief(attempt.started),
            wording.seconds(attempt.active),
            "" if attempt.exit_code is None else str(attempt.exit_code),
            wording.why(attempt.reason, attempt.message, attempt.exit_code),
            usage.summary(requested[name], attempt.usage, attempt.duration),
        ]
        for name, attempts in past.items()
        for attempt in attempts
    ]
