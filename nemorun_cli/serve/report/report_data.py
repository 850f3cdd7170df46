"""The documents that the report of an experiment consists of, with secrets masked."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.experiment import documents
from nemorun_cli.experiment.records.targets import Target
from nemorun_cli.model import masking
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.serve import curve_documents, experiment_timeline
from nemorun_cli.serve.curve_documents import CurveMemory, CurvesQuery
from nemorun_cli.serve.index.cache_file import CacheFile
from nemorun_cli.serve.index.curves import Window
from nemorun_cli.serve.index.series_index import SeriesIndex
from nemorun_cli.storage import ledger
from nemorun_cli.tracking.access import reader
from nemorun_cli.version import __version__
from nemorun_cli.views import known_secrets, log_excerpt, log_reader, study_document
from nemorun_cli.views.reports import failure_groups, task_graph, why_report

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.paths import AttemptFiles
    from nemorun_cli.views.snapshot import Snapshot

AXES: Final = ("step", "epoch", "relative")  # `time` follows from `relative`
ALL_POINTS: Final = 60_000  # of all curves together, for each axis
FEWEST_POINTS: Final = 20  # of one curve
MOST_POINTS: Final = 500
MOST_EXPLAINED: Final = 40  # failed tasks that are explained one by one
MOST_LOGS: Final = 60
LINES: Final = 40  # of the end of a log
LONGEST_LOG: Final = 32_000  # characters of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What a report contains.

    Attributes:
        lines: how many lines of the end of each log; 0 for none.
        logs: the tasks whose logs are part of it, in addition to those that failed.
    """

    lines: int = LINES
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a report, and what could not be read."""

    data: dict[str, Any]
    problems: tuple[str, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """What `exp report --json` reports about its content."""
        curves = [curve for record in self.data["curves"]["step"]["records"] for curve in record["curves"]]
        return {
            "id": self.data["status"]["id"],
            "name": self.data["status"]["name"],
            "status": self.data["status"]["status"],
            "made": self.data["made"],
            "tasks": len(self.data["status"]["tasks"]),
            "curves": len(curves),
            "sampled": any(curve["sampled"] for curve in curves),
            "logs": len(self.data["logs"]),
        }


def collect(run: Run, options: ReportOptions) -> ReportData:
    """The data of an experiment as it is now.

    Raises:
        NotFoundError: a task that is named does not exist.
        LedgerError: the experiment cannot be read.
    """
    events, _ = ledger.read_settled(run.files.ledger)
    snapshot = run.status()
    also = snapshot.match_tasks(list(options.logs)) if options.logs else []
    known = known_secrets.of_experiment(snapshot.files, snapshot.spec, snapshot.history)
    secrets = {*known.values(), *run.secrets}
    failed = [name for name, state in snapshot.history.tasks.items() if state.status is TaskStatus.FAILED]
    explained = failed[:MOST_EXPLAINED] or why_report.notable(snapshot)[:MOST_EXPLAINED]
    problems: list[str] = []
    runs = list(Target(files=run.files, home=run.home).runs(report=problems.append))
    curves = _curves(runs, problems)
    graph = task_graph.of(snapshot.spec, snapshot.history.tasks, snapshot.history.external)
    data = {
        "made": stamp(snapshot.seen),
        "version": __version__,
        "status": snapshot.to_json(),
        "graph": documents.graph(graph, snapshot),
        "timeline": experiment_timeline.document(
            snapshot, events, records=len(curves["step"]["records"]), secrets=secrets
        ),
        "why": why_report.document(snapshot, explained, events, secrets=secrets),
        "failures": [kind.to_json() for kind in failure_groups.kinds(snapshot, failed, secrets=secrets)],
        "searches": study_document.of_experiment(snapshot),
        "params": snapshot.spec.params,
        **_environment(runs, snapshot),
        "curves": curves,
        "logs": _logs(snapshot, [*failed, *also], options.lines, secrets),
        "logs_left_out": max(0, len(dict.fromkeys([*failed, *also])) - MOST_LOGS) if options.lines else 0,
        "logs_missing": None if log_reader.are_shipped(snapshot) else log_reader.NOT_SHIPPED,
        "problems": problems,
    }
    return ReportData(_masked(data, masking.forms(secrets)), tuple(problems))


@dataclass(frozen=True, slots=True)
class _SeriesOnly:
    series: SeriesIndex


def _environment(runs: Sequence[Sequence[TargetRecord]], snapshot: Snapshot) -> dict[str, Any]:
    """Where its programs ran, without variables of the environment, which may be secret."""
    created = snapshot.history.created
    openings = [(record, opening) for run in runs for record in run for opening in record.openings]
    entries: dict[str, Any] = {"exp": created.get("version")}
    for name in ("host", "user", "folder"):
        entries[name] = ", ".join(
            sorted({str(value) for _, each in openings if (value := each.facts.get(name))})
        )
    states = [state for _, each in openings if isinstance(state := each.facts.get("git"), dict)]
    entries["git"] = next(iter(states), None)
    entries["executors"] = ", ".join(sorted({task.executor for task in snapshot.tasks}))
    packages: dict[str, str] = {}
    for record, opening in openings:
        packages, _ = reader.environment(record.record.root, record.record.prefix, opening.id)
        if packages:
            break
    return {"environment": {name: value for name, value in entries.items() if value}, "packages": packages}


def _curves(runs: Sequence[Sequence[TargetRecord]], problems: list[str]) -> dict[str, Any]:
    """A document `exp.curves/1` for each axis, thinned so that all of them can be mailed."""
    with tempfile.TemporaryDirectory(prefix="exp-report-") as folder:
        cache = CacheFile(Path(folder) / "cache.sqlite")
        try:
            source, memory = _SeriesOnly(SeriesIndex(cache)), CurveMemory()

            def ask(query: CurvesQuery) -> dict[str, Any]:
                told: list[str] = []
                text = curve_documents.curves(source, runs, query, memory=memory, report=told.append)
                if query.window is None:
                    problems.extend(told)
                answer: dict[str, Any] = json.loads(f"{{{text}}}")
                return answer

            described = ask(CurvesQuery())
            count = sum(key["records"] for key in described["keys"])
            points = min(MOST_POINTS, max(FEWEST_POINTS, ALL_POINTS // max(1, count)))
            found = {}
            for axis in AXES:
                window = Window(axis=axis, points=points)
                answer = ask(CurvesQuery(window=window, is_described=axis == AXES[0]))
                found[axis] = {
                    "schema": curve_documents.FORMAT,
                    "axis": axis,
                    "from": None,
                    "to": None,
                    "points": points,
                    "attempts": None,
                    "problems": [],
                    **answer,
                }
            for record in (record for document in found.values() for record in document["records"]):
                for curve in record["curves"]:
                    curve["position"] = {}
            return found
        finally:
            cache.close()


def _logs(
    snapshot: Snapshot, names: Sequence[str], lines: int, secrets: Collection[str]
) -> list[dict[str, Any]]:
    """The ends of the logs of the latest attempts of these tasks."""
    found = []
    for name in list(dict.fromkeys(names))[:MOST_LOGS] if lines else ():
        state = snapshot.history.tasks[name]
        attempt = log_reader.latest_attempt(snapshot.files, name, state, is_error=False)
        if not attempt:
            continue
        if (end := _log_end(snapshot.files.attempt(name, attempt), lines, secrets)) is not None:
            found.append({"task": name, "attempt": attempt, "status": state.status, **end})
    return found


def _log_end(files: AttemptFiles, lines: int, secrets: Collection[str]) -> dict[str, Any] | None:
    """The end of standard error, if that is apart and not empty, else of the log; None if neither exists."""
    empty = None
    for stream, path in (("stderr", files.stderr), ("log", files.log)):
        try:
            end = log_excerpt.raw_end(
                path, secrets=secrets, lines=lines, longest=LONGEST_LOG, inside=files.root
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            return {
                "stream": stream,
                "text": "",
                "first": None,
                "error": None,
                "problem": f"cannot be read: {error.strerror}",
            }
        found = {
            "stream": stream,
            "text": end.text,
            "first": end.first,
            "error": end.error,
            "problem": None,
        }
        if end.text:
            return found
        empty = found
    return empty


def _masked(value: Any, hidden: Sequence[str]) -> Any:
    """A value as plain JSON, with what must not be shown masked in all of its texts, names included."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str):
        return masking.hide(value, hidden)
    if isinstance(value, dict):
        return {masking.hide(str(name), hidden): _masked(each, hidden) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(each, hidden) for each in value]
    return value
